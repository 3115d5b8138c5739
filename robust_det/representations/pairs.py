"""The CKA of every pair of backbones, stage by stage."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from robust_det.core.resampling import Interval
from robust_det.representations.beginnings import beginning_of
from robust_det.representations.cka import Centred, Vector, hsic, jackknife, similarity
from robust_det.representations.trainings import training_of
from robust_det.visualization.networks import ShownBackbone

__all__ = ["Cell", "Pair", "constant_stages", "pairs_of"]


@dataclass(frozen=True)
class Cell:
    """CKA of a stage of one backbone and a stage of another.

    Attributes:
        figure: debiased, with its interval over images.
        biased: by the biased estimator.
        without: (N,) debiased, of all images but one each; empty between stages of other names.
    """

    figure: Interval
    biased: float
    without: Vector


@dataclass(frozen=True)
class Pair:
    """Two backbones.

    Attributes:
        first, second: of them, in the order in which they were given.
        cells: by the stages of both.
        one_beginning: whether both began from the same weights, or one from the other's, as far as
            is known.
    """

    first: ShownBackbone
    second: ShownBackbone
    cells: Mapping[tuple[str, str], Cell]
    one_beginning: bool = False

    @property
    def title(self) -> str:
        """Both names."""
        return f"{self.first.name} and {self.second.name}"

    @property
    def trainings(self) -> tuple[str, str]:
        """What each was trained to."""
        return training_of(self.first), training_of(self.second)

    @property
    def one_architecture(self) -> bool:
        """Whether both have one architecture."""
        return self.first.model.arch == self.second.model.arch

    @property
    def rows(self) -> list[str]:
        """The stages of the first."""
        return list(dict.fromkeys(row for row, _ in self.cells))

    @property
    def columns(self) -> list[str]:
        """The stages of the second."""
        return list(dict.fromkeys(column for _, column in self.cells))

    @property
    def shared(self) -> list[str]:
        """The stages of one name."""
        return [name for name in self.rows if (name, name) in self.cells]


def pairs_of(
    backbones: Sequence[ShownBackbone],
    features: Mapping[str, Mapping[str, Centred]],
    advance: Callable[[], object],
) -> list[Pair]:
    """Return all pairs.

    Args:
        backbones: two or more.
        features: of each by name, those of each stage, of the same images.
        advance: is called after each pair of stages.
    """
    own = {
        name: {stage: hsic(one, one) for stage, one in stages.items()}
        for name, stages in features.items()
    }
    beginnings = {each.name: beginning_of(each) for each in backbones}
    pairs = []
    for a, b in itertools.combinations(backbones, 2):
        cells = {}
        for (row, x), (column, y) in itertools.product(
            features[a.name].items(), features[b.name].items()
        ):
            found = similarity(hsic(x, y), own[a.name][row], own[b.name][column])
            figure = jackknife(found.value, found.without)
            kept = found.without if row == column else np.empty(0)
            cells[row, column] = Cell(figure, found.biased, kept)
            advance()
        one = bool(_lineage(a, beginnings) & _lineage(b, beginnings))
        pairs.append(Pair(a, b, cells, one))
    return pairs


def _lineage(backbone: ShownBackbone, beginnings: Mapping[str, str]) -> set[str]:
    """Return what stands for a backbone's weights and those that it began from, where known."""
    file = backbone.file
    return {beginnings[backbone.name], file.sha256, file.source_sha256} - {""}


def constant_stages(features: Mapping[str, Mapping[str, Centred]]) -> list[str]:
    """Return the stages that are the same of all images, such as ``res5 of eps3``."""
    return [
        f"{stage} of {name}"
        for name, own in features.items()
        for stage, values in own.items()
        if values.constant
    ]
