"""Rows and files of a synthetic catalogue, with the faults of a real one."""

import io
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from random import Random

from PIL import Image

from components.errors import CatalogueError
from pipeline.synthetic.articles import ARTICLES, COLOURS, IN_CLASSES, Article
from pipeline.synthetic.draw import Brush, vary
from pipeline.synthetic.photo import photograph
from pipeline.synthetic.shops import SHOPS, Shop

# Each fault, and how many products share one of it; missing, truncated and empty pictures cost 4 of 600 products.
# A shared picture is that of the product before. It stands first because no fault takes the number before the first's.
PERIODS = {
    "shared_picture": 200, "missing_picture": 300, "truncated_picture": 600, "empty_picture": 600, "grey_picture": 100,
    "other_size": 200, "unquoted_comma": 200, "missing_colour": 150, "missing_season": 200, "missing_year": 300,
    "missing_usage": 100,
}  # fmt: skip
_BLANKS = {"missing_colour": ("baseColour", "NA"), "missing_season": ("season", ""), "missing_year": ("year", ""),
           "missing_usage": ("usage", "NA")}  # fmt: skip
_OTHER_SIZES = ((60, 80), (90, 120), (120, 120), (180, 240))
_HUNDRED = 100
_FIRST_ID, _ID_GAP = 10_000, 7

_MAKERS = ("Alderby", "Brontell", "Corvena", "Dunmere", "Elsby", "Fennora", "Harlune", "Kestrin")
_TRAITS = ("", "", "Classic", "Essential", "Everyday", "Signature", "Studio")
_SEASONS = {"Summer": 48, "Fall": 26, "Winter": 19, "Spring": 7}
_YEARS = {"2012": 37, "2011": 31, "2016": 13, "2017": 7, "2015": 6, "2013": 3, "2010": 2, "2018": 1}


@dataclass(frozen=True)
class Summary:
    """What was written: products of the table, and files of pictures, damaged and second ones included.

    `faults` are how many products have each fault; one product has at most one.
    """

    products: int
    pictures: int
    faults: Mapping[str, int]


def write_catalogue(
    out: Path, products: int = 600, seed: int = 1, report: Callable[[int, int], None] | None = None,
    shape: str = "kaggle",
) -> Summary:  # fmt: skip
    """Draws a catalogue, as a rule `styles.csv` and `images/<id>.jpg` in the layout of *Fashion Product Images*.

    Pictures are 120 × 160 pixels, drawn on a white ground. Six classes (topwear, shoes, underwear, jewelry, fragrances,
    eyewear) make up 85 of each hundred products, none less than 12; the others are outside all six. In the shape of a
    German shop there are seven classes, and nothing outside them. `shape` is a key of `shops.SHOPS`.

    The same arguments give the same bytes on the same versions of Pillow and NumPy, and the first products of a large
    catalogue are those of a small one with the same seed. From 100 products up every fault occurs. More than 100 are
    drawn in processes of their own: a script that calls this needs `if __name__ == "__main__":`.

    The folder may exist if it is empty; it appears only when it is complete. `report` is called now and then with how
    many are done and how many there will be.

    Raises:
        CatalogueError: `products` is below 1, `out` is a file or not empty, or it cannot be written.
    """
    if products < 1:
        raise CatalogueError(f"products {products} is below 1: a catalogue has at least one product.")
    out = out.resolve()
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise CatalogueError(f"{out} is not an empty folder. Remove it, or name another with --out.")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as beside:
            unfinished = Path(beside) / out.name
            summary = _write(unfinished, products, seed, report, shape)
            unfinished.rename(out)
    except OSError as error:
        raise CatalogueError(f"{out} cannot be written ({error.strerror}). Name another folder with --out.") from error
    return summary


def _write(folder: Path, products: int, seed: int, report: Callable[[int, int], None] | None, shape: str) -> Summary:
    faults: Counter[str] = Counter()
    shop = SHOPS[shape]
    lines, pictures, done = [shop.header], 0, 0
    for part in _parts(folder, products, seed, shape):
        lines += part.lines
        pictures += part.pictures
        faults.update(part.faults)
        done += len(part.lines)
        if report:
            report(done, products)
    (folder / shop.table).write_bytes("".join(lines).encode(shop.encoding))
    return Summary(products, pictures, dict(faults))


def _parts(folder: Path, products: int, seed: int, shape: str) -> Iterator["_Part"]:
    """Draws hundreds of products on all processors: no product depends on another one having been drawn."""
    draw = partial(_draw, folder, seed, shape)
    hundreds = [range(first, min(first + _HUNDRED, products)) for first in range(0, products, _HUNDRED)]
    workers = min(len(hundreds), os.cpu_count() or 1)
    if workers == 1:
        yield from map(draw, (range(index, index + 1) for index in range(products)))
        return
    # Not forked: the caller may be loading TensorFlow meanwhile, which has threads.
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(draw, hundreds)


