"""Which class a product belongs to: reviewed rules over its text columns.

A taxonomy is a YAML file: the classes in the order of their label indices, and rules of which the first that matches
decides. Ingest applies the rules in Python and Transform in its graph; both use the regular expressions made here, so
they cannot disagree. Where the classes are the values of one column, a taxonomy holds those in place of rules.
"""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from components.errors import RecipeError
from components.features import LabelColumn
from components.reading import choices, explain, find_file, read_mapping
from components.settings import Settings

Column = Literal["subCategory", "articleType", "masterCategory", "productDisplayName"]
COLUMNS = get_args(Column)
NO_CLASS = "none"  # the class of a rule that recognises products of no class
NO_LABEL = -1  # the index that stands for it

# Python and RE2 differ on \s (vertical tab), so the white space is spelt out.
_GAP = r"[ \t\n\r\f\v-]+"
_WORD = re.compile(r"\w", re.ASCII)
_CLASS_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _&/'+.-]*")


def _checked(keywords: tuple[str, ...]) -> tuple[str, ...]:
    if not keywords:
        raise ValueError("no keywords; give some or remove the key")
    for word in keywords:
        if not word.isprintable() or not any(map(str.isalnum, word)) or word != word.strip():
            raise ValueError(
                f"{word!r} is not a keyword: it needs a letter or digit, no control characters and no outer spaces"
            )
    return keywords


Keywords = Annotated[tuple[str, ...], AfterValidator(_checked)]


def pattern_of(keywords: Iterable[str]) -> str:
    r"""The regular expression that finds any of some keywords as whole words.

    It means the same to Python's `re` on UTF-8 bytes and to RE2: letter case is spelt out (`[sS]`), because RE2 under
    `(?i)` also takes U+017F for an s; word ends are ASCII in both. A space in a keyword stands for any run of white
    space and hyphens. Characters beyond ASCII match as they stand and need no word end beside them.
    """
    return "|".join(map(_keyword_pattern, keywords))


def _keyword_pattern(keyword: str) -> str:
    parts = [r"\b" if _WORD.match(keyword[0]) else ""]
    for character in re.sub(r"[ -]+", " ", keyword):
        if character == " ":
            parts.append(_GAP)
        elif character.isascii() and character.isalpha():
            parts.append(f"[{character.lower()}{character.upper()}]")
        else:
            parts.append(re.escape(character))
    return "".join(parts) + (r"\b" if _WORD.match(keyword[-1]) else "")


class Conditions(Settings):
    """Keywords by column, each found in the column's text or not."""

    subCategory: Keywords | None = None
    articleType: Keywords | None = None
    masterCategory: Keywords | None = None
    productDisplayName: Keywords | None = None

    @cached_property
    def patterns(self) -> dict[str, str]:
        """Column to regular expression, for the columns that have keywords."""
        return {column: pattern_of(words) for column in COLUMNS if (words := getattr(self, column))}

    @cached_property
    def _compiled(self) -> dict[str, re.Pattern[bytes]]:
        return {column: re.compile(pattern.encode()) for column, pattern in self.patterns.items()}

    def found(self, fields: Mapping[str, bytes]) -> Iterable[bool]:
        """For each column with keywords, whether its text holds one of them."""
        return (pattern.search(fields.get(column, b"")) is not None for column, pattern in self._compiled.items())


class Rule(Conditions):
    """Gives a class to the products that meet every condition, unless one of `unless` is met."""

    model_config = ConfigDict(serialize_by_alias=True)

    class_name: str = Field(alias="class")
    unless: Conditions = Conditions()

    @model_validator(mode="after")
    def _has_condition(self) -> "Rule":
        if not self.patterns:
            raise ValueError(f"a rule for {self.class_name!r} without keywords; give some for {', '.join(COLUMNS)}")
        return self

    def matches(self, fields: Mapping[str, bytes]) -> bool:
        """Whether the rule applies to a product, given the UTF-8 text of its columns."""
        return all(self.found(fields)) and not any(self.unless.found(fields))


class Taxonomy(Settings):
    """Classes and what assigns them. Travels as JSON: `model_dump_json`, `model_validate_json`."""

    name: str
    classes: tuple[str, ...] = Field(description="in the order of their label indices")
    rules: tuple[Rule, ...] = ()
    column: LabelColumn | None = Field(default=None, description="in place of rules: its value decides")
    values: dict[str, str] = Field(default={}, description="of the column, each with its class")

    @model_validator(mode="after")
    def _classes_are_names(self) -> "Taxonomy":
        if len(self.classes) < 2:
            raise ValueError("fewer than two classes; there is nothing to tell apart")
        for name in self.classes:
            if not _CLASS_NAME.fullmatch(name) or name == NO_CLASS:
                raise ValueError(
                    f"{name!r} cannot name a class: use letters, digits, spaces and _&/'+.-; not {NO_CLASS!r}"
                )
            if self.classes.count(name) > 1:
                raise ValueError(f"class {name!r} is listed twice; remove one")
        return self

    @model_validator(mode="after")
    def _one_way(self) -> "Taxonomy":
        if (self.rules and self.column) or bool(self.column) != bool(self.values):
            raise ValueError("what assigns the classes is either rules, or a column and its values")
        return self

    @model_validator(mode="after")
    def _rules_fit_classes(self) -> "Taxonomy":
        given = {*self.values.values(), *(rule.class_name for rule in self.rules)}
        known = (*self.classes, NO_CLASS)
        for name in sorted(given.difference(known)):
            raise ValueError(f"a rule gives the class {name!r}, which is not among the classes; {choices(name, known)}")
        for name in self.classes:
            if name not in given:
                raise ValueError(f"class {name!r} has no rule; add one or remove the class")
        return self

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The columns that decide."""
        if self.column:
            return (self.column,)
        read = {column for rule in self.rules for column in (*rule.patterns, *rule.unless.patterns)}
        return tuple(column for column in COLUMNS if column in read)

    def index_of(self, class_name: str | None) -> int:
        """The label of a class; `NO_LABEL` for None and `NO_CLASS`."""
        return NO_LABEL if class_name is None or class_name == NO_CLASS else self.classes.index(class_name)

    def class_of(self, fields: Mapping[str, str]) -> str | None:
        """The class of a product.

        Args:
            fields: column name to text; missing values are absent, other columns are ignored.

        Returns:
            The class of the column's value, or of the first rule that matches; None if there is none or it says
            `NO_CLASS`.
        """
        if self.column:
            return self.values.get(fields.get(self.column, ""))
        texts = {name: fields[name].encode("utf-8", "surrogateescape") for name in self.fields if name in fields}
        for rule in self.rules:
            if rule.matches(texts):
                return None if rule.class_name == NO_CLASS else rule.class_name
        return None


def load_taxonomy(name_or_path: str) -> Taxonomy:
    """Reads a taxonomy.

    Args:
        name_or_path: the name of a file in schema/taxonomies without its suffix, or a path that ends in .yaml or .yml.

    Raises:
        RecipeError: there is no such file, or what it says is not a taxonomy; names file, key, rule and remedy.
    """
    path = find_file(name_or_path, Path(str(resources.files("schema"))) / "taxonomies", "taxonomy")
    content = {"name": path.stem, **read_mapping(path, "taxonomy")}
    try:
        return Taxonomy.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise RecipeError(explain(error, Taxonomy, path.name)) from None
    except (TypeError, ValueError) as error:
        raise RecipeError(f"taxonomy {path}: holds more than lists, names and keywords: {error}") from None
