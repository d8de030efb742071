"""What do copies of a model in other formats weigh, lose and take, beside the SavedModel?

    python -m benchmarks.export runs/serving/six_class/1795599239=runs/artifacts/ingest/examples/1 ...

Each copy answers the model's whole test split, and is refused as `fashion export` would. Milliseconds are of a request
of one picture and of eight, decoded before, each in a process of its own.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import apart, parser_of, ratio, said, say, scratch, show, take_turns
from components.export.settings import FORMATS, Export

_BATCHES = (1, 8)
_REQUESTS = 30
_SAVED = ("saved_model.pb", "variables/variables.data-00000-of-00001")

Made = tuple[str, Path | None, dict[str, Any]]


def copies(model: Path, examples: Path, store: Path) -> list[Made]:
    """Makes all formats; name, folder of those that are not refused, and figures of each."""
    from components.export.job import export

    made = export(model, examples, Export(formats=tuple(form for form in FORMATS if form != "web")), store)
    return [(copy.form, copy.path, copy.parity.as_dict()) for copy in made]


def saved_model_times(model: Path) -> list[float]:
    """Milliseconds of a request for each size of `_BATCHES`, by the SavedModel's signature `pixels`."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(model)).signatures["pixels"]
    size = signature.structured_input_signature[1]["pixels"].shape[1]
    return _times(lambda pixels: signature(pixels=tf.constant(pixels))["probabilities"].numpy(), size)


def bundle_times(folder: Path) -> list[float]:
    """Milliseconds likewise, by the runtime of a bundle."""
    from fashion_client.local import local

    bundle = local(folder)
    return _times(bundle.answer, bundle.size)


def _times(ask: Callable[[np.ndarray], object], size: int) -> list[float]:
    medians = []
    for batch in _BATCHES:
        pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
        ask(pixels)
        seconds = []
        for _ in range(_REQUESTS):
            began = time.perf_counter()
            ask(pixels)
            seconds.append(time.perf_counter() - began)
        medians.append(1000 * statistics.median(seconds))
    return medians


def _rows(model: Path, made: list[Made], rounds: int) -> list[list[str]]:
    cases = {"SavedModel": partial(apart, saved_model_times, model)}
    cases |= {form: partial(apart, bundle_times, path) for form, path, _ in made if path}
    times = {form: np.median(found, axis=0).tolist() for form, found in take_turns(cases, rounds).items()}
    base = times["SavedModel"]
    weight = sum((model / name).stat().st_size for name in _SAVED)
    accuracy = f"{made[0][2]['model_accuracy']:.2%}"
    rows = [
        [model.parent.name, "SavedModel", _megabytes(weight), accuracy, "", "", "", *map("{:.1f}".format, base), ""]
    ]
    for form, path, figures in made:
        row = ["", form, "", f"{figures['accuracy']:.2%}", "{worst_class} {worst_recall:.1%}".format(**figures)]
        row += [f"{figures['same']:.2%}", f"{figures['cosine']:.4f}"]
        if path:
            row[2] = _megabytes(next(path.glob("model.*")).stat().st_size)
            row += [*map("{:.1f}".format, times[form]), ratio(times[form][0], base[0])]
        else:
            row += ["", "", f"refused: {figures['refused']}"]
        rows.append(row)
    return rows


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f}"


def main() -> None:
    """Copies, measures and prints."""
    parser = parser_of(__doc__, 3)
    parser.add_argument("models", nargs="+", metavar="MODEL=EXAMPLES", help="a version's folder and its run's examples")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    rows = []
    with scratch() as folder:
        for pair in options.models:
            model, examples = map(Path, pair.split("="))
            say(f"{model}: copying")
            made = apart(copies, model, examples, folder / model.parent.name)
            rows += _rows(model, made, rounds)
    columns = [
        "model",
        "format",
        "MB",
        "accuracy",
        "worst class",
        "same answer",
        "lowest cosine",
        "ms, 1",
        "ms, 8",
        "time, 1",
    ]
    show(f"Copies of models, on {os.cpu_count()} cores; {said(rounds)}", columns, rows)


if __name__ == "__main__":
    main()
