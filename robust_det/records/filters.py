"""Which rows are meant: ``arch=resnet50``, ``eps>0``, ``name~tiny_*``."""

from __future__ import annotations

import fnmatch
import functools
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robust_det.core.config.reading import parse_number
from robust_det.core.errors import UserError

__all__ = ["OPERATORS", "Filter", "matching", "parse_filter"]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
OPERATORS = ("!=", ">=", "<=", "=", ">", "<", "~")
_WORDS = {"true": True, "false": False, "none": None, "": None}
_FILTER = re.compile(rf"([^!<>=~]+)({'|'.join(OPERATORS)})(.*)", re.DOTALL)


@dataclass(frozen=True)
class Filter:
    """A condition on one column.

    Attributes:
        column: its name.
        sign: one of :data:`OPERATORS`.
        text: what it is compared with.
    """

    column: str
    sign: str
    text: str

    def __call__(self, value: Any) -> bool:
        """Whether a value of the column fulfils it; None, where there is no value, fulfils
        ``=none`` and ``!=`` alone."""
        if self.sign == "~":
            return value is not None and fnmatch.fnmatchcase(_shown(value), self.text)
        if self.sign in ("=", "!="):
            return self._equal(value) == (self.sign == "=")
        return self.can_order(value) and _ORDER[self.sign](value, _limit(self.text))

    def can_order(self, value: Any) -> bool:
        """Whether a value is before or after what it is compared with: texts, such as dates, are
        of texts, and numbers of numbers."""
        if isinstance(value, bool):
            return False
        return isinstance(value, str if isinstance(_limit(self.text), str) else (int, float))

    def _equal(self, value: Any) -> bool:
        if value is None or isinstance(value, bool):
            return self.text.lower() in _WORDS and _WORDS[self.text.lower()] is value
        limit = _limit(self.text)
        if isinstance(value, (int, float)):
            # 4/255 as a config says it, and as a record holds it
            return isinstance(limit, float) and math.isclose(value, limit, rel_tol=1e-9)
        return _shown(value) == self.text


def parse_filter(text: str) -> Filter:
    """Return the filter that a word of the command line means.

    Raises:
        UserError: it is none.
    """
    found = _FILTER.fullmatch(text)
    if not found:
        raise UserError(
            f"'{text}' is no folder and no filter; write COLUMN, one of {' '.join(OPERATORS)}, and"
            " a value, such as 'eps>0'"
        )
    column, sign, value = found[1].strip(), found[2], found[3].strip()
    if sign in _ORDER and not value:
        raise UserError(f"the filter '{text}' has no value; write such as 'eps>0'")
    return Filter(column, sign, value)


def matching(rows: Sequence[Mapping[str, Any]], filters: Sequence[Filter]) -> list[Any]:
    """Return the rows that fulfil all filters.

    Args:
        rows: in which a column that is not there is None.
        filters: of columns that exist.

    Raises:
        UserError: an order is asked for between numbers and texts.
    """
    for one in filters:
        if one.sign in _ORDER:
            values = [row.get(one.column) for row in rows]
            known = [value for value in values if value is not None]
            if known and not any(map(one.can_order, known)):
                raise UserError(
                    f"the filter '{one.column}{one.sign}{one.text}' compares with what column"
                    f" '{one.column}' does not hold, such as {_shown(known[0])}; compare numbers"
                    " with numbers, or use = and ~"
                )
    return [row for row in rows if all(one(row.get(one.column)) for one in filters)]


@functools.lru_cache
def _limit(text: str) -> float | str:
    """A number, also as 4/255, or else the text."""
    try:
        return parse_number(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
