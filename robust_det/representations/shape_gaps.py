"""Shape biases of networks of one training less those of standard ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from robust_det.analysis.estimates import Difference, Estimate, estimate, holm, paired, welch
from robust_det.core.resampling import Interval
from robust_det.representations.beginnings import beginning_of
from robust_det.representations.shape_bias import Decided, ShapeBias, bias_gap
from robust_det.representations.trainings import STANDARD, other_trainings, training_of
from robust_det.visualization.networks import ShownBackbone

__all__ = ["Gap", "gaps_of"]


@dataclass(frozen=True)
class Gap:
    """Networks of one training less the standard ones of their architecture.

    Attributes:
        arch, training: which.
        own, standard: shape biases over their pretraining runs.
        of_these: the difference with its interval over images, for these networks.
        of_runs: the same with its interval over pretraining runs; p of all gaps at once.
        paired: whether runs are paired, as each began from the weights that one standard run began
            from.
    """

    arch: str
    training: str
    own: Estimate
    standard: Estimate
    of_these: Interval
    of_runs: Difference
    paired: bool


def gaps_of(
    backbones: Sequence[ShownBackbone],
    decisions: Mapping[str, Decided],
    biases: Mapping[str, ShapeBias],
) -> list[Gap]:
    """Return one for each training beside the standard one, of each architecture.

    Args:
        backbones: the networks.
        decisions, biases: of each by name, on the same images.
    """
    gaps = list(_gaps(backbones, decisions, biases))
    p = holm({place: gap.of_runs.p for place, gap in enumerate(gaps)})
    return [
        replace(gap, of_runs=replace(gap.of_runs, p=p[place])) for place, gap in enumerate(gaps)
    ]


def _gaps(
    backbones: Sequence[ShownBackbone],
    decisions: Mapping[str, Decided],
    biases: Mapping[str, ShapeBias],
) -> Iterator[Gap]:
    for arch in dict.fromkeys(each.model.arch for each in backbones):
        own = [each for each in backbones if each.model.arch == arch]
        standard = [each for each in own if training_of(each) == STANDARD]
        for training in other_trainings(own) if standard else ():
            others = [each for each in own if training_of(each) == training]
            ours, theirs = (
                {each.name: biases[each.name].interval.value for each in group}
                for group in (others, standard)
            )
            these = bias_gap(*([decisions[name] for name in group] for group in (ours, theirs)))
            pairs = _pairs(others, standard)
            means = estimate(ours.values()), estimate(theirs.values())
            of_runs = paired(ours[a] - theirs[b] for a, b in pairs) if pairs else welch(*means)
            yield Gap(arch, training, *means, these, of_runs, bool(pairs))


def _pairs(
    others: Sequence[ShownBackbone], standard: Sequence[ShownBackbone]
) -> list[tuple[str, str]]:
    """Return the names of networks that began from the same weights, one of each; none unless that
    makes pairs of all."""
    ours, theirs = (
        {beginning_of(each): each.name for each in group} for group in (others, standard)
    )
    whole = len(ours) == len(others) and len(theirs) == len(standard)
    if not whole or ours.keys() != theirs.keys() or "" in ours:
        return []
    return [(ours[each], theirs[each]) for each in ours]
