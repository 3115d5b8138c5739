"""The classes of data sets that a run uses together, told by their names.

A detector has the classes of its first training set, in the order of their ids. Names alone say
which class of another set is the same: ids and order are each set's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from robust_det.core.errors import UserError
from robust_det.data.spellings import composed

__all__ = ["ABSENT", "check_test_classes", "check_training_classes", "places_among"]

ABSENT = -1  # the place of a class that is not there
_SHOWN = 5
# a plural, or another way to part words, is near; 'cat' is not near to 'car'
_NEAR = 0.75


def places_among(classes: Sequence[str], others: Sequence[str]) -> list[int]:
    """Return the place of each class among others, from 0; :data:`ABSENT` where it is not there.

    Accents may be composed in one and not in the other, which nobody sees.
    """
    places = {name: place for place, name in enumerate(others)}
    known = set(classes)
    left = (name for name in others if name not in known)
    spelt = {composed(name): places[name] for name in left}
    return [places.get(name, spelt.get(composed(name), ABSENT)) for name in classes]


def _lacking(classes: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return the classes that are not among others."""
    places = places_among(classes, others)
    return [name for name, place in zip(classes, places, strict=True) if place == ABSENT]


def check_training_classes(
    both: str, classes: Sequence[str], name: str, others: Sequence[str]
) -> None:
    """Check that a training set has a detector's classes, in any order.

    Without one of them, what it shows of that class would be taught as background.

    Args:
        both: words for the two that are compared.
        classes: of the detector.
        name, others: of the training set.

    Raises:
        UserError: with the names that differ.
    """
    parts = []
    if missing := _lacking(classes, others):
        parts.append(f"lacks {_listed(missing, others)}")
    if unknown := _lacking(others, classes):
        parts.append(f"has {_listed(unknown, () if missing else classes)}")
    if parts:
        raise UserError(
            f"{both} differ in their classes: '{name}' {' and '.join(parts)}",
            "a detector and what it is trained on need the same names, in any order",
        )


def check_test_classes(both: str, classes: Sequence[str], name: str, others: Sequence[str]) -> None:
    """Check that a detector has all classes of a test set, which may have fewer, in any order.

    Args, Raises: see :func:`check_training_classes`.
    """
    if unknown := _lacking(others, classes):
        raise UserError(
            f"{both} differ in their classes: '{name}' has {_listed(unknown, classes)}, which the"
            " detector has not",
            "rename what is the same, and leave the rest out of the test set",
        )


def _listed(names: Sequence[str], others: Sequence[str]) -> str:
    """Return names in quotes, each with the nearest among others."""
    by_plain = {_plain(name): name for name in others}
    shown = []
    for name in names[:_SHOWN]:
        near = difflib.get_close_matches(_plain(name), list(by_plain), n=1, cutoff=_NEAR)
        shown.append(f"'{name}'" + (f" (did you mean '{by_plain[near[0]]}'?)" if near else ""))
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())
