"""Whether two scores put backbones in the same order."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["FEWEST", "rank_correlation"]

FEWEST = 3  # of two, every order is the same or the other one


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation; None where all of one are equal, and no order is there.

    Args:
        first, second: of at least :data:`FEWEST` backbones, in one order.
    """
    from scipy.stats import spearmanr  # here: it takes long to import

    if len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(spearmanr(first, second).statistic)
