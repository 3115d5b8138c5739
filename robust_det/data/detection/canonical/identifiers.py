"""Ids as exporters write them: numbers, texts, floats; and who refers to whom by them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

__all__ = ["Identifiers", "in_order", "is_identifier", "meant_number"]

# of an id; Python reads no longer ones
_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,100})(?:\.0{1,100})?\s*", re.ASCII)


def is_identifier(value: Any) -> bool:
    """Return whether a value can name an entry: a text, or a finite number."""
    if type(value) is float:
        return math.isfinite(value)
    return type(value) in (int, str)


def meant_number(value: Any) -> float | int | None:
    """Return the number that an id means, 7 for ``"007"`` and 7.0; None if it means none."""
    if type(value) is int:
        return value
    if type(value) is float and math.isfinite(value):
        return int(value) if value.is_integer() else value
    found = _NUMBER.fullmatch(value) if type(value) is str else None
    return int(found[1]) if found else None


def in_order(ids: Iterable[Any]) -> list[Any]:
    """Return ids in the order of the numbers that they mean, or of their texts if any means none.

    So that of integers is Detectron2's, and none depends on how a file was shuffled.
    """
    listed = list(ids)
    numbers = {one: meant_number(one) for one in listed}
    if None in numbers.values():
        return sorted(listed, key=str)
    return sorted(listed, key=lambda one: (numbers[one], str(one)))


class Identifiers:
    """The ids of entries, by which others refer to them.

    Args:
        ids: see :func:`is_identifier`.
    """

    def __init__(self, ids: Iterable[Any]) -> None:
        self._ids = {one: one for one in ids}
        self._by_number: dict[float | int, Any] | None = None

    def find(self, reference: Any) -> Any:
        """Return the id that is meant: the same one, or the only one of the same number.

        None if there is none.

        Raises:
            TypeError: a list or a mapping.
        """
        if isinstance(reference, bool):  # which Python takes for 0 or 1
            return None
        if reference in self._ids:
            return self._ids[reference]
        number = meant_number(reference)
        if number is None:
            return None
        if self._by_number is None:
            self._by_number = {}
            for one in self._ids:
                meant = meant_number(one)
                if meant is not None:
                    # two that mean it are told apart by their spelling alone
                    self._by_number[meant] = None if meant in self._by_number else one
        return self._by_number.get(number)
