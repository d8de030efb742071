"""What a published model says of pictures that it was judged by: what production is compared with."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from fashion_client.answer_log import SCHEMA, described
from pyarrow import parquet

from components.errors import AnswerError
from components.features import ID, NAME
from pipeline.asking import find_model
from pipeline.history import History
from pipeline.monitor.tally import TRUTH
from pipeline.paths import Paths
from serving.disk import replacing

SPLIT = "test"  # which no decision of the training looked at

_MOST = 5000  # pictures: more tell no more, and take a minute each 5,000
_PER_RUN = 32
_NO_SLICE = {ID, NAME}
_SHOWN = 64  # pictures that are kept, for the page


def find_baseline(model: Path, root: Path, database: str | None) -> Path:
    """The baseline of a published version, `<root>/baselines/<model>-<version>.parquet`; made if it is not there.

    Raises:
        AnswerError: there is no such model, or the examples that it was judged by are gone.
    """
    model = find_model(model, None, None).resolve()
    file = root / "baselines" / f"{model.parent.name}-{model.name}.parquet"
    if not file.exists():
        write_baseline(model, _examples(model, root, database), file)
    return file


def write_baseline(model: Path, examples: Path, file: Path) -> None:
    """Asks a published model about a split that it was judged by, and writes rows of a log with their truth.

    The file, Parquet, is replaced in one step.
    """
    from components.examples import read_examples

    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for row in answers(model, islice(read_examples(examples), _MOST)) if row[TRUTH] is not None]
    for row in rows[_SHOWN:]:
        del row["picture"]
    with replacing(file) as content:
        parquet.write_table(pa.Table.from_pylist(rows, SCHEMA.append(pa.field(TRUTH, pa.string()))), content)


def answers(
    model: Path,
    examples: Iterator[bytes],
    change: Callable[[bytes], bytes] = lambda picture: picture,
    labelled: bool = True,
) -> Iterator[dict[str, Any]]:
    """Asks a published model about serialized examples, as a server that logs every answer would.

    `change` makes of each picture the one that is asked about. Where the examples are not `labelled`, the true class
    does not follow from them.

    Yields:
        Rows of a log with the picture, and the true class, None where the product is of none.
    """
    import numpy as np

    from components.examples import picture_of, texts_of
    from serving.interface import OBSERVE
    from serving.server.servable import DEFAULT_SIGNATURE, Servable
    from serving.server.watch import columns

    servable = Servable(model)
    signature = OBSERVE if OBSERVE in servable.signatures else DEFAULT_SIGNATURE
    labels = (model / "assets.extra" / "labels.txt").read_text(encoding="utf-8").splitlines()
    while some := [*islice(examples, _PER_RUN)]:
        pictures = [change(picture_of(example)) for example in some]
        truths = np.full(len(some), -1)
        if labelled:
            truths = servable.run("transform_features", {"examples": np.array(some, object)})["label"]
        outputs = servable.run(signature, {"image_bytes": np.array(pictures, object)})
        for number, (example, picture, truth) in enumerate(zip(some, pictures, truths, strict=True)):
            row = {"sample": 1.0, "model": model.parent.name, "version": int(model.name), "picture": picture}
            texts = texts_of(example)
            row |= {"product": texts[ID], TRUTH: labels[truth] if truth >= 0 else None}
            row |= {"slices": {name: texts[name] for name in texts.keys() - _NO_SLICE}}
            yield described(row | columns({key: value[number] for key, value in outputs.items()}), pictures=True)


def _examples(model: Path, root: Path, database: str | None) -> Path:
    for version, run in History(Paths(root, root, database).metadata).published(model.parent.name):
        if str(version) == model.name and (examples := run.stage("ingest").folder("examples")):
            return examples / f"Split-{SPLIT}"
    raise AnswerError(
        f"{model}: the examples that it was judged by are not in {root}. Give the --root of its run, or --against a "
        "baseline made where they are."
    )
