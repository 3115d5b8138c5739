"""Which keys of a detector's config say how it is evaluated."""

from __future__ import annotations

__all__ = ["at_evaluation"]


def at_evaluation(key: str) -> bool:
    """Whether a key says how a detector is evaluated, not how it was trained or what it is."""
    if key.startswith("TEST."):
        # measured in training, and part of its weights
        return not key.startswith("TEST.PRECISE_BN.")
    return key.endswith("_TEST") or key.startswith("MODEL.PANOPTIC_FPN.COMBINE.")
