"""A page that classifies pictures in a browser, with its runtime from npm beside it."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from components.errors import ExportError

RUNTIME = "onnxruntime-web@1.30.0"
_SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
_PAGE = Path(__file__).parent / "page"


def add_page(folder: Path) -> None:
    """Adds the page and its runtime to an ONNX bundle.

    Raises:
        ExportError: npm is not installed, or cannot fetch the runtime.
    """
    fetch_npm("web", RUNTIME, _SHA512, _FILES, folder)
    for file in _PAGE.iterdir():
        shutil.copyfile(file, folder / file.name)


def fetch_npm(form: str, package: str, digest: str, names: Sequence[str], folder: Path) -> None:
    """Puts files of a package's `dist` into a folder.

    Args:
        form: the format that wants it.
        package: name and version.
        digest: SHA-512 of its archive, Base64.
        names: of the files.
        folder: they come to lie in.

    Raises:
        ExportError: npm is not installed, cannot fetch it, or fetches something else.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(
            f"{form}: npm is not installed, which fetches {package}. Install Node.js, or leave {form} out."
        )
    with tempfile.TemporaryDirectory() as work:
        done = subprocess.run([npm, "pack", "--silent", package], cwd=work, capture_output=True, text=True, check=False)
        archives = list(Path(work).glob("*.tgz"))
        if done.returncode or not archives:
            said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise ExportError(f"{form}: npm cannot fetch {package}: {said}. Give it a registry that has it.")
        content = archives[0].read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != digest:
        raise ExportError(f"{form}: what npm fetched as {package} is another file than this release is made for.")
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        for name in names:
            file = packed.extractfile(f"package/dist/{name}")
            assert file is not None
            (folder / name).write_bytes(file.read())
