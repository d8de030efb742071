"""Which column of a table is which, by its name: ours, or one that shops and their systems use for the same."""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.errors import CatalogueError
from components.features import COLUMNS, ID
from components.ingest.settings import DRAFT, PICTURE, Layout
from components.reading import choices

# Role to what Shopify, WooCommerce, Shopware, Google's feeds, H&M's data and shops in several languages call it, as
# `plain` writes it; the likeliest first. Roles choose in this order: a table with `category` alone has its types there.
# WooCommerce's `Type` says nothing of the kind, and beside it stand `Categories`.
_ALIASES: Mapping[str, str] = {
    ID: "productid sku handle articleid itemid articlenumber articleno artikelnummer artikelnr artnr artikelid "
    "produktid produktnummer productnumber ordernumber bestellnummer bestellnr itemnumber itemno stylecode styleid "
    "stylenumber productcode articlecode itemcode code gtin ean barcode mpn asin reference referencia ref refid uid "
    "imageid pictureid uniqid uniqueid",
    "articleType": "producttype producttypename itemtype garmenttype clothingtype articletypename artikeltyp "
    "produkttyp produktart artikelart warenart categories kategorien type typ category categoryname kategorie "
    "productcategory productcategories produktkategorie artikelkategorie warengruppe categorie categoria categoriename "
    "googleproductcategory categorypath kategoriepfad class classname label labels target",
    "subCategory": "subcategoryname subcat subcategories subcategory1 unterkategorie category2 categorylevel2 "
    "kategorie2 productgroup productgroupname produktgruppe artikelgruppe souscategorie subcategoria "
    "productcategory category kategorie",
    "masterCategory": "maincategory mastercategoryname parentcategory topcategory hauptkategorie oberkategorie "
    "category1 categorylevel1 kategorie1 department departmentname abteilung division indexgroupname "
    "googleproductcategory category kategorie",
    "gender": "sex geschlecht targetgender gendername zielgruppe sexe genre genero genere",
    "baseColour": "basecolor colour color farbe grundfarbe hauptfarbe colourname colorname farbname colourgroupname "
    "primarycolor primarycolour maincolor couleur colore kleur",
    "season": "saison seasonname stagione temporada seizoen",
    "year": "jahr modelljahr modelyear launchyear annee ano jaar anno",
    "usage": "occasion verwendung verwendungszweck anlass einsatzbereich use",
    "productDisplayName": "productname displayname producttitle title name prodname itemname articlename itemtitle "
    "artikelname artikelbezeichnung bezeichnung produktname produktbezeichnung produkttitel titel nombre nom titre "
    "titulo titolo",
    PICTURE: "imagesrc imagelink imageurl image images mainimage mainimageurl picture pictures pictureurl photo photos "
    "photourl foto fotos bild bilder bilddatei bildname bildpfad bildurl hauptbild imagefile imagefilename imagename "
    "imagepath filename file filepath path img imgurl imagen immagine productimage productimageurl imageurls "
    "baseimage featuredimage",
}
_MORE_PICTURES = re.compile(r"(additionalimagelinks?|additionalimages?|(?:image|picture|photo|bild|img)\D{0,4}\d{1,2})")
# `g:` of Google's feeds, `Google Shopping / ` of Shopify's exports, and what Shopify's say in brackets of a metafield.
_AROUND = re.compile(r"^g:|^google shopping\s*/|\(.*?\)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column with a role: its index from 0, its name in the header, and why it has the role, half a sentence."""

    index: int
    name: str
    reason: str


def plain(name: str) -> str:
    """Returns a column's name without capitals, accents, spaces, punctuation and what systems put around it."""
    text = unicodedata.normalize("NFKD", _AROUND.sub("", name.strip()).casefold())
    return "".join(filter(str.isalnum, text))


def find_columns(names: Sequence[str], layout: Layout, needed: Collection[str] = ()) -> dict[str, Column]:
    """Finds the column of each role that there is one for.

    Those that the layout names come first, then those that are called like the role, then well-known names; the roles
    that are needed choose before the others. A table without ids but with names of pictures has its ids there.
    """
    by_plain: dict[str, int] = {}
    for index, name in enumerate(names):
        by_plain.setdefault(plain(name), index)
    columns: dict[str, Column] = {}
    roles = sorted((role for role in _ALIASES if role not in layout.columns), key=lambda role: role not in needed)
    for role, name in {**layout.columns, **{role: role for role in roles}}.items():
        if (index := names.index(name) if name in names else by_plain.get(plain(name), -1)) >= 0:
            reason = "named in catalogue.columns" if role in layout.columns else "called so"
            columns[role] = Column(index, names[index], reason)
    taken = {column.index for column in columns.values()}
    for role in roles:
        if role not in columns:
            found = (by_plain[alias] for alias in _ALIASES[role].split() if alias in by_plain)
            if (index := next((index for index in found if index not in taken), -1)) >= 0:
                columns[role] = Column(index, names[index], "a well-known name of it")
                taken.add(index)
    if ID not in columns and PICTURE in columns and ID not in layout.columns:
        picture = columns[PICTURE]
        columns[ID] = Column(picture.index, picture.name, "there is no other, and pictures are named")
    return columns


def further_pictures(names: Sequence[str], columns: Mapping[str, Column]) -> list[int]:
    """Returns the columns that name more pictures of the same product, as `image_2`."""
    taken = {column.index for column in columns.values()}
    return [i for i, name in enumerate(names) if i not in taken and _MORE_PICTURES.fullmatch(plain(name))]


def find_column(name: str, names: Sequence[str], columns: Mapping[str, Column]) -> int | None:
    """Returns the column that a recipe names: by its own name, in any capitals, or by its role."""
    if name in names:
        return names.index(name)
    if name in columns:
        return columns[name].index
    return next((index for index, other in enumerate(names) if plain(other) == plain(name)), None)


def lacking(names: Sequence[str], columns: Mapping[str, Column], needed: Iterable[str]) -> list[str]:
    """Returns those that a table does not have of the columns that are needed, the id among them."""
    return [name for name in dict.fromkeys((ID, *needed)) if find_column(name, names, columns) is None]


def check_columns(
    place: str, names: Sequence[str], columns: Mapping[str, Column], needed: Iterable[str], layout: Layout
) -> None:
    """Refuses a table that lacks a column, or has one twice.

    Raises:
        CatalogueError: says which columns there are.
    """
    for role, name in layout.columns.items():
        if role not in columns:
            raise CatalogueError(
                f"{place}: there is no column {name!r}, which catalogue.columns.{role} names; {choices(name, names)}."
            )
    wanted = list(dict.fromkeys((ID, *needed)))
    for name in lacking(names, columns, needed):
        raise CatalogueError(
            f"{place}: there is no column {name!r}, and none that is known to hold the same. Its columns are "
            f"{listed(names)}; needed are {listed(wanted)}. Say which is which in the recipe, e.g. "
            f"catalogue.columns: {{{name}: {names[0] if names else ''}}}; or {DRAFT}"
        )
    for name in (*wanted, *COLUMNS):
        found = columns[name].name if name in columns else name
        if list(names).count(found) > 1:
            raise CatalogueError(f"{place}: the column {found!r} stands twice. Remove or rename one of them.")


def listed(names: Collection[str]) -> str:
    """The first dozen of some names, as a sentence has them."""
    shown = [name if len(name) <= 40 else name[:40] + "…" for name in list(names)[:12]]
    return ", ".join(shown) + (", …" if len(names) > 12 else "")
