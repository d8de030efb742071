"""The shapes a drawn catalogue comes in: what three shops call their columns, ids, classes and pictures."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from components.features import COLUMNS
from pipeline.synthetic import eyewear, fragrances, others, shoes, topwear, underwear
from pipeline.synthetic.articles import ARTICLES, Article

Row = Mapping[str, str]


@dataclass(frozen=True)
class Shop:
    """How a shop keeps what it sells."""

    table: str  # name of the table
    encoding: str  # of the table
    header: str  # its first line
    lines: Callable[[Row], str]  # takes a product by the columns of `components.features`, gives its line or lines
    pictures: Callable[[Row], tuple[str, ...]]  # takes the same, gives where its pictures lie, the main one first
    format: str = "JPEG"  # of the pictures, as Pillow calls it
    articles: tuple[Article, ...] = ARTICLES  # what it sells


def _joined(rows: Iterable[Iterable[str]], separator: str = ",", end: str = "\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator=end).writerows(rows)
    return text.getvalue()


def _kaggle(row: Row) -> str:
    # Joined without quotes, as the real catalogue is.
    return ",".join(row[column] for column in COLUMNS) + "\n"


_WORDS = {
    "Black": "Schwarz", "White": "Weiß", "Blue": "Blau", "Red": "Rot", "Green": "Grün", "Pink": "Rosa",
    "Yellow": "Gelb", "Grey": "Grau", "Brown": "Braun", "Purple": "Violett", "Men": "Herren", "Women": "Damen",
    "Summer": "Frühjahr/Sommer", "Spring": "Frühjahr/Sommer", "Fall": "Herbst/Winter", "Winter": "Herbst/Winter",
    "NA": "-",
}  # fmt: skip
_COLOURS, _BOTH, _WOMEN, _DAILY = tuple(_WORDS)[:10], ("Men", "Women"), ("Women",), ("Casual",)
_GERMAN_ARTICLES = (
    Article("Mode/Bekleidung/T-Shirts & Tops", 16, topwear.tshirt, "T-Shirt", _COLOURS, _BOTH, _DAILY),
    Article("Mode/Bekleidung/Mäntel & Jacken", 15, topwear.coat, "Wollmantel", _COLOURS, _BOTH, _DAILY),
    Article("Mode/Bekleidung/Röcke", 14, others.skirt, "Rock", _COLOURS, _WOMEN, _DAILY),
    Article("Mode/Bekleidung/Wäsche", 13, underwear.briefs, "Slip", _COLOURS, _BOTH, _DAILY),
    Article("Mode/Schuhe/Schuhe", 15, shoes.casual_shoe, "Sneaker", _COLOURS, _BOTH, _DAILY),
    Article("Mode/Zubehör/Sonnenbrillen", 14, eyewear.sunglasses, "Sonnenbrille", _COLOURS, _BOTH, _DAILY),
    Article("Mode/Zubehör/Düfte", 13, fragrances.perfume, "Eau de Parfum", _COLOURS, _BOTH, _DAILY),
)
_GERMAN_COLUMNS = ("Artikelnummer", "Bezeichnung", "Kategorie", "Farbe", "Geschlecht", "Saison", "Preis", "Bild")


def _german(row: Row) -> str:
    name = " ".join(_WORDS.get(word, word) for word in row["productDisplayName"].split())
    words = (_WORDS.get(row[column], row[column]) for column in ("baseColour", "gender", "season"))
    price, picture = f"{int(row['id']) % 90 + 9},95", _german_pictures(row)[0].rpartition("/")[2]
    return _joined([(f"AW-0{row['id']}", name, row["articleType"], *words, price, picture)], ";", "\r\n")


def _german_pictures(row: Row) -> tuple[str, ...]:
    return (f"Bilder/{_WORDS[row['gender']]}/{row['articleType']}/DSC_{row['id']}.JPG",)


_SHOPIFY_COLUMNS = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Type", "Tags", "Published", "Option1 Name", "Option1 Value",
    "Option2 Name", "Option2 Value", "Variant SKU", "Variant Price", "Image Src", "Image Position", "Status",
)  # fmt: skip


def _shopify(row: Row) -> str:
    """A line for each size, the first with all that is said of the product, and for each picture."""
    title = row["productDisplayName"]
    vendor = title.split(maxsplit=1)[0].rstrip(",")
    tags = ", ".join(row[column] for column in ("gender", "season", "usage") if row[column] not in ("", "NA"))
    body = f'<p class="lead">{title}, drawn by hand.</p>\n<ul>\n<li>fits a 12" hanger</li>\n<li>"easy care"</li>\n</ul>'
    product = {"Title": title, "Body (HTML)": body, "Vendor": vendor, "Type": row["subCategory"], "Tags": tags,
               "Published": "true", "Option1 Name": "Color", "Option2 Name": "Size", "Status": "active"}  # fmt: skip
    sizes, pictures = ("S", "M", "L")[: int(row["id"]) % 3 + 1], _shopify_pictures(row)
    lines = []
    for number in range(max(len(sizes), len(pictures))):
        line = {"Handle": f"{'-'.join(title.lower().replace(',', '').split())}-{row['id']}"}
        line |= {} if number else product
        if number < len(sizes):
            line |= {"Option1 Value": row["baseColour"], "Option2 Value": sizes[number], "Variant Price": "39.95",
                     "Variant SKU": f"{row['id']}-{sizes[number]}"}  # fmt: skip
        if number < len(pictures):
            line["Image Src"] = f"https://cdn.shopify.com/s/files/1/0042/files/{pictures[number][7:]}?v=1"
            line["Image Position"] = str(number + 1)
        lines.append([line.get(column, "") for column in _SHOPIFY_COLUMNS])
    return _joined(lines)


def _shopify_pictures(row: Row) -> tuple[str, ...]:
    sides = ("front", "back") if int(row["id"]) % 4 == 0 else ("front",)
    return tuple(f"images/{row['id']}_{side}.webp" for side in sides)


SHOPS = {
    "kaggle": Shop("styles.csv", "utf-8", ",".join(COLUMNS) + "\n", _kaggle, lambda row: (f"images/{row['id']}.jpg",)),
    "german": Shop(
        "products.csv", "cp1252", _joined([_GERMAN_COLUMNS], ";", "\r\n"), _german, _german_pictures,
        articles=_GERMAN_ARTICLES,
    ),
    "shopify": Shop(
        "products_export.csv", "utf-8", _joined([_SHOPIFY_COLUMNS]), _shopify, _shopify_pictures, format="WEBP"
    ),
}  # fmt: skip