@dataclass(frozen=True)
class _Part:
    """Products that were drawn: the lines of each in the table, how many pictures, and the faults there are."""

    lines: list[str]
    pictures: int
    faults: list[str]


def _draw(folder: Path, seed: int, shape: str, indices: range) -> _Part:
    lines, pictures, faults, shop = [], 0, [], SHOPS[shape]
    for index in indices:
        fault = fault_of(index, seed)
        source = _source(index, fault)
        article = _article(source, seed, shop.articles)
        row = _row(article, Random(f"{seed}/product/{source}"))
        row["id"] = str(_FIRST_ID + _ID_GAP * index + Random(f"{seed}/id/{index}").randrange(_ID_GAP))
        if fault != "missing_picture":
            rng = Random(f"{seed}/picture/{source}")
            for name in shop.pictures(row):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(_picture(article, row["baseColour"], rng, fault, shop))
                pictures += 1
        lines.append(shop.lines(_with_fault(row, fault)))
        faults += [fault] if fault else []
    return _Part(lines, pictures, faults)


def fault_of(index: int, seed: int) -> str | None:
    """Which fault of `PERIODS` a product has, None for a sound one; it depends on no later product.

    Each kind keeps to product numbers of its own, so that no two meet. Its first comes within the first hundred
    products, later ones in the second half of their period: a longer catalogue never has a larger share of faults.
    """
    kinds = len(PERIODS) + 1
    kind = index % kinds
    if kind == len(PERIODS):
        return None
    fault, period = list(PERIODS.items())[kind]
    block = index // period
    first, last = (kinds, _HUNDRED) if block == 0 else (block * period + period // 2, (block + 1) * period)
    candidates = range(first + (kind - first) % kinds, last, kinds)
    # Whoever trains on the six classes never opens the pictures of the others, and would not see their faults.
    visible = [number for number in candidates if _article(_source(number, fault), seed) in IN_CLASSES]
    return fault if index == Random(f"{seed}/{fault}/{block}").choice(visible or candidates) else None


def _source(index: int, fault: str | None) -> int:
    """The product whose picture and description this one shows."""
    return index - 1 if fault == "shared_picture" else index


def _article(index: int, seed: int, articles: tuple[Article, ...] = ARTICLES) -> Article:
    hundred, place = divmod(index, _HUNDRED)
    return _order(hundred, seed, articles)[place]


@lru_cache(maxsize=16)
def _order(hundred: int, seed: int, articles: tuple[Article, ...]) -> list[Article]:
    """The articles of a hundred products, in their quotas and mixed."""
    order = [article for article in articles for _ in range(article.quota)]
    Random(f"{seed}/order/{hundred}").shuffle(order)
    return order


def _row(article: Article, rng: Random) -> dict[str, str]:
    """The row of a sound product, but for its id."""
    master, sub, kind = article.category.split("/")
    gender, colour = rng.choice(article.genders), rng.choice(article.colours)
    words = (rng.choice(_MAKERS), gender, rng.choice(_TRAITS), colour, article.noun)
    return {
        "gender": gender, "masterCategory": master, "subCategory": sub, "articleType": kind, "baseColour": colour,
        "season": rng.choices(list(_SEASONS), list(_SEASONS.values()))[0],
        "year": rng.choices(list(_YEARS), list(_YEARS.values()))[0], "usage": rng.choice(article.usages),
        "productDisplayName": " ".join(filter(None, words)),
    }  # fmt: skip


def _with_fault(row: dict[str, str], fault: str | None) -> dict[str, str]:
    if fault == "unquoted_comma":
        maker, rest = row["productDisplayName"].split(" ", 1)
        return row | {"productDisplayName": f"{maker}, The Capsule, {rest}"}
    column, blank = _BLANKS.get(fault or "", ("", ""))
    return row | {column: blank} if column else row


def _picture(article: Article, colour: str, rng: Random, fault: str | None, shop: Shop) -> bytes:
    """The product's picture as it lies in the catalogue, sound or not."""
    accent = rng.choice([name for name in COLOURS if name != colour])
    brush = Brush(rng, vary(COLOURS[colour], rng), vary(COLOURS[accent], rng))
    article.draw(brush)
    picture = photograph(brush.layer, rng, second=brush.pair)
    quality = rng.randint(84, 94)
    if fault == "grey_picture":
        picture = picture.convert("L")
    elif fault == "other_size":
        picture = picture.resize(rng.choice(_OTHER_SIZES), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, shop.format, quality=quality)
    encoded = buffer.getvalue()
    return {"truncated_picture": encoded[: len(encoded) * 3 // 5], "empty_picture": b""}.get(fault or "", encoded)
