"""Accuracies of classification transfer that Salman et al. 2020 reported.

Two tables beside this file. ``salman2020.csv`` holds the 1,548 accuracies of the tables of "Do
Adversarially Robust ImageNet Models Transfer Better?", submission of June 2020.
``salman2020_best.csv`` holds the 96 best settings that were published with the paper's code: of
each set, network and mode the eps of the highest accuracy, and how it was trained.

What an accuracy measures was concluded from its digits: top-1 on N images is a multiple of 100 / N,
and a mean over classes of unequal sizes hardly ever is. Where digits do not tell, a remark says so.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError, did_you_mean
from robust_det.data.transfer.catalogue import MEAN_PER_CLASS, TOP1, facts_of

__all__ = [
    "MODES",
    "NORMS",
    "REMARKS",
    "SOURCE",
    "UNTOLD",
    "Beside",
    "BestSetting",
    "Reported",
    "beside",
    "best_settings",
    "comparable",
    "reported",
]

SOURCE = "reported, submission of June 2020"
MODES = ("fixed-feature", "full-network")
NORMS = ("l2", "linf")
UNTOLD = ""  # in place of a metric

REMARKS: Mapping[str, str] = {
    "57-outputs": "the head had 57 outputs for the 47 classes",
    "best-epoch": "at or above the tables wherever both have the setting: probably the best epoch"
    " on the test images",
    "chosen-on-test": "learning rate and epoch were chosen on the test images",
    "first-files": "trained on the first 30 (Caltech-101) or 60 (Caltech-256) files of each class,"
    " tested on the others",
    "metric-as-reported": "these digits do not tell the metric; it is the one that the paper names",
    "metric-untold": "neither multiples of 100 / 3,333 nor bound to be means over classes: means of"
    " several runs' top-1 would look the same, and the best settings mix both metrics",
    "not-as-reported": "the paper names the mean per class, but the digits are those of top-1",
    "other-split": "8,171 test images, where the official split has 2,443",
    "several-runs": "no multiples of 100 / N: a mean of several runs; DTD's fit three",
}

_WORDS = {TOP1: "top-1", MEAN_PER_CLASS: "the mean per class"}
_SAME = 1e-9  # eps


@dataclass(frozen=True)
class Reported:
    """An accuracy.

    Attributes:
        set: its name in :data:`.catalogue.SETS`.
        arch: of the backbone, registry name.
        norm, eps: of its adversarial pretraining on ImageNet, in units of images in [0, 1] for both
            norms; L2 at 224 x 224 pixels. 0 is standard training; CIFAR has it once for each norm,
            of other runs.
        mode: ``fixed-feature`` (a linear head) or ``full-network`` (fine-tuning).
        downscale: pixels of the short side to which images were made smaller before all else; 0:
            they were not.
        accuracy: in percent, two digits.
        metric: ``top1`` or ``mean_per_class``; empty: untold.
        test_images: how many the accuracy is of.
        remarks: keys of :data:`REMARKS`.
    """

    set: str
    arch: str
    norm: str
    eps: float
    mode: str
    downscale: int
    accuracy: float
    metric: str
    test_images: int
    remarks: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What whoever compares it should know, in words."""
        return "; ".join(REMARKS[key] for key in self.remarks)


@dataclass(frozen=True)
class BestSetting:
    """The best of nine L2 eps and of the learning rates, by the test images.

    Attributes:
        lr, weight_decay, batch_size, epochs: of SGD.
        lr_step: epochs after which the learning rate falls to a tenth.
        others: as of :class:`Reported`; the accuracy has six digits or more.
    """

    set: str
    arch: str
    norm: str
    eps: float
    mode: str
    lr: float
    weight_decay: float
    batch_size: int
    epochs: int
    lr_step: int
    accuracy: float
    metric: str
    test_images: int
    remarks: tuple[str, ...]

    @property
    def remark(self) -> str:
        """What whoever compares it should know, in words."""
        return "; ".join(REMARKS[key] for key in self.remarks)


@dataclass(frozen=True)
class Beside:
    """A reported accuracy beside one of ours.

    Attributes:
        reported: theirs, to be shown as :data:`SOURCE` says.
        ours: in percent, in their metric; None where there is none.
        difference: ours less theirs, in points; None where they may not be subtracted.
        reason: why not; empty where they may.
    """

    reported: Reported
    ours: float | None
    difference: float | None
    reason: str


def reported(
    set: str | None = None,
    arch: str | None = None,
    norm: str | None = None,
    eps: float | None = None,
    mode: str | None = None,
    downscale: int | None = None,
) -> list[Reported]:
    """Return the accuracies of these values, in the order of the paper's tables; None is any.

    Args:
        set, arch, norm, eps, mode, downscale: as of :class:`Reported`; eps to within 1e-9.

    Raises:
        UserError: no accuracy is of this set, network, norm or mode. A setting that nobody reported
            gives an empty list.
    """
    _check(set, arch, norm, mode, _accuracies())
    return [
        row
        for row in _accuracies()
        if _fits(row, set, arch, norm, eps, mode) and downscale in (None, row.downscale)
    ]


