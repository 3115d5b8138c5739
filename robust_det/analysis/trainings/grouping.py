"""Evaluations under attack, gathered by how their networks were trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robust_det.analysis.differences import as_key
from robust_det.analysis.pretraining_keys import training_keys
from robust_det.core.epsilon import eps_label
from robust_det.records.pretrain import PretrainRecord
from robust_det.records.robustness import RobustnessRecord

__all__ = ["Training", "Trial", "training_words", "trials_of"]

_BUDGETS = ("quick", "standard", "autoattack")  # from the weakest


@dataclass(frozen=True)
class Training:
    """A way of training, and the runs of it: one a seed.

    Attributes:
        label: in words, which no other training has.
        runs: the records.
        evaluated: of each of them, what it was evaluated by: budget -> record.
    """

    label: str
    runs: list[PretrainRecord]
    evaluated: list[dict[str, RobustnessRecord]]


@dataclass(frozen=True)
class Trial:
    """Trainings whose networks met the same attacks at one eps on the same images.

    Attributes:
        norm, eps: of the attacks.
        budgets: that all of the networks met, from the weakest.
        images: how many.
        first: one of the evaluations, by the strongest budget.
        trainings: two or more, or one of several seeds.
    """

    norm: str
    eps: float
    budgets: tuple[str, ...]
    images: int
    first: RobustnessRecord
    trainings: list[Training]


def trials_of(
    runs: Iterable[PretrainRecord], evaluations: Iterable[RobustnessRecord]
) -> list[Trial]:
    """Gather evaluations of the networks of pretraining runs, by the SHA-256 of their weights.

    Args:
        runs: of pretraining.
        evaluations: under attack; those of other networks are left aside.
    """
    by_hash = {run.weights.sha256: run for run in runs}
    met: dict[tuple[Any, ...], dict[str, dict[str, RobustnessRecord]]] = {}
    for one in evaluations:
        if one.weights.sha256 in by_hash:
            for figure in one.robust:
                key = (one.attack_norm, figure.eps, one.data.digest, one.data.size, one.data.resize)
                of_network = met.setdefault(key, {}).setdefault(one.weights.sha256, {})
                of_network[one.budget] = one
    trials = []
    for (norm, eps, *_), networks in met.items():
        for budgets, hashes in _by_budgets(networks).items():
            trainings = _trainings([(by_hash[name], networks[name]) for name in hashes])
            if max(len(trainings), *(len(each.runs) for each in trainings)) > 1:
                first = networks[hashes[0]][budgets[-1]]
                trials.append(Trial(norm, eps, budgets, first.data.images, first, trainings))
    return trials


def _by_budgets(
    networks: Mapping[str, Mapping[str, RobustnessRecord]],
) -> dict[tuple[str, ...], list[str]]:
    """Return the networks by the budgets that they met."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, met in networks.items():
        budgets = tuple(sorted(met, key=_BUDGETS.index))
        found.setdefault(budgets, []).append(name)
    return found


def _trainings(
    networks: Sequence[tuple[PretrainRecord, dict[str, RobustnessRecord]]],
) -> list[Training]:
    groups: dict[bytes, list[tuple[PretrainRecord, dict[str, RobustnessRecord]]]] = {}
    settings: dict[bytes, dict[str, Any]] = {}
    for run, met in networks:
        setting = training_keys(run)
        key = as_key([run.arch, run.norm if run.eps else "", run.eps, setting])
        settings[key] = setting
        groups.setdefault(key, []).append((run, met))
    labels = _labels({key: group[0][0] for key, group in groups.items()}, settings)
    return [
        Training(labels[key], [run for run, _ in group], [met for _, met in group])
        for key, group in groups.items()
    ]


def _labels(
    runs: Mapping[bytes, PretrainRecord], settings: Mapping[bytes, Mapping[str, Any]]
) -> dict[bytes, str]:
    """Return what tells trainings apart: the threat model, and :func:`training_words`."""
    return {
        key: ", ".join(filter(None, (_threat(runs[key]), words)))
        for key, words in training_words(runs, settings).items()
    }


def _threat(run: PretrainRecord) -> str:
    return f"{run.arch} {eps_label(run.norm, run.eps)}"


def training_words(
    runs: Mapping[bytes, PretrainRecord], settings: Mapping[bytes, Mapping[str, Any]]
) -> dict[bytes, str]:
    """Return how networks were trained, beside their threat model: the method, and, where that is
    the same, the keys that differ.

    Args:
        runs: one of each way of training.
        settings: their :func:`.training_keys`.
    """
    words = {}
    for key, run in runs.items():
        alike = [
            settings[other]
            for other, one in runs.items()
            if (_threat(one), one.method) == (_threat(run), run.method)
        ]
        differing = [
            name
            for name in settings[key]
            if any(as_key(other.get(name)) != as_key(settings[key][name]) for other in alike)
        ]
        more = (f"{name} {settings[key][name]}" for name in differing)
        words[key] = ", ".join(filter(None, (run.method, *more)))
    return words
