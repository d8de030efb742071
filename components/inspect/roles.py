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
_KINDS = _BEST_LABELS[:3]
_MOST_CLASSES = 500
# What shops call the column whose value all sizes and colours of a product share.
_VARIANTS = (
    "itemgroupid", "groupid", "parentsku", "parentid", "parent", "parentproduct", "modelid", "modelnumber",
    "modellnummer", "modell", "styleid", "stylenumber", "masterid", "mastersku", "elternartikel", "vaterartikel",
    "hauptartikel",
)  # fmt: skip
_MOST_VARIANTS = 100
_HALF, _NEARLY_ALL = 0.5, 0.98


@dataclass(frozen=True)
class Use:
    """What a column is for.

    Attributes:
        column: as the header has it.
        role: ours, None if nothing depends on it.
        reason: half a sentence.
        named: whether its name alone says so, and a run finds it by itself.
    """

    column: str
    role: str | None
    reason: str
    named: bool = False


def find_uses(contents: Sequence[Content], named: Mapping[str, Column]) -> list[Use]:
    """Says of each column what it is.

    Args:
        contents: of the columns, in the table's order.
        named: role to the column that a run takes for it.
    """
    roles = {role: contents[column.index] for role, column in named.items()}
    free = [content for content in contents if content.present and content not in roles.values()]
    for role, find in ((PICTURE, _picture), (ID, _id), (NAME, _name), (None, _label)):
        if found := find(free, roles):
            role = role or next(kind for kind in _KINDS if kind not in roles or not is_label(roles[kind]))
            roles[role] = found
            free = [content for content in free if content is not found]
    owners = {id(content): role for role, content in roles.items()}
    uses = []
    for index, content in enumerate(contents):
        role = owners.get(id(content))
        own = role is not None and role in named and named[role].index == index
        reasons = ([named[role].reason] if role and own else []) + [_reason(content, role)]
        uses.append(Use(content.name, role, "; ".join(filter(None, reasons)), own))
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
    if PICTURE in roles:
        return None
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
    if NAME in roles:
        return None
    texts = [content for content in free if content.words >= 2 and content.distinct >= _HALF and not content.html]
    return max(texts, key=lambda content: content.distinct, default=None)


def _label(free: Sequence[Content], roles: Mapping[str, Content]) -> Content | None:
    """The column with most classes, where no name says which; one that few rows have a value in is none."""
    if any(role in roles and is_label(roles[role]) for role in _KINDS):
        return None
    fitting = [content for content in free if is_label(content) and content.present >= _HALF * content.rows]
    return max(fitting, key=lambda content: len(content.values), default=None)


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
