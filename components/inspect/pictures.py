"""Where the pictures are: how rows find them, and what a sample of them is like."""

import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fashion_client.formats import open_picture

_SAMPLE = 200
_IDS = 50


@dataclass
class PictureCounts:
    """The catalogue's pictures."""

    files: int = 0  # how many lie there; `matched` rows have one, and there are `further` ones of other sides of them
    matched: int = 0
    further: int = 0
    # id and what is there instead, of the first rows that have none.
    without: list[tuple[str, str]] = field(default_factory=list)
    # Of a sample, as Pillow calls them; "unreadable" where the header cannot be read.
    formats: Counter[str] = field(default_factory=Counter)
    # Width and height of the sample's pictures, the smallest first.
    sizes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def median(self) -> tuple[int, int] | None:
        """Width and height of the picture in the middle."""
        return self.sizes[len(self.sizes) // 2] if self.sizes else None


def look_at(counts: PictureCounts, names: Sequence[str], read: Callable[[str], bytes]) -> None:
    """Reads the headers of a sample, evenly over all names."""
    for name in names[:: max(1, len(names) // _SAMPLE)][:_SAMPLE]:
        try:
            image = open_picture(read(name))
        except Exception:  # noqa: BLE001  Pillow raises all kinds of exceptions on damaged files
            image = None
        counts.formats[str(image.format) if image else "unreadable"] += 1
        if image:
            counts.sizes.append(image.size)
    counts.sizes.sort(key=lambda size: (size[0] * size[1], size))


def find_template(ids: Iterable[str], names: Sequence[str]) -> str | None:
    """How pictures are called that hold the id in their name, e.g. `images/{id}_front.jpg`.

    It is the pattern that most of the first ids follow; None if none does for half of them.
    """
    patterns: Counter[str] = Counter()
    first = [product for product, _ in zip(ids, range(_IDS), strict=False)]
    for product in first:
        holding = [name for name in names if product in posixpath.basename(name)]
        patterns.update({name.replace(product, "{id}") for name in holding})
    [(pattern, count)] = patterns.most_common(1) or [("", 0)]
    return pattern if count > len(first) / 2 else None
