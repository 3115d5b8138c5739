"""Backbones by their scores: which is best, how sure that is, and which are not told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robust_det.core.resampling import Interval, difference, percentiles
from robust_det.core.seeding import mixed_seed
from robust_det.ranking.scores import METRICS, Figures
from robust_det.ranking.words import backbone_label
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["Row", "compare"]

_PICKS = 1  # of files, which have nothing to do with the draws of images

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """The backbones of one architecture and eps: seeds of one pretraining, or a single one.

    Attributes:
        files: the backbones.
        label: what they have in common; of an unknown eps, with the file's name.
        figures: by metric, the mean over the files with its 95% interval over images, and over the
            files if there are several.
        sure: the share of the resamples in which this row is the best, in [0, 1].
        behind: of another row than the best, its headline minus that one's.
    """

    files: tuple[BackboneFile, ...]
    label: str
    figures: dict[str, Interval]
    sure: float
    behind: Interval | None = None

    @property
    def arch(self) -> str:
        """The architecture of all files."""
        return self.files[0].card.arch

    @property
    def norm(self) -> str:
        """The norm of their threat model; empty of standard training, where it means nothing."""
        return self.files[0].card.norm if self.files[0].card.eps else ""

    @property
    def eps(self) -> float | None:
        """The eps of all files; None if the file does not say it."""
        return self.files[0].card.eps

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval of the difference to the best row is below 0."""
        return self.behind is not None and self.behind.high < 0


def compare(
    files: Sequence[BackboneFile],
    figures: Sequence[Figures],
    headline: str,
    *,
    separate: bool = False,
    seed: int = 0,
) -> list[Row]:
    """Return the rows, the best first; of equals the one of the smaller eps, an unknown one last.

    Files of one architecture, norm and eps are one row, whose resamples draw the files anew as
    well: the next pretraining would give others. Files of unknown eps are alone.

    Args:
        files, figures: of each backbone, in one order.
        headline: the metric that decides.
        separate: let each file be a row of its own.
        seed: of the draws of files.
    """
    members: dict[tuple[object, ...], list[int]] = {}
    for index, file in enumerate(files):
        card = file.card
        norm = card.norm if card.eps else ""
        alone = index if separate or card.eps is None else -1
        members.setdefault((card.arch, norm, card.eps, alone), []).append(index)
    together = [
        _mean([figures[i] for i in of_row], mixed_seed(seed, _PICKS, number))
        for number, of_row in enumerate(members.values())
    ]
    resampled = np.array([each.resampled[headline] for each in together])
    sure = _shares_of_best(resampled)
    order = sorted(
        range(len(together)),
        key=lambda i: (
            -together[i].values[headline],
            _eps_or_last(files[[*members.values()][i][0]].card.eps),
        ),
    )
    best = order[0]
    rows = []
    for place in order:
        own = tuple(files[i] for i in [*members.values()][place])
        behind = None
        if place != best:
            value = together[place].values[headline] - together[best].values[headline]
            behind = difference(value, resampled[place] - resampled[best], len(order) - 1)
        shown = {
            metric: Interval(
                together[place].values[metric], *percentiles(together[place].resampled[metric])
            )
            for metric in METRICS
        }
        rows.append(Row(own, _label(own, separate), shown, float(sure[place]), behind))
    return rows


def _mean(figures: Sequence[Figures], seed: int) -> Figures:
    """Return the mean over files; in each resample, over as many files drawn with replacement."""
    if len(figures) == 1:
        return figures[0]
    count = len(figures)
    resamples = len(next(iter(figures[0].resampled.values())))
    picks = np.random.default_rng(seed).integers(0, count, (count, resamples))
    values, resampled = {}, {}
    for metric in METRICS:
        values[metric] = float(np.mean([each.values[metric] for each in figures]))
        stacked = np.array([each.resampled[metric] for each in figures])
        resampled[metric] = np.take_along_axis(stacked, picks, axis=0).mean(0)
    return Figures(values, resampled)


def _shares_of_best(resampled: Floats) -> Floats:
    """Return in which share of the resamples each row (N, R) is the best, (N,); equals share."""
    best = resampled == resampled.max(0)
    return np.asarray((best / best.sum(0)).mean(1))


def _label(files: Sequence[BackboneFile], separate: bool) -> str:
    card = files[0].card
    label = backbone_label(card.arch, card.norm, card.eps)
    return f"{label} ({files[0].name})" if separate or card.eps is None else label


def _eps_or_last(eps: float | None) -> float:
    return math.inf if eps is None else eps
