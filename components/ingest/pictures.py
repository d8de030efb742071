"""Finds the pictures of a product among the names of files, however a shop calls them."""

import posixpath
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

READ = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif")
_UNREAD = (".psd", ".svg", ".jp2", ".jxl", ".tga", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raw", ".ai", ".eps",
           ".pdf", ".mp4", ".mov", ".ico", ".ppm")  # fmt: skip
_KNOWN = frozenset((*READ, *_UNREAD))
# After an id: the number of a picture, or what it shows.
_REST = re.compile(r"(?:(?:[ _.-]+\(?|\()(?:\d{1,2}|[^\W\d_]{1,16})\)?)+")
_BREAK = re.compile(r"[ _.(-]+")
_MOST_BREAKS = 8
_FIRST = ("main", "front", "primary", "default", "cover")
_VIEWS = frozenset((*_FIRST, "back", "side", "left", "right", "top", "detail", "image", "photo", "picture", "large"))
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_STEM, _BEGINS, _ENDS, _FOLDER, _ZEROS = range(5)


@dataclass(frozen=True, slots=True)
class Match:
    """The pictures of a product, the main one first, and the rule by which they were found.

    `hint` says what is there instead, as a sentence; "" where there is nothing.
    """

    names: tuple[str, ...] = ()
    rule: str = ""
    hint: str = ""


def is_picture(name: str) -> bool:
    """Whether a name can be that of a picture: of a format that is read or another, or without a suffix in a folder."""
    folder, _, file = name.rpartition("/")
    return _split(file)[1] in _KNOWN or bool(folder and "." not in file)


class Pictures:
    """The names of picture files, found by id or by a path, in any capitals and folders.

    A compact index: sorted 64-bit hashes of all that a file may be looked for by, and beside them which file it is.
    """

    def __init__(self, names: Sequence[str], first: str, is_id: Callable[[str], bool]) -> None:
        """Makes the index.

        Args:
            names: of the files, sorted.
            first: the folder whose files come before those of others, with a slash at its end.
            is_id: tells whether a text is the id of a product of the catalogue.
        """
        self._names, self._first, self._is_id = names, first, is_id
        keys, places = array("q"), array("i")
        folder, folder_keys = "", list[int]()
        for place, name in enumerate(names):
            parent, _, file = name.rpartition("/")
            if parent != folder:
                folder, folder_keys = parent, [hash((_FOLDER, plain(part))) for part in parent.split("/")]
            own = [*_keys(_split(plain(file))[0]), *folder_keys]
            keys.extend(own)
            places.extend([place] * len(own))
        order = np.argsort(np.frombuffer(keys, np.int64), kind="stable") if keys else np.zeros(0, np.intp)
        self._keys: NDArray[np.int64] = np.frombuffer(keys, np.int64)[order] if keys else np.zeros(0, np.int64)
        self._places: NDArray[np.int32] = np.frombuffer(places, np.int32)[order] if keys else np.zeros(0, np.int32)

    def by_id(self, product: str) -> Match:
        """Finds the pictures of a product by its id.

        The file that is called so comes first, then those whose name goes on after it (`15970_2`, `15970-front`), and
        those in a folder of that name; unless they are another product's. If there is none at all, leading zeros do not
        count, where that leaves one product.
        """
        own = plain(product)
        found = self._pictures_of(own, product)
        if readable := tuple(filter(_is_read, found)):
            return Match(readable, "id")
        if own.isdecimal():
            zeros = [*self._with(_ZEROS, own.lstrip("0")), *self._with(_STEM, own.lstrip("0"))]
            stems = {stem for name in zeros if _is_read(name) and not self._is_id(stem := _stem(name))}
            if len(stems) == 1:
                return Match(tuple(filter(_is_read, self._pictures_of(*stems, *stems))), "leading zeros")
            found = found or zeros
        near = found or self._ranked([*self._with(_BEGINS, own), *self._with(_ENDS, own)])
        return Match(hint=_there_is([name for name in near if not self._is_others(name, own)]))

    def by_path(self, path: str, whole: bool = False) -> Match:
        """Finds the picture that a path, a file name or an address names; addresses are not fetched.

        It may have backslashes, and what stands before its last parts may be of another machine. All its parts count,
        or, if it is not taken as a `whole`, the last ones where they say enough.
        """
        parts = _parts(path)
        if not parts:
            return Match()
        stem, suffix = _split(parts[-1])
        found = [(self._common(name, parts), name) for name in self._with(_STEM, stem)]
        found = [(common, name) for common, name in found if common == len(parts) or not whole]
        if not found:
            return Match(hint=_not_fetched(path, parts[-1]))
        most = max(common for common, _ in found)
        best = self._ranked([name for common, name in found if common == most], suffix)
        if most == 1 and len(parts) > 1 and (_is_view(stem) or len({posixpath.dirname(name) for name in best}) > 1):
            return Match(hint=f"{_there_is(best)}, but not in a folder {shown(parts[-2])}")
        return Match(tuple(_one_format(best)), "path")

    def by_paths(self, paths: Iterable[str]) -> Match:
        """Finds the pictures that a column names, each as `by_path` does; what is not there is passed over."""
        matches = [self.by_path(path) for path in paths]
        if names := tuple(dict.fromkeys(name for match in matches for name in match.names[:1])):
            return Match(names, "column")
        return matches[0] if matches else Match()

    def _pictures_of(self, own: str, product: str) -> list[str]:
        exact = self._ranked(self._with(_STEM, own))
        # Where capitals tell products apart, they count.
        exact = [name for name in exact if _split(posixpath.basename(name))[0] == product] or exact
        if _is_view(own):  # 100/2.jpg is a picture of the product 100, not of the product 2
            exact = [name for name in exact if not any(map(self._is_id, plain(name).split("/")[:-1]))]
        after = [name for name in self._with(_BEGINS, own) if _REST.fullmatch(_stem(name).removeprefix(own))]
        inside = [name for name in self._with(_FOLDER, own) if _stem(name) != own]
        more = [name for name in (*after, *inside) if not self._is_others(name, own)]
        return _one_format(dict.fromkeys([*exact, *self._in_order(more, own)]))

    def _is_others(self, name: str, own: str) -> bool:
        """Whether a file is another product's: its name is that one's id, or goes on after it."""
        stem = _stem(name)
        if _is_view(stem):
            return False
        starts = (stem, *(stem[: match.start()] for match in _BREAK.finditer(stem)))
        others = (start for start in starts if len(start) > len(own) or not stem.startswith(own))
        return any(map(self._is_id, others))

    def _in_order(self, names: Iterable[str], own: str) -> list[str]:
        """By what follows the id: nothing, a word for the front, numbers from the lowest, other words."""

        def rank(name: str) -> tuple[int, int, str]:
            rest = _stem(name).removeprefix(own).strip(" _.-()")
            number = re.search(r"\d+", rest)
            if not rest or rest in _FIRST:
                return 0, _FIRST.index(rest) if rest else -1, name
            return (1, int(number[0]), name) if number else (2, 0, name)

        return sorted(names, key=rank)

    def _ranked(self, names: Iterable[str], suffix: str = "") -> list[str]:
        """By folder and format: of copies and sizes of a picture, the outermost."""

        def rank(name: str) -> tuple[bool, int, bool, int, str]:
            own = _split(name)[1]
            at = READ.index(own) if own in READ else len(READ) + (own != "")
            return not name.startswith(self._first), name.count("/"), own != suffix, at, name

        return sorted(names, key=rank)

    def _common(self, name: str, parts: Sequence[str]) -> int:
        """How many parts at the end of a path are those of a file; the last is."""
        own = plain(name).split("/")[-2::-1]
        wanted = parts[-2::-1]
        return 1 + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(own, wanted, strict=False)))

    def _with(self, kind: int, text: str) -> list[str]:
        key = hash((kind, text))
        start, stop = np.searchsorted(self._keys, key), np.searchsorted(self._keys, key, "right")
        return [self._names[place] for place in self._places[start:stop].tolist()]


