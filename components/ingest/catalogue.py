"""Finds the catalogue at a path, whatever its layout."""

import os
import posixpath
import zipfile
from pathlib import Path

from components.errors import CatalogueError
from components.ingest.idx import IdxCatalogue, is_idx_folder
from components.ingest.settings import DEFAULT_LAYOUT, Layout
from components.ingest.source import IMAGES, Catalogue, FolderCatalogue, ZipCatalogue
from components.ingest.table import TABLE

# What a refusal ends with that a recipe of the catalogue's own would solve.
DRAFT = "`fashion inspect DATA --draft DIR` writes a recipe for it."
_REMEDY = f"Give the folder or the zip that holds {TABLE} and {IMAGES}/. Or the folder of Fashion-MNIST's idx files."


def open_catalogue(path: str, layout: Layout = DEFAULT_LAYOUT) -> Catalogue:
    """Finds the table and the pictures below `path`, directly or nested in a folder.

    Raises:
        CatalogueError: there is nothing at `path`, it is not a zip, or it lacks `styles.csv` or `images/`, and it is no
            folder with the four idx files of Fashion-MNIST either.
    """
    catalogue = _opened(path)
    catalogue.layout = layout
    return catalogue


def _opened(path: str) -> Catalogue:
    if os.path.isdir(path):
        return _open_folder(path)
    if not os.path.exists(path):
        raise CatalogueError(f"{path}: there is no such file or folder. {_REMEDY}")
    if not os.path.isfile(path):
        raise CatalogueError(f"{path}: is neither a file nor a folder. {_REMEDY}")
    return ZipCatalogue(path, _base_of_zip(path))


def _open_folder(path: str) -> Catalogue:
    try:
        candidates = [path, *sorted(str(each) for each in Path(path).iterdir() if each.is_dir())]
    except OSError as error:
        raise CatalogueError(f"{path}: cannot be listed ({error}). {_REMEDY}") from error
    for folder in candidates:
        if os.path.isfile(os.path.join(folder, TABLE)):
            if os.path.isdir(os.path.join(folder, IMAGES)):
                return FolderCatalogue(folder)
            raise CatalogueError(f"{folder}: there is {TABLE}, but no folder {IMAGES}/ beside it. {_REMEDY}")
        if os.path.lexists(os.path.join(folder, TABLE)):
            raise CatalogueError(f"{folder}: its {TABLE} is not a regular file. {_REMEDY}")
        if is_idx_folder(folder):
            return IdxCatalogue(folder)
    raise CatalogueError(f"{path}: there is no {TABLE} in it. {_REMEDY}")


def _base_of_zip(path: str) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read as a zip ({error}). {_REMEDY}") from error
    tables = [name for name in names if posixpath.basename(name) == TABLE]
    if not tables:
        raise CatalogueError(f"{path}: there is no {TABLE} in it. {_REMEDY}")
    # Copies may lie deeper: the outermost table is the catalogue's own.
    base = min(tables, key=lambda name: (name.count("/"), name)).removesuffix(TABLE)
    if not any(name.startswith(f"{base}{IMAGES}/") for name in names):
        raise CatalogueError(f"{path}: there is {base}{TABLE}, but no folder {IMAGES}/ beside it. {_REMEDY}")
    return base
