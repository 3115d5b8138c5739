"""What a network's own batch norms say against what was made of it."""

from __future__ import annotations

from robust_det.checkpoints.model import Model

__all__ = ["doubts"]


def doubts(model: Model) -> list[str]:
    return []
