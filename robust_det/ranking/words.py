"""How figures and backbones are written for people."""

from __future__ import annotations

from robust_det.core.epsilon import eps_label
from robust_det.core.resampling import Interval
from robust_det.ranking.scores import LOGME
from robust_det.ranking.task import MEAN_PER_CLASS, TOP1

__all__ = ["TITLES", "backbone_label", "format_figure", "listed"]

TITLES = {MEAN_PER_CLASS: "per-class mean", TOP1: "top-1", LOGME: "LogME"}


def backbone_label(arch: str, norm: str, eps: float | None) -> str:
    """Return architecture and threat model."""
    return f"{arch} {eps_label(norm, eps)}"


def format_figure(figure: Interval, metric: str, signed: bool = False) -> str:
    """Return a figure with its interval: accuracies with one digit, LogME with three."""
    digits = 3 if metric == LOGME else 1
    sign = "+" if signed else ""
    value, low, high = (
        f"{each:{sign}.{digits}f}".replace("-", "−")
        for each in (figure.value, figure.low, figure.high)
    )
    return f"{value} ({low} to {high})"


def listed(names: list[str], most: int = 6) -> str:
    """Return names with commas between them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
