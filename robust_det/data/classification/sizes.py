"""Sizes of images that follow from one another."""

from __future__ import annotations

__all__ = ["usual_resize"]


def usual_resize(size: int) -> int:
    """Return the short side that a central crop is usually cut from: 256 pixels for one of 224."""
    return round(size * 256 / 224)
