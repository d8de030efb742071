"""Cache keys that see edits of what a parameter only names.

TFX reuses a stage's outputs when its inputs and parameters are the same; it does not look at code and files that are
named rather than passed. A digest of them among the parameters closes that gap, and is computed: a list kept by hand
forgets the module that was imported yesterday.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import CodeType

_ROOT = Path(__file__).parent.parent
_OURS = ("components", "pipeline", "schema", "serving")
# The packages that decide what a stage makes: module to distribution. Of all others only the interface is used.
_DECIDING = {
    "PIL": "pillow", "keras": "keras", "keras_tuner": "keras-tuner", "numpy": "numpy", "scipy": "scipy",
    "sklearn": "scikit-learn", "tensorflow": "tensorflow", "tensorflow_data_validation": "tensorflow-data-validation",
    "tensorflow_model_analysis": "tensorflow-model-analysis", "tensorflow_transform": "tensorflow-transform",
}  # fmt: skip


def content_digest(path: Path) -> str:
    """Returns a hex digest of a file, or of all files below a folder with their names; "" where there is neither."""
    if not path.exists():
        return ""
    files = sorted(below for below in path.rglob("*") if below.is_file()) if path.is_dir() else [path]
    digest = hashlib.blake2b(digest_size=8)
    for file in files:
        with file.open("rb") as content:  # weights are large: piece by piece
            own = hashlib.file_digest(content, "blake2b").digest()
        digest.update(str(file.relative_to(path)).encode() + b"\0" + own)
    return digest.hexdigest()


def code_digest(*modules: str) -> str:
    """Returns a hex digest of what decides the results of some modules.

    That is their own code and that of all modules of this project which they import, directly or not, without comments
    and docstrings; and the versions of the few packages behind them that compute something.

    Args:
        modules: e.g. "components.train.trainer".
    """
    ours, theirs = imports_of(modules)
    digest = hashlib.blake2b(digest_size=8)
    for name in sorted(ours):
        digest.update(name.encode() + b"\0" + _code(ours[name]))
    for module in sorted(theirs & _DECIDING.keys()):
        digest.update(f"{module} {_version(_DECIDING[module])}\0".encode())
    return digest.hexdigest()


def _version(distribution: str) -> str:
    """The version of a distribution, or of its build for the CPU alone, which has another name."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return version(f"{distribution}-cpu")


def imports_of(modules: Iterable[str]) -> tuple[dict[str, Path], set[str]]:
    """Finds all that modules import, wherever in them the import stands.

    Returns:
        The modules of this project, those given among them, with their files; the names of other packages.
    """
    ours: dict[str, Path] = {}
    theirs: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name in ours or file is None:
            continue
        ours[name] = file
        for imported in _imported(file):
            if imported.partition(".")[0] in _OURS:
                waiting.append(imported)
            else:
                theirs.add(imported.partition(".")[0])
    return ours, theirs


def _file_of(module: str) -> Path | None:
    path = _ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@cache
def _imported(file: Path) -> frozenset[str]:
    return frozenset(_names(ast.parse(file.read_bytes())))


def _names(node: ast.AST) -> Iterator[str]:
    """The modules that code imports; a name that is imported from one may be a module as well."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue  # for types alone: what is imported there does not run
        else:
            yield from _names(child)


@cache
def _code(file: Path) -> bytes:
    # Compiled: a comment, a docstring or another line number changes nothing that is compared.
    return repr(_essence(compile(file.read_bytes(), file.name, "exec", optimize=2))).encode()


def _essence(code: CodeType) -> list[object]:
    constants = [_essence(each) if isinstance(each, CodeType) else _ordered(each) for each in code.co_consts]
    return [code.co_code, code.co_exceptiontable, code.co_names, code.co_varnames, code.co_freevars, constants]


def _ordered(constant: object) -> object:
    # The order of a set is another one in each process.
    return sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