def best_settings(
    set: str | None = None,
    arch: str | None = None,
    norm: str | None = None,
    eps: float | None = None,
    mode: str | None = None,
) -> list[BestSetting]:
    """Return the best settings of these values; None is any. Arguments and errors as above."""
    _check(set, arch, norm, mode, _settings())
    return [row for row in _settings() if _fits(row, set, arch, norm, eps, mode)]


def comparable(
    theirs: Reported | BestSetting, metric: str, test_images: int, classes: int | None = None
) -> str:
    """Return why an accuracy of ours may not be subtracted from theirs; empty if it may.

    Args:
        theirs: the reported one.
        metric: of ours, ``top1`` or ``mean_per_class``.
        test_images: that ours is of.
        classes: of our test images; None: not looked at.

    Raises:
        UserError: no such metric.
    """
    if metric not in _WORDS:
        raise UserError(f"no metric is called '{metric}'; it is one of {', '.join(_WORDS)}")
    facts = facts_of(theirs.set)
    if theirs.metric == UNTOLD:
        return "theirs does not tell whether it is top-1 or the mean per class"
    if theirs.metric != metric:
        return f"theirs is {_WORDS[theirs.metric]}, ours {_WORDS[metric]}"
    if theirs.test_images != test_images:
        return f"theirs is of {theirs.test_images:,} test images, ours of {test_images:,}"
    if classes is not None and classes != facts.classes:
        return f"theirs is of {facts.classes} classes, ours of {classes}"
    return ""


def beside(
    figures: Mapping[str, float],
    test_images: int,
    classes: int,
    *,
    set: str,
    arch: str,
    norm: str,
    eps: float,
    mode: str,
    downscale: int = 0,
) -> Beside | None:
    """Return what was reported of a setting beside ours; None if nothing was.

    Args:
        figures: our accuracies in percent, by metric.
        test_images, classes: of ours.
        set, arch, norm, eps, mode, downscale: of ours, as of :class:`Reported`; of eps 0 any norm.

    Raises:
        UserError: no such metric.
    """
    for metric in figures:
        if metric not in _WORDS:
            raise UserError(f"no metric is called '{metric}'; it is one of {', '.join(_WORDS)}")
    norm = norm if eps else "l2"
    found = [
        row
        for row in _accuracies()
        if _fits(row, set, arch, norm, eps, mode) and row.downscale == downscale
    ]
    if not found:
        return None
    (theirs,) = found
    if theirs.metric != UNTOLD and theirs.metric not in figures:
        return Beside(theirs, None, None, f"theirs is {_WORDS[theirs.metric]}, which ours lacks")
    ours = figures.get(theirs.metric)
    reason = comparable(theirs, theirs.metric or TOP1, test_images, classes)
    apart = None if reason or ours is None else ours - theirs.accuracy
    return Beside(theirs, ours, apart, reason)


def _fits(
    row: Reported | BestSetting,
    set: str | None,
    arch: str | None,
    norm: str | None,
    eps: float | None,
    mode: str | None,
) -> bool:
    return (
        set in (None, row.set)
        and arch in (None, row.arch)
        and norm in (None, row.norm)
        and (eps is None or math.isclose(eps, row.eps, rel_tol=0, abs_tol=_SAME))
        and mode in (None, row.mode)
    )


def _check(
    set: str | None,
    arch: str | None,
    norm: str | None,
    mode: str | None,
    rows: Sequence[Reported | BestSetting],
) -> None:
    """Refuse what no row is of."""
    for what, name, known in (
        ("data set", set, {row.set for row in rows}),
        ("network", arch, {row.arch for row in rows}),
        ("norm", norm, {row.norm for row in rows}),
        ("mode", mode, {row.mode for row in rows}),
    ):
        if name is not None and name not in known:
            hint = did_you_mean(name, known) or f"; it is one of {', '.join(sorted(known))}"
            raise UserError(f"nothing was reported of the {what} '{name}'{hint}")


@lru_cache(maxsize=1)
def _accuracies() -> tuple[Reported, ...]:
    return tuple(
        Reported(**_common(row), downscale=int(row["downscale"])) for row in _rows("salman2020.csv")
    )


@lru_cache(maxsize=1)
def _settings() -> tuple[BestSetting, ...]:
    return tuple(
        BestSetting(
            **_common(row),
            lr=float(row["lr"]),
            weight_decay=float(row["weight_decay"]),
            batch_size=int(row["batch_size"]),
            epochs=int(row["epochs"]),
            lr_step=int(row["lr_step"]),
        )
        for row in _rows("salman2020_best.csv")
    )


def _common(row: Mapping[str, str]) -> dict[str, Any]:
    """Return what both tables have."""
    return {
        "set": row["set"],
        "arch": row["arch"],
        "norm": row["norm"],
        "eps": _eps(row["eps"]),
        "mode": row["mode"],
        "accuracy": float(row["accuracy"]),
        "metric": row["metric"],
        "test_images": int(row["test_images"]),
        "remarks": tuple(row["remarks"].split()),
    }


def _eps(words: str) -> float:
    """Read ``3`` or ``0.5/255``."""
    number, _, divisor = words.partition("/")
    return float(number) / float(divisor or 1)


def _rows(file: str) -> list[dict[str, str]]:
    with open(Path(__file__).with_name(file), newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))
