"""What a run wants of a data set, as far as it decides which objects there are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EVERYTHING", "Terms"]


@dataclass(frozen=True)
class Terms:
    """What a run wants.

    Attributes:
        crowds_are_objects: take regions marked ``iscrowd`` as single objects, which some tools mean
            by brush masks.
        outlined: leave out objects without a sound outline, as masks are to be learnt.
    """

    crowds_are_objects: bool = False
    outlined: bool = False


EVERYTHING = Terms()
