"""A page that classifies pictures in a browser, with its runtime from npm beside it."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
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
    archive = _fetch()
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for name in _FILES:
            content = packed.extractfile(f"package/dist/{name}")
            assert content is not None
            (folder / name).write_bytes(content.read())
    for file in _PAGE.iterdir():
        shutil.copyfile(file, folder / file.name)


def _fetch() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise ExportError(f"web: npm is not installed, which fetches {RUNTIME}. Install Node.js, or leave `web` out.")
    with tempfile.TemporaryDirectory() as work:
        done = subprocess.run([npm, "pack", "--silent", RUNTIME], cwd=work, capture_output=True, text=True, check=False)
        archives = list(Path(work).glob("*.tgz"))
        if done.returncode or not archives:
            said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise ExportError(f"web: npm cannot fetch {RUNTIME}: {said}. Give it a registry that has it.")
        content = archives[0].read_bytes()
    if base64.b64encode(hashlib.sha512(content).digest()).decode() != _SHA512:
        raise ExportError(f"web: what npm fetched as {RUNTIME} is another file than the one this release is made for.")
    return content
