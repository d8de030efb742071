"""Runs converters, each in a process of its own: they leak memory, and one that dies takes nothing along."""

from pathlib import Path

from components import children
from components.errors import ExportError

_SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "tfjs": ".json"}  # else LiteRT's
_OPSET = "18"


def convert(model_dir: Path, form: str, work: Path, calibration: Path) -> Path:
    """Writes a model's signature `pixels` as files of another format, in a folder of their own.

    Args:
        model_dir: the SavedModel.
        form: a format of `components.export.settings`.
        work: holds a folder for each format; what two formats share is written once.
        calibration: for int8, see `components.export.litert`.

    Returns:
        The first of the files, `model` by name.

    Raises:
        ExportError: a converter failed.
    """
    kind = "onnx" if form == "web" else form
    file = work / kind / f"model{_SUFFIXES.get(kind, '.tflite')}"
    if file.exists():
        return file
    file.parent.mkdir()
    if kind == "onnx":
        arguments = ["tf2onnx.convert", "--saved-model", str(model_dir), "--signature_def", "pixels", "--opset", _OPSET]
        run_module(form, *arguments, "--output", str(file))
    elif kind == "openvino":
        network = convert(model_dir, "onnx", work, calibration)
        run_module(form, "components.export.openvino", str(network), str(file))
    elif kind == "tfjs":
        run_module(form, "components.export.tfjs", str(model_dir), str(file.parent))
    else:
        given = [str(calibration)] if form == "litert-int8" else []
        run_module(form, "components.export.litert", str(model_dir), str(file), form, *given)
    return file


def run_module(form: str, *arguments: str) -> None:
    """Runs a Python module to its end.

    Raises:
        ExportError: it failed; with the last line it said.
    """
    if failure := children.run(*arguments):
        raise ExportError(f"{form}: {arguments[0]} {failure}. Nothing was published.")
