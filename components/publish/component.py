"""Publishes an approved model, because the stock Pusher shows servers half-copied ones and pushes again on a re-run.

The stock one copies file by file into the final folder, which a server polling it can take for a whole version.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from tfx.components.util.model_utils import is_infra_validated, is_model_blessed
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.io import fileio
from tfx.types.standard_artifacts import InfraBlessing, Model, ModelBlessing, ModelEvaluation, ModelRun, PushedModel
from tfx.utils.path_utils import serving_model_path

import serving
from components.artifacts import Quarantine
from components.errors import PublishError
from components.evaluate.settings import Gate
from components.infra.requests import WARMUP
from components.ingest.members import MEMBERS_FILE
from components.publish.store import Published, model_digest, publish, serving_version
from components.train.calibration import read_calibration
from components.tune.space import as_found, read_values

_VERIFY_SECONDS = 900


@component
def Publisher(
    model: InputArtifact[Model],
    blessing: InputArtifact[ModelBlessing],
    evaluation: InputArtifact[ModelEvaluation],
    history: InputArtifact[ModelRun],
    quarantine: InputArtifact[Quarantine],
    pushed_model: OutputArtifact[PushedModel],
    serving_dir: Parameter[str],
    name: Parameter[str],
    keep: Parameter[int],
    classes: Parameter[str],
    gate: Parameter[str],
    recipe: Parameter[str],
    code: Parameter[str] = "",
    infra_blessing: InputArtifact[InfraBlessing] = None,
) -> None:
    """Puts a blessed model into `<serving_dir>/<name>/<version>/`, checked in a fresh process; leaves any other out.

    Together with the model go its class names, the recipe that trains it, its figures, where it comes from, the
    products that it was trained and tested on, and the warm-up requests that it was tried with.

    Args:
        model: the trained model.
        blessing: whether the evaluation approved it.
        evaluation: the figures it was judged by.
        history: what the Trainer has left; of a search, the settings that were found.
        quarantine: ingest's, with the members of the splits.
        pushed_model: custom properties as the stock Pusher sets them: `pushed` 1 or 0 and, when 1, `pushed_version`
            and `pushed_destination`; `version`, which serves from now on ("" for none); and `unservable`, what a
            server said against an approved model ("" for nothing). Its folder stays empty.
        serving_dir: a local or mounted folder.
        name: the model, as clients call it.
        keep: how many of the newest versions stay.
        classes: the class names, as a JSON list, in the order of the probabilities.
        gate: what the model had to reach, as JSON of `components.evaluate.settings.Gate`.
        recipe: the experiment, as YAML text.
        code: digest of the sources that made the model.
        infra_blessing: whether a server could serve it, see `components.infra.component`; None if nobody tried.

    Raises:
        PublishError: the model breaks the serving contract, or the store cannot be written.
    """
    if "://" in serving_dir:
        raise PublishError(
            f"{serving_dir} is not a folder, and versions are renamed into place. Mount it; give its path."
        )
    store, unservable = Path(serving_dir) / name, ""
    if not is_model_blessed(blessing):
        pushed_model.set_int_custom_property("pushed", 0)
        logging.warning("%s was not approved. Nothing was published; %s.", name, _serves(serving_version(store)))
    elif infra_blessing and not is_infra_validated(infra_blessing):
        unservable = infra_blessing.get_string_custom_property("reason")
        pushed_model.set_int_custom_property("pushed", 0)
        logging.error("%s: %s. Nothing was published; %s.", name, unservable, _serves(serving_version(store)))
    else:
        model_dir = Path(serving_model_path(model.uri))
        published = publish(
            model_dir,
            store,
            model_digest(model_dir),
            {
                **_figures(evaluation.uri, json.loads(classes), Gate.model_validate_json(gate), Path(history.uri)),
                "recipe.yaml": as_found(recipe, read_values(Path(history.uri))),
                MEMBERS_FILE: _content(quarantine.uri, MEMBERS_FILE),
                **({WARMUP: _content(infra_blessing.uri, WARMUP)} if infra_blessing else {}),
            },
            _verify_apart,
            keep,
            provenance={"model": model.uri, "evaluation": evaluation.uri, "code": code},
        )
        pushed_model.set_int_custom_property("pushed", 1)
        pushed_model.set_string_custom_property("pushed_version", str(published.version))
        pushed_model.set_string_custom_property("pushed_destination", str(published.path))
        logging.info("%s", _in_words(name, published, serving_version(store)))
    pushed_model.set_string_custom_property("unservable", unservable)
    pushed_model.set_string_custom_property("version", str(serving_version(store) or ""))


def _content(folder: str, name: str) -> bytes:
    with fileio.open(os.path.join(folder, name), "rb") as file:
        return file.read()


def _figures(evaluation_dir: str, classes: list[str], gate: Gate, history: Path) -> dict[str, str | bytes]:
    from components.evaluate.verdict import read_verdict  # TFMA takes seconds to import; a refused model needs none

    metrics = read_verdict(evaluation_dir, True, tuple(classes), gate).as_json()
    scaled = read_calibration(history)
    metrics["calibration"] = scaled.model_dump() if scaled else None
    return {
        "labels.txt": "".join(f"{label}\n" for label in classes),
        "metrics.json": json.dumps(metrics, indent=2) + "\n",
    }


def _verify_apart(model_dir: Path) -> None:
    """Runs `serving.verify` on a model in a fresh process, on the CPU.

    Raises:
        PublishError: it found a breach, crashed or took too long.
    """
    house = str(Path(serving.__file__).parents[1])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (house, os.environ.get("PYTHONPATH")))),
        "CUDA_VISIBLE_DEVICES": "-1",  # this process may still hold all of an accelerator's memory
        "TF_CPP_MIN_LOG_LEVEL": "3",  # it complains of the bad pictures the model is asked about
    }
    command = [sys.executable, "-m", "serving.verify", str(model_dir)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_VERIFY_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise PublishError(
            f"The model was not loaded and checked within {_VERIFY_SECONDS} s. Run again on a machine less busy."
        ) from error
    if done.returncode:
        logging.error("serving.verify ended with %d:\n%s", done.returncode, done.stderr)
        last = done.stderr.strip().rpartition("\n")[2].removeprefix(f"{model_dir}: ")
        reason = last if last and done.returncode > 0 else f"the process that asked it ended with {done.returncode}"
        raise PublishError(
            f"The model breaks the serving contract: {reason}. Mend its signatures, and train again. "
            f"Nothing was published; {_serves(serving_version(model_dir.parent))}."
        )


def _in_words(name: str, published: Published, serving: int | None) -> str:
    state = "was published before" if published.already else "is published"
    return f"{name} {state} as version {published.version}; {_serves(serving)}."


def _serves(version: int | None) -> str:
    return "no version serves" if version is None else f"version {version} serves"
