"""Filters over products' attributes, written as the condition of an SQL query: `gender = 'Women' and year >= 2012`.

Parsed by pyparsing, computed by Arrow. As in SQL, a comparison with a missing value is neither true nor false, and what
is not true is left out.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyparsing as pp
from numpy.typing import NDArray

_LONGEST = 2000  # characters
_OPERATORS = {
    "=": pc.equal, "==": pc.equal, "!=": pc.not_equal, "<>": pc.not_equal,
    "<": pc.less, "<=": pc.less_equal, ">": pc.greater, ">=": pc.greater_equal,
}  # fmt: skip
_JOINS: dict[str, Callable[..., Any]] = {"and": pc.and_kleene, "or": pc.or_kleene}


class FilterError(ValueError):
    """A filter cannot be read, or does not fit the products. The message says where and why."""


@dataclass(frozen=True)
class Comparison:
    """A column held against values; `operator` is one of `=`, `!=`, `<` …, `like` or `is null`."""

    column: str
    operator: str
    values: tuple[str | int | float, ...] = ()


@dataclass(frozen=True)
class Negation:
    """What is true where its part is false."""

    part: "Condition"


@dataclass(frozen=True)
class Junction:
    """Several conditions, joined by `and` or `or`."""

    join: Literal["and", "or"]
    parts: tuple["Condition", ...]


Condition = Comparison | Negation | Junction


def parse_filter(text: str) -> Condition:
    """Reads a filter.

    Raises:
        FilterError: it is not of the form; the message shows where.
    """
    if len(text) > _LONGEST:
        raise FilterError(f"the filter has {len(text):,} characters; {_LONGEST:,} are read. Give less.")
    try:
        [condition] = _grammar().parse_string(text, parse_all=True)
    except pp.ParseException as error:
        raise FilterError(
            f"the filter cannot be read at {text[error.loc : error.loc + 20]!r} (character {error.loc + 1}). Write it "
            "like: gender = 'Women' and not (baseColour in ('Black', 'Grey') or year < 2012)"
        ) from None
    except RecursionError:
        raise FilterError("the filter is nested too deeply. Use fewer brackets.") from None
    assert isinstance(condition, Comparison | Negation | Junction)
    return condition


def select(table: pa.Table, condition: Condition) -> NDArray[np.bool_]:
    """Finds the rows of a table for which a condition is true: bool [n].

    Raises:
        FilterError: there is no such column, or a value is not of its type.
    """
    try:
        result = _evaluate(table, condition)
    except pa.ArrowException as error:
        raise FilterError(f"the filter does not fit the products: {error}") from None
    chosen: NDArray[np.bool_] = pc.fill_null(result, False).to_numpy()
    return chosen


@cache
def _grammar() -> pp.ParserElement:
    """Tries each kind of part once, from `or` down: pyparsing's infix_notation takes exponential time for brackets."""
    word, silent = pp.CaselessKeyword, {name: pp.CaselessKeyword(name).suppress() for name in ("and", "or")}
    reserved = pp.MatchFirst([word(name) for name in ("and", "or", "not", "in", "like", "is", "null", "between")])
    column = (~reserved + pp.Word(pp.alphas + "_", pp.alphanums + "_")) | pp.QuotedString('"', esc_quote='""')
    number = pp.Regex(r"[+-]?\d+(\.\d+)?(?![\w.])").set_parse_action(lambda t: (float if "." in t[0] else int)(t[0]))
    value = pp.QuotedString("'", esc_quote="''") | number
    several = pp.Suppress("(") + pp.Group(pp.DelimitedList(value)) + pp.Suppress(")")
    negated = pp.Opt(word("not"))
    single = column + pp.one_of(list(_OPERATORS)) + value
    member = column + negated + (word("in") + several | word("like") + value)
    between = column + negated + word("between").suppress() + value + silent["and"] + value
    null = column + word("is").suppress() + negated + word("null")
    comparison = (
        single.set_parse_action(lambda t: Comparison(t[0], t[1], (t[2],)))
        | member.set_parse_action(_member)
        | between.set_parse_action(_between)
        | null.set_parse_action(lambda t: _maybe(len(t) == 3, Comparison(t[0], "is null")))
    )
    either = pp.Forward()
    inner = comparison | pp.Suppress("(") + either + pp.Suppress(")")
    part = (pp.ZeroOrMore(word("not")) + inner).set_parse_action(lambda t: _maybe(len(t) % 2 == 0, t[-1]))
    both = (part + pp.ZeroOrMore(silent["and"] + part)).set_parse_action(lambda t: joined("and", t))
    either <<= (both + pp.ZeroOrMore(silent["or"] + both)).set_parse_action(lambda t: joined("or", t))
    return either


def _member(tokens: pp.ParseResults) -> Condition:
    column, *negated, operator, values = tokens
    if operator == "like":
        return _maybe(bool(negated), Comparison(column, operator, (values,)))
    return _maybe(bool(negated), among(column, values))


def _between(tokens: pp.ParseResults) -> Condition:
    column, *negated, low, high = tokens
    return _maybe(bool(negated), Junction("and", (Comparison(column, ">=", (low,)), Comparison(column, "<=", (high,)))))


def among(column: str, values: Iterable[str | float]) -> Condition:
    """What is true where a column has one of some values."""
    return joined("or", [Comparison(column, "=", (value,)) for value in values])


def _maybe(negated: bool, condition: Condition) -> Condition:
    return Negation(condition) if negated else condition


def joined(join: Literal["and", "or"], parts: Sequence[Condition]) -> Condition:
    """Joins conditions, at least one."""
    return parts[0] if len(parts) == 1 else Junction(join, tuple(parts))


def _evaluate(table: pa.Table, condition: Condition) -> Any:
    if isinstance(condition, Negation):
        return pc.invert(_evaluate(table, condition.part))
    if isinstance(condition, Junction):
        result, *others = (_evaluate(table, part) for part in condition.parts)
        for other in others:
            result = _JOINS[condition.join](result, other)
        return result
    column = table[column_name(condition, table.column_names)]
    if condition.operator == "is null":
        return pc.is_null(column)
    value = typed(condition, pa.types.is_string(column.type))
    if condition.operator == "like":
        return pc.match_like(column, value)
    return _OPERATORS[condition.operator](column, pa.scalar(value))


def column_name(condition: Comparison, known: Sequence[str]) -> str:
    """The name of a condition's column as products have it.

    Raises:
        FilterError: they have none of that name.
    """
    name, names = condition.column, {name.lower(): name for name in known}
    if name.lower() not in names:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}."
        raise FilterError(f"products have no column '{name}'; {hint}")
    return names[name.lower()]


def typed(condition: Comparison, text: bool) -> str | float:
    """The value that a column of text, or of numbers, is held against.

    Raises:
        FilterError: the column has numbers, and the value is none.
    """
    [value], column = condition.values, condition.column
    if text:
        return str(value)
    if isinstance(value, str):
        raise FilterError(f"{column} is a number, and '{value}' is none. Write it without quotes: {column} = 2012")
    return value
