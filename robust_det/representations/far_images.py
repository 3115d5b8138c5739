"""How much of what varies in a stage is of few images, which CKA is then of."""

from __future__ import annotations

import math
from collections.abc import Mapping

from robust_det.representations.cka import Centred

__all__ = ["MUCH", "PART", "far_shares", "far_words"]

PART = 0.01  # of the images
MUCH = 0.25  # of the squared deviations, which so many images would hold a hundredth of


def far_shares(features: Mapping[str, Mapping[str, Centred]]) -> dict[str, tuple[float, str]]:
    """Return, of each stage, the share of the squared deviations from the mean that the farthest
    hundredth of the images holds, in [0, 1], and of which backbone it is the largest.

    Args:
        features: of each backbone by name, those of each stage.
    """
    found: dict[str, tuple[float, str]] = {}
    for name, stages in features.items():
        for stage, own in stages.items():
            if own.constant:
                continue
            norms = own.norms.sort(descending=True).values
            far = math.ceil(PART * len(norms))
            share = float(norms[:far].sum() / norms.sum())
            found[stage] = max(found.get(stage, (0.0, "")), (share, name))
    return found


def far_words(shares: Mapping[str, tuple[float, str]], images: int) -> list[str]:
    """Say of which stages CKA is of few images; nothing of fewer than a hundred images.

    Args:
        shares: see :func:`far_shares`.
        images: how many there are.
    """
    if images * PART < 1:
        return []
    return [
        f"Read {stage} with care: of {name}, 1 % of the images hold {100 * share:.0f} % of the"
        f" squared deviations from the mean in it, so that CKA there is of how these few lie."
        for stage, (share, name) in shares.items()
        if share > MUCH
    ]
