"""Finds the catalogue at a path, whatever its layout."""

import fnmatch
import os
import posixpath
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from components.errors import CatalogueError
from components.ingest.files import Files, FolderFiles, open_file, readable
from components.ingest.idx import IdxCatalogue, is_idx_folder
from components.ingest.pictures import is_picture, plain, shown
from components.ingest.settings import DEFAULT_LAYOUT, DRAFT, Layout
from components.ingest.source import IMAGES, Catalogue, ShopCatalogue
from components.ingest.table import TABLE
from components.ingest.tars import TarFiles
from components.ingest.zips import HOW_TO_PACK, ZipFiles
from components.reading import choices

TABLES = (".csv", ".tsv", ".tab", ".xlsx", ".parquet", ".txt")
_TEXT = (".csv", ".tsv", ".tab", ".txt")
_OTHER_TABLES = (".xls", ".ods", ".numbers", ".json", ".jsonl", ".xml", ".csv.gz", ".xlsb")
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar", ".tar.zst")
_OTHER_ARCHIVES = {b"7z\xbc\xaf": "7z", b"Rar!": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
_LONGEST_HEADER = 1 << 20
_REMEDY = (
    f"Give the folder or the zip that holds the table and the pictures, as {TABLE} and {IMAGES}/; or the folder of "
    "Fashion-MNIST's idx files."
)


def open_catalogue(path: str, layout: Layout = DEFAULT_LAYOUT) -> Catalogue:
    """Finds the table and the pictures at `path`, in whatever folders.

    Raises:
        CatalogueError: there is no folder, zip or tar at `path`, it cannot be read, it lacks a table or pictures, or it
            has several tables; and it is not a folder with the four idx files of Fashion-MNIST either.
    """
    files = open_files(path)
    if not layout.table and not _outermost_styles(files) and (folder := _idx_folder(path)):
        return IdxCatalogue(folder)
    tables = choose_tables(files, layout)
    if not any(map(is_picture, files.names())):
        found = f"{path}: there is {_listed(tables)}, but no picture"
        if archives := _named(files, _ARCHIVES):
            raise CatalogueError(f"{found}; there is {_listed(archives)}: unpack it there, and give the folder.")
        raise CatalogueError(f"{found}. Addresses of pictures are not fetched: put the files beside it. {_REMEDY}")
    return ShopCatalogue(files, tables, layout)


def open_files(path: str) -> Files:
    """Opens what lies at a path: a folder, a zip or a tar; its content is looked at later.

    Raises:
        CatalogueError: there is nothing, or something else.
    """
    if os.path.isdir(path):
        return FolderFiles(path)
    if not os.path.exists(path):
        raise CatalogueError(f"{path}: there is no such file or folder. {_REMEDY}")
    if not os.path.isfile(path):
        raise CatalogueError(f"{path}: is neither a file nor a folder. {_REMEDY}")
    if path.lower().endswith(TABLES):
        raise CatalogueError(f"{path}: is a table by itself. Give the folder that holds it and the pictures.")
    with readable(path), open_file(path) as file:
        start = file.read(512)
    for magic, kind in _OTHER_ARCHIVES.items():
        if start.startswith(magic):
            raise CatalogueError(f"{path}: is packed by {kind}, which is not read. {HOW_TO_PACK}")
    if not zipfile.is_zipfile(path) and (start[257:262] == b"ustar" or tarfile.is_tarfile(path)):
        return TarFiles(path)
    return ZipFiles(path)


def choose_tables(files: Files, layout: Layout = DEFAULT_LAYOUT) -> Sequence[str]:
    """Returns the names of the table, or of its parts: what the layout says, `styles.csv`, or the only table there is.

    Raises:
        CatalogueError: there is none, or several that are not parts of one.
    """
    if layout.table:
        if matches := _matches(files.names(), layout.table):
            return matches
        tables = _named(files, TABLES)
        known = choices(layout.table, list(map(shown, tables))) if tables else "there is no table at all"
        raise CatalogueError(f"{files.path}: there is no catalogue.table {layout.table!r} in it; {known}.")
    if styles := _outermost_styles(files):
        return (styles,)
    tables = [name for name in _named(files, TABLES) if not name.lower().endswith(".txt")] or _named(files, (".txt",))
    if not tables:
        raise CatalogueError(_no_table(files))
    depth = min(name.count("/") for name in tables)
    outermost = [name for name in tables if name.count("/") == depth]
    if len(outermost) > 1 and len({_header(files, name) for name in outermost}) > 1:
        raise CatalogueError(
            f"{files.path}: there are {len(outermost):,} tables with different columns, {_listed(outermost)}. Say "
            f"which one in the recipe, as catalogue.table. {DRAFT}"
        )
    return outermost


def _outermost_styles(files: Files) -> str | None:
    """The table that is called `styles`: copies may lie deeper, the outermost is the catalogue's own."""
    stem = TABLE.partition(".")[0]
    tables = [name for name in _named(files, TABLES) if plain(posixpath.basename(name)).partition(".")[0] == stem]
    ranks = {suffix: rank for rank, suffix in enumerate(TABLES)}
    return min(
        tables, key=lambda name: (name.count("/"), ranks[posixpath.splitext(name)[1].lower()], name), default=None
    )


def _named(files: Files, suffixes: Sequence[str]) -> list[str]:
    return [name for name in files.names() if name.lower().endswith(tuple(suffixes))]


def _matches(names: Sequence[str], pattern: str) -> Sequence[str]:
    wanted = plain(pattern.replace("\\", "/")).removeprefix("./")
    for own in (wanted, f"*/{wanted}"):
        if matches := [name for name in names if plain(name) == own] or [
            name for name in names if fnmatch.fnmatchcase(plain(name), own)
        ]:
            return matches
    return ()


def _header(files: Files, name: str) -> bytes | str:
    """What two parts of one table have alike; of a workbook, its name."""
    if not name.lower().endswith(_TEXT):
        return name
    with readable(f"{files.path}/{shown(name)}"), files.open(name) as file:
        return file.readline(_LONGEST_HEADER).strip()


def _idx_folder(path: str) -> str | None:
    if not os.path.isdir(path):
        return None
    folders = (path, *sorted(str(each) for each in Path(path).iterdir() if each.is_dir()))
    return next(filter(is_idx_folder, folders), None)


def _no_table(files: Files) -> str:
    found = f"{files.path}: there is no {TABLE} and no other table in it"
    if archives := _named(files, _ARCHIVES):
        inside = isinstance(files, FolderFiles)
        advice = f"give {files.path}/{shown(archives[0])}" if inside else "unpack it, and give what lies in it"
        return f"{found}; there is {_listed(archives)}: {advice}."
    if others := _named(files, _OTHER_TABLES):
        return f"{found}; there is {_listed(others)}, which is not read: save it as CSV or as .xlsx."
    return f"{found}. {_REMEDY}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:3])) + (f" and {len(names) - 3:,} others" if len(names) > 3 else "")