def plain(text: str) -> str:
    """Returns a name as it is compared: in small letters, and an accent, which macOS writes apart, with its letter."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def shown(name: str) -> str:
    """Returns the name of a file in characters that can be written, which it need not hold."""
    return name.encode("utf-8", "replace").decode()


def _keys(stem: str) -> Iterator[int]:
    """What a file may be looked for by, but for its folders."""
    yield hash((_STEM, stem))
    if stem.isdecimal():
        if stem.startswith("0"):
            yield hash((_ZEROS, stem.lstrip("0")))
    elif not stem.isalnum():
        for number, match in enumerate(_BREAK.finditer(stem)):
            if number < _MOST_BREAKS:
                yield hash((_BEGINS, stem[: match.start()]))
                yield hash((_ENDS, stem[match.end() :]))


def _split(name: str) -> tuple[str, str]:
    """What a file is called, and its suffix where that is a known one: `SKU.10004` has none."""
    stem, suffix = posixpath.splitext(name)
    return (stem, suffix.lower()) if suffix.lower() in _KNOWN else (name, "")


def _is_read(name: str) -> bool:
    return _split(name)[1] in ("", *READ)


def _is_view(stem: str) -> bool:
    """Whether a name says which picture of a product it is, not of which product: many products have one."""
    return stem in _VIEWS or (stem.isdecimal() and len(stem) <= 2)


def _stem(name: str) -> str:
    return _split(plain(posixpath.basename(name)))[0]


def _parts(path: str) -> list[str]:
    if _URL.match(path):
        path = unquote(urlsplit(path).path)
    return [part for part in plain(path.strip().replace("\\", "/")).split("/") if part not in ("", ".", "..")]


def _one_format(names: Iterable[str]) -> list[str]:
    """Of files that differ in their format only, the first."""
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(_split(name)[0], name)
    return list(first.values())


def _there_is(names: Sequence[str]) -> str:
    if not names:
        return ""
    if not _is_read(names[0]):
        return f"there is {shown(names[0])}: not a format that is read"
    return f"there is {' and '.join(map(shown, names[:3]))}" + (" and others" if len(names) > 3 else "")


def _not_fetched(path: str, file: str) -> str:
    if not _URL.match(path):
        return ""
    return f"nothing is fetched from {shown(path[:200])}: put {shown(file)} into the catalogue"
