"""Runs converters, each in a process of its own: they leak memory, and one that dies takes nothing along."""

import os
import subprocess
import sys
from pathlib import Path

import serving
from components.errors import ExportError

_OPSET = "18"
_HOUSE = Path(serving.__file__).parents[1]


def convert(model_dir: Path, form: str, folder: Path, calibration: Path) -> Path:
    """Writes a model's signature `pixels` as a file of another format.

    Args:
        model_dir: the SavedModel.
        form: a format of `components.export.settings`.
        folder: of the files; what two formats share is written once.
        calibration: for int8, see `components.export.litert`.

    Returns:
        The file.

    Raises:
        ExportError: the converter failed.
    """
    if form.startswith("litert"):
        file = folder / f"{form}.tflite"
        given = [str(calibration)] if form == "litert-int8" else []
        run_module(form, "components.export.litert", str(model_dir), str(file), form, *given)
        return file
    network = folder / "network.onnx"
    if not network.exists():
        arguments = ["tf2onnx.convert", "--saved-model", str(model_dir), "--signature_def", "pixels", "--opset", _OPSET]
        run_module(form, *arguments, "--output", str(network))
    if form != "openvino":
        return network
    run_module(form, "components.export.openvino", str(network), str(file := folder / "network.xml"))
    return file


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
