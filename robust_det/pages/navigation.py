"""How the pages of a site lead to each other."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Link"]


@dataclass(frozen=True)
class Link:
    """A page in the bar at the head of all.

    Attributes:
        href: relative to the page that bears the bar.
        label: what it is called.
        current: whether it is that page.
    """

    href: str
    label: str
    current: bool = False
