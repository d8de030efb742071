"""Which column of a shop's table is what, and why: by its name where that says it, else by its values."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from components.features import ID, NAME, YEAR, LabelColumn
from components.ingest.columns import Column, plain
from components.ingest.settings import PICTURE
from components.inspect.contents import Content

LABELS = get_args(LabelColumn)
# By which roles a shop's assortment is best told apart: by what a product is, before whom or what it is for.
_BEST_LABELS = ("articleType", "subCategory", "masterCategory", "usage", "gender", "season", "baseColour")
KINDS = _BEST_LABELS[:3]
_MOST_CLASSES = 500
# What shops call the column whose value all sizes and colours of a product share.
_VARIANTS = (
    "itemgroupid", "groupid", "parentsku", "parentid", "parent", "parentproduct", "modelid", "modelnumber",
    "modellnummer", "modell", "styleid", "stylenumber", "masterid", "mastersku", "elternartikel", "vaterartikel",
    "hauptartikel",
)  # fmt: skip
_MOST_VARIANTS = 100
# What the values of columns are that nobody would learn kinds of products from, in English, German and French.
_VALUES = {
    "gender": "men women male female boys girls unisex kids herren damen frauen männer mädchen jungen kinder "
    "homme femme",
    "season": "summer winter spring fall autumn sommer herbst frühling frühjahr été hiver printemps automne",
    "baseColour": "black white blue red green grey gray yellow brown pink purple orange beige gold silver navy schwarz "
    "weiß weiss blau rot grün gelb grau braun rosa violett lila silber noir blanc bleu rouge vert jaune gris",
}
_NOKINDS = ("brand", "vendor", "marke", "hersteller", "manufacturer", "supplier", "material", "size", "grosse", "tags")
_HALF, _NEARLY_ALL = 0.5, 0.98


@dataclass(frozen=True)
class Use:
    """What a column is for: our role, None if nothing depends on it, and why, as half a sentence.

    `named` says whether its name alone says so, and a run finds it by itself.
    """

    column: str
    role: str | None
    reason: str
    named: bool = False


def find_uses(contents: Sequence[Content], named: Mapping[str, Column]) -> list[Use]:
    """Says of each column what it is; `named` holds the columns that a run finds by itself, by role."""
    roles = {role: contents[column.index] for role, column in named.items()}
    free = [content for content in contents if content.present and content not in roles.values()]
    for role, find in ((PICTURE, _picture), (ID, _id), (NAME, _name)):
        if (role not in roles or role == ID) and (found := find(free, roles)):
            roles[role] = found
            free = [content for content in free if content is not found]
    roles |= _labels(free, roles)
    owners = {id(content): role for role, content in roles.items()}
    if ID in roles:  # names of pictures can be both
        owners[id(roles[ID])] = ID
    uses = []
    for index, content in enumerate(contents):
        own = owners.get(id(content))
        name = named.get(own) if own else None
        by_name = name is not None and name.index == index
        reasons = [name.reason, _reason(content, own)] if name and by_name else [_reason(content, own)]
        uses.append(Use(content.name, own, "; ".join(reasons), by_name))
    return uses


def is_label(content: Content) -> bool:
    """Whether a column's values can be classes: a few that repeat, and no numbers."""
    repeated = sum(rows > 1 for rows in content.values.values())
    return repeated > 1 and len(content.values) <= min(_MOST_CLASSES, content.present / 2) and content.numbers < _HALF


def best_label(labels: Mapping[str, Counter[str]]) -> str | None:
    """The role whose values make the best classes; None if none has two values that repeat."""
    return next((role for role in _BEST_LABELS if sum(rows > 1 for rows in labels.get(role, {}).values()) > 1), None)


def find_variants(contents: Sequence[Content], uses: Sequence[Use]) -> str | None:
    """The column whose value variants of a product share; None if no name and values say so."""
    for content, use in zip(contents, uses, strict=True):
        shared = content.present / max(len(content.values), 1)
        if use.role is None and plain(content.name) in _VARIANTS and 1 < shared <= _MOST_VARIANTS:
            return content.name
    return None


def _picture(free: Sequence[Content], roles: Mapping[str, Content]) -> Content | None:
    naming = [content for content in free if max(content.files, content.links) >= _HALF]
    return max(naming, key=lambda content: (content.files, content.links), default=None)


def _id(free: Sequence[Content], roles: Mapping[str, Content]) -> Content | None:
    """The column whose values name the pictures; else the first in which no two rows are alike."""
    own = roles.get(ID)
    naming = [content for content in free if content.ids >= _HALF and content.distinct >= _HALF]
    if own and (own.ids >= _HALF or not naming or (PICTURE in roles and roles[PICTURE].files >= _HALF)):
        return None
    unique = [
        content for content in free if content.distinct >= _NEARLY_ALL and content.words < 2 and not content.links
    ]
    return max(naming, key=lambda content: content.ids, default=unique[0] if unique else None)


def _name(free: Sequence[Content], roles: Mapping[str, Content]) -> Content | None:
    texts = [content for content in free if content.words >= 2 and content.distinct >= _HALF and not content.html]
    return max(texts, key=lambda content: content.distinct, default=None)


def _labels(free: Sequence[Content], roles: Mapping[str, Content]) -> dict[str, Content]:
    """The column of kinds, where no name says which: that with most values, colours and the like aside; and those."""
    if any(role in roles and is_label(roles[role]) for role in KINDS):
        return {}
    fitting = [content for content in free if is_label(content) and content.present >= _HALF * content.rows]
    found = {role: content for content in fitting for role, words in _VALUES.items() if _share(content, words) >= _HALF}
    kinds = [content for content in fitting if content not in found.values() and plain(content.name) not in _NOKINDS]
    best = max(kinds, key=lambda content: len(content.values), default=None)
    free_kind = next(role for role in KINDS if role not in roles or not is_label(roles[role]))
    found = {role: content for role, content in found.items() if role not in roles}
    return found | ({free_kind: best} if best else {})


def _share(content: Content, words: str) -> float:
    """In how many rows the value is, or holds, one of some words."""
    known = set(words.split())
    fitting = (rows for value, rows in content.values.items() if not known.isdisjoint(value.casefold().split()))
    return sum(fitting) / max(content.present, 1)


def _reason(content: Content, role: str | None) -> str:
    different = len(content.values)
    unlike = "no two rows alike" if content.distinct == 1 else f"{different:,} different in {content.present:,} rows"
    if not content.present:
        return "it is empty"
    if different == 1:
        return f"always {next(iter(content.values))[:40]!r}"
    if role == PICTURE:
        return f"{_percent(content.files)} of its values name a picture that is there"
    if role == ID:
        return f"{unlike}, {_percent(content.ids)} name a picture" if content.ids else unlike
    if is_label(content):
        return f"{different:,} values that repeat"
    if content.html >= _HALF:
        return "HTML"
    if content.numbers >= _HALF and role != YEAR:
        return "numbers"
    return f"text, {content.words:.0f} words a row" if content.words >= 2 else unlike


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share in (0, 1) or 0.01 <= share <= 0.99 else f"{100 * share:.1f} %"
