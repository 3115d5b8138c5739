"""The methods of adversarial training by their names in ``TRAIN.METHOD``."""

from __future__ import annotations

from robust_det.classification.methods import fast, free, mart, pgd, trades
from robust_det.classification.methods.method import Kind

__all__ = ["METHODS"]

METHODS: dict[str, Kind] = {
    "pgd": pgd.KIND,
    "trades": trades.KIND,
    "mart": mart.KIND,
    "free": free.KIND,
    "fast": fast.KIND,
}
