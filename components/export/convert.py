"""Runs converters, each in a process of its own: they leak memory, and one that dies takes nothing along."""

from pathlib import Path

from components import children
from components.errors import ExportError

_OPSET = "18"


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
    if failure := children.run(*arguments):
        raise ExportError(f"{form}: {arguments[0]} {failure}. Nothing was published.")
