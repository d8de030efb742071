"""Makes copies of a published model in other formats, and publishes those that answer as it does."""

import json
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from fashion_client.local import DESCRIPTION, Runtime, open_runtime, parts
from fashion_client.reading import Arrays

from components.answers.settings import read_settings
from components.digest import code_digest
from components.errors import ExportError
from components.export.browser import add_page
from components.export.bundle import Golden, Original, write_bundle
from components.export.convert import convert, run_module
from components.export.copies import Copy
from components.export.golden import draw_pictures
from components.export.parity import QUANTISED, Parity, compare
from components.export.pictures import labelled_batches, some_of_each
from components.export.refit import Answers, refit
from components.export.settings import Export
from components.outside.thresholds import DECIDE_FILE
from components.publish.store import latest, model_digest, place, read_extras, versions
from serving.decode import decode_trusted

PIXELS = "pixels"


def export(model_dir: Path, examples: Path, settings: Export, store: Path) -> list[Copy]:
    """Makes the copies that `settings.formats` names, and publishes those that answer as the model does.

    Args:
        model_dir: a version's folder, as published.
        examples: ingest's, of the run that made it.
        settings: formats and limits.
        store: `<exports>/<model>`; a copy comes to lie in `<store>/<format>/<version>/`.

    Returns:
        What became of each, refused ones included.

    Raises:
        ExportError: the model cannot be copied, or a converter failed.
        PublishError: the store cannot be written.
    """
    made = {"settings": settings.model_dump_json(exclude={"formats", "keep"}), "code": code_digest(__name__)}
    digest = model_digest(model_dir)
    done: dict[str, Copy | None] = {form: _published(store / form, digest, made) for form in settings.formats}
    left = [form for form, copy in done.items() if copy is None]
    if not left:
        return [copy for copy in done.values() if copy]
    model = tf.saved_model.load(str(model_dir))
    original = _original(model_dir, model, digest)
    with tempfile.TemporaryDirectory() as work:
        calibration = Path(work) / "calibration.npy"
        if set(left) & set(QUANTISED):
            most = settings.calibration
            np.save(calibration, some_of_each(model, examples, original.size, most, len(original.labels)))
        files: dict[str, Path] = {}
        for form in left:
            logging.info("%s: converting", form)
            files[form] = convert(model_dir, form, Path(work), calibration)
        runtimes: dict[str, Runtime] = {form: open_runtime(file) for form, file in files.items()}
        parities = _compare_all(model, runtimes, examples, original, settings)
        golden = _golden(model, original.size)
        for form, parity in parities.items():
            if parity.refused:
                done[form] = Copy(form, None, parity, size_of(files[form]))
                continue
            held_to, own = golden, original
            if form in QUANTISED:
                run = runtimes[form]
                held_to = replace(golden, answers=run(golden.pixels))
                own = _refitted(original, model, run, examples)
            done[form] = _publish(store / form, files[form], own, held_to, parity, made, settings.keep)
    return [copy for copy in done.values() if copy]


def _refitted(original: Original, model: Any, run: Runtime, examples: Path) -> Original:
    """The same with thresholds of the copy's own, where the model decides."""
    if original.decide is None:
        return original

    def answers(split: str) -> Answers:
        if (examples / f"Split-{split}").is_dir():
            for pictures, labels in labelled_batches(model, examples, split, original.size):
                yield run(pictures), labels

    return replace(original, decide=refit(original.decide, answers("eval"), answers("outside_eval")))


def _publish(
    store: Path, file: Path, original: Original, golden: Golden, parity: Parity, made: Mapping[str, str], keep: int
) -> Copy:
    form = store.name

    def fill(staging: Path) -> None:
        write_bundle(staging, file, form, original, golden, parity, made)
        if form == "web":
            add_page(staging)
        run_module(form, "fashion_client.local", str(staging))  # in a process that has no TensorFlow

    published = place(store, keep, lambda version: _is_same(version, original.digest, made), fill)
    size = size_of(published.path / file.name)
    return Copy(form, published.path, parity, size, published.already)


def size_of(file: Path) -> int:
    """Bytes of a copy's file, with what belongs to it."""
    return sum(part.stat().st_size for part in parts(file))


def _published(store: Path, digest: str, made: Mapping[str, str]) -> Copy | None:
    """The newest version, where it is of this model and was made in this way."""
    newest = latest(store)
    if newest is None or not _is_same(folder := versions(store)[newest], digest, made):
        return None
    described = _described(folder)
    parity, file = Parity(**described["parity"]), folder / described["file"]
    return Copy(store.name, folder, parity, size_of(file), already=True)


def _is_same(version: Path, digest: str, made: Mapping[str, str]) -> bool:
    described = _described(version)
    return (described.get("digest"), described.get("made")) == (digest, made)


def _described(version: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((version / DESCRIPTION).read_bytes()))
    except (OSError, ValueError):  # a folder that somebody put there by hand
        return {}


def _original(model_dir: Path, model: Any, digest: str) -> Original:
    signature = model.signatures.get(PIXELS)
    if signature is None:
        raise ExportError(
            f"{model_dir}: it lacks the signature `pixels` that copies are made of: an earlier release published it. "
            "Train it again."
        )
    said, extras = read_settings(model_dir), read_extras(model_dir)
    return Original(
        name=model_dir.parent.name,
        version=int(model_dir.name) if model_dir.name.isdecimal() else 0,
        digest=digest,
        labels=tuple(extras["labels.txt"].decode().splitlines()),
        size=signature.structured_input_signature[1][PIXELS].shape[1],
        max_pixels=said.picture.max_pixels,
        max_bytes=said.serving.decode_bytes,
        tags=json.loads(extras.get("tags.json", "[]")),
        decide=json.loads(extras[DECIDE_FILE]) if DECIDE_FILE in extras else None,
    )


def _golden(model: Any, size: int) -> Golden:
    files = draw_pictures()
    pixels = np.stack([decode_trusted(tf.constant(data), size) for data in files.values()])
    return Golden(files, pixels, _answer(model, pixels))


def _answer(model: Any, pixels: np.ndarray) -> Arrays:
    return {name: value.numpy() for name, value in model.signatures[PIXELS](pixels=tf.constant(pixels)).items()}


def _compare_all(
    model: Any, runtimes: Mapping[str, Runtime], examples: Path, original: Original, settings: Export
) -> dict[str, Parity]:
    """Asks the model and all copies about each picture of the test split."""
    truth: list[np.ndarray] = []
    own: list[np.ndarray] = []
    theirs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {form: [] for form in runtimes}
    for pictures, labels in labelled_batches(model, examples, "test", original.size):
        answer = _answer(model, pictures)
        truth.append(labels)
        if len(truth) % 10 == 0:
            logging.info("compared %d pictures and more", sum(map(len, truth)))
        own.append(answer["probabilities"].argmax(axis=1))
        for form, run in runtimes.items():
            copy = run(pictures)
            cosines = np.sum(copy["embedding"] * answer["embedding"], axis=1) / np.linalg.norm(
                copy["embedding"], axis=1
            )
            theirs[form].append((copy["probabilities"].argmax(axis=1), cosines))
    parities = {}
    for form, batches in theirs.items():
        answers, cosines = (np.concatenate(column) for column in zip(*batches, strict=True))
        pair = np.concatenate(own), answers
        parities[form] = compare(form, np.concatenate(truth), pair, cosines, original.labels, settings)
    return parities
