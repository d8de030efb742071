"""Which class a product belongs to: reviewed rules over its text columns.

A taxonomy is a YAML file: the classes in the order of their label indices, and rules of which the first that matches
decides. Ingest applies the rules in Python and Transform in its graph, with the same regular expressions.
Where the classes are the values of one column, a taxonomy holds those in place of rules.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from components.errors import RecipeError
from components.features import LabelColumn
from components.reading import YAML, choices, explain, find_file, read_mapping
from components.settings import Settings
from components.transform.words import in_words, pattern_of

Column = Literal["subCategory", "articleType", "masterCategory", "productDisplayName"]
COLUMNS = get_args(Column)
NO_CLASS = "none"  # the class of a rule that recognises products of no class
NO_LABEL = -1  # the index that stands for it
_BREAKS = ("Cc", "Cs", "Zl", "Zp")  # control characters, halves of characters, line breaks
_LONGEST_NAME = 200


def plain(name: str) -> str:
    """Returns a class's name in the one form in which names that look the same are the same."""
    return unicodedata.normalize("NFC", name).strip()


ClassName = Annotated[str, AfterValidator(plain)]


def _breaks(text: str) -> bool:
    return any(unicodedata.category(character) in _BREAKS for character in text)


def _checked(keywords: tuple[str, ...]) -> tuple[str, ...]:
    if not keywords:
        raise ValueError("no keywords; give some or remove the key")
    for word in keywords:
        if _breaks(word) or not in_words(word).strip() or word != word.strip():
            raise ValueError(
                f"{word!r} is not a keyword: it needs a letter or digit, no control characters and no outer spaces"
            )
    return keywords


Keywords = Annotated[tuple[str, ...], AfterValidator(_checked)]


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
    def _compiled(self) -> dict[str, re.Pattern[str]]:
        return {column: re.compile(pattern) for column, pattern in self.patterns.items()}

    def found(self, words: Mapping[str, str]) -> Iterable[bool]:
        """For each column with keywords, whether its words hold one of them."""
        return (pattern.search(words.get(column, "")) is not None for column, pattern in self._compiled.items())


class Rule(Conditions):
    """Gives a class to the products that meet every condition, unless one of `unless` is met."""

    model_config = ConfigDict(serialize_by_alias=True)

    class_name: ClassName = Field(alias="class")
    unless: Conditions = Conditions()

    @model_validator(mode="after")
    def _has_condition(self) -> "Rule":
        if not self.patterns:
            raise ValueError(f"a rule for {self.class_name!r} without keywords; give some for {', '.join(COLUMNS)}")
        return self

    def matches(self, words: Mapping[str, str]) -> bool:
        """Whether the rule applies to a product, given its columns as `in_words` cuts them."""
        return all(self.found(words)) and not any(self.unless.found(words))


class Taxonomy(Settings):
    """Classes and what assigns them. Travels as JSON: `model_dump_json`, `model_validate_json`."""

    name: str
    classes: tuple[ClassName, ...] = Field(description="in the order of their label indices")
    rules: tuple[Rule, ...] = ()
    column: LabelColumn | None = Field(default=None, description="in place of rules: its value decides")
    values: dict[str, ClassName] = Field(default={}, description="of the column, each with its class")

    @model_validator(mode="after")
    def _classes_are_names(self) -> "Taxonomy":
        if len(self.classes) < 2:
            raise ValueError("fewer than two classes; there is nothing to tell apart")
        for name in self.classes:
            if name in ("", NO_CLASS) or len(name) > _LONGEST_NAME or _breaks(name):
                raise ValueError(
                    f"{name[:_LONGEST_NAME]!r} cannot name a class: use 1 to {_LONGEST_NAME} characters, no control "
                    f"characters and line breaks; not {NO_CLASS!r}"
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
        """The class of a product, of whose fields missing ones are absent and those of other columns ignored.

        That is the one of the column's value, or of the first rule that matches; None if there is none or it says
        `NO_CLASS`.
        """
        if self.column:
            return self.values.get(fields.get(self.column, ""))
        words = {name: in_words(fields[name]) for name in self.fields if name in fields}
        for rule in self.rules:
            if rule.matches(words):
                return None if rule.class_name == NO_CLASS else rule.class_name
        return None


def load_taxonomy(name_or_path: str) -> Taxonomy:
    """Reads a taxonomy, by its name in schema/taxonomies without the suffix or by a path that ends in .yaml or .yml.

    Raises:
        RecipeError: there is no such file, or what it says is not a taxonomy; names file, key, rule and remedy.
    """
    path = find_file(name_or_path, Path(str(resources.files("schema"))) / "taxonomies", "taxonomy", *YAML)
    content = {"name": path.stem, **read_mapping(path, "taxonomy")}
    try:
        return Taxonomy.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise RecipeError(explain(error, Taxonomy, path.name)) from None
    except (TypeError, ValueError) as error:
        raise RecipeError(f"taxonomy {path}: holds more than lists, names and keywords: {error}") from None
