"""Means over images as a table: a row a network or difference, a column a metric."""

from __future__ import annotations

import math
from collections.abc import Sequence

from robust_det.visualization.job import Mean

__all__ = ["summary"]


def summary(means: Sequence[Mean]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table; both empty without means.

    A cell is a mean with its 95% interval, or without one where there is a single image.
    """
    metrics = list(dict.fromkeys(mean.metric for mean in means))
    cells: dict[str, dict[str, str]] = {}
    for mean in sorted(means, key=lambda mean: bool(mean.minus)):
        who = f"{mean.network} minus {mean.minus}" if mean.minus else mean.network
        cells.setdefault(who, {})[mean.metric] = _cell(mean)
    rows = [[who, *(own.get(metric, "") for metric in metrics)] for who, own in cells.items()]
    return (["mean over images", *metrics] if rows else []), rows


def _cell(mean: Mean) -> str:
    one = mean.interval
    return f"{one.value:.3f}" + ("" if math.isnan(one.low) else f" [{one.low:.3f}, {one.high:.3f}]")
