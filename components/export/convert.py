"""Runs converters, each in a process of its own: they leak memory, and one that dies takes nothing along."""

import os
import subprocess
import sys
from pathlib import Path

import serving
from components.errors import ExportError

SUFFIXES = {"litert": ".tflite", "litert-fp16": ".tflite", "litert-int8": ".tflite", "onnx": ".onnx", "web": ".onnx"}
_OPSET = "18"
_HOUSE = Path(serving.__file__).parents[1]


def convert(model_dir: Path, form: str, file: Path, calibration: Path) -> None:
    """Writes a model's signature `pixels` as a file of another format.

    Args:
        model_dir: the SavedModel.
        form: a format of `components.export.settings`.
        file: to write.
        calibration: for int8, see `components.export.litert`.

    Raises:
        ExportError: the converter failed.
    """
    if SUFFIXES[form] == ".onnx":
        arguments = ["tf2onnx.convert", "--saved-model", str(model_dir), "--signature_def", "pixels", "--opset", _OPSET]
        run_module(form, *arguments, "--output", str(file))
    else:
        given = [str(calibration)] if form == "litert-int8" else []
        run_module(form, "components.export.litert", str(model_dir), str(file), form, *given)


def run_module(form: str, *arguments: str) -> None:
    """Runs a Python module to its end.

    Raises:
        ExportError: it failed; with the last line it said.
    """
    places = (str(_HOUSE), str(_HOUSE / "serving"), os.environ.get("PYTHONPATH"))
    # Without accelerators: this process may still hold all of their memory.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, places)), "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise ExportError(f"{form}: {arguments[0]} ended with {done.returncode}: {said[-1]}. Nothing was published.")
