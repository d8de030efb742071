"""What do copies of a model in other formats weigh, lose and take, beside the SavedModel?

    python -m benchmarks.export runs/serving/six_class/1795599239=runs/artifacts/ingest/examples/1 ...

Each copy answers the model's whole test split, and is refused as `fashion export` would. Milliseconds are of a request
of one picture and of eight, decoded before, each in a process of its own.
"""

import logging
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.measure import apart, parser_of, ratio, said, say, scratch, show, take_turns
from components.export.copies import HEAD, Copy, rows
from components.export.settings import FORMATS, Export

_BATCHES = (1, 8)
_REQUESTS = 30
_SAVED = ("saved_model.pb", "variables/variables.data-00000-of-00001")


def copies(model: Path, examples: Path, store: Path) -> list[Copy]:
    """Makes all formats that Python runs, or takes those that `store` has; refused ones have figures as well."""
    from components.export.job import export

    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d ms %(message)s", force=True)
    return export(model, examples, Export(formats=tuple(form for form in FORMATS if form != "web")), store)


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


def _rows(model: Path, made: list[Copy], rounds: int) -> list[list[str]]:
    cases = {"SavedModel": partial(apart, saved_model_times, model)}
    cases |= {copy.form: partial(apart, bundle_times, copy.path) for copy in made if copy.path}
    times = {form: np.median(found, axis=0).tolist() for form, found in take_turns(cases, rounds).items()}
    weight = sum((model / name).stat().st_size for name in _SAVED)
    table = []
    for form, cells in zip(("SavedModel", *(copy.form for copy in made)), rows(made), strict=True):
        took = (
            [*map("{:.1f}".format, times[form]), ratio(times[form][0], times["SavedModel"][0])] if form in times else []
        )
        table.append(["", *cells, *(took or [""] * 3)])
    table[0][:3] = [model.parent.name, "SavedModel", f"{weight / 1e6:.1f}"]
    for copy in made:
        if not copy.path:
            say(f"{model.parent.name} {copy.form}: refused: {copy.parity.refused}")
    return table


def main() -> None:
    """Copies, measures and prints."""
    parser = parser_of(__doc__, 3)
    parser.add_argument("models", nargs="+", metavar="MODEL=EXAMPLES", help="a version's folder and its run's examples")
    parser.add_argument("--out", type=Path, help="keeps the copies, and takes those that are there")
    options = parser.parse_args()
    rounds = options.rounds or (1 if options.quick else 3)
    table = []
    with scratch() as folder:
        for pair in options.models:
            model, examples = map(Path, pair.split("="))
            say(f"{model}: copying")
            made = copies(model.resolve(), examples, (options.out or folder) / model.parent.name)
            table += _rows(model, made, rounds)
    columns = ["model", *HEAD, "ms, 1", "ms, 8", "time, 1"]
    show(f"Copies of models, on {os.cpu_count()} cores; {said(rounds)}", columns, table)


if __name__ == "__main__":
    main()
