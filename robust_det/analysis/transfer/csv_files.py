"""The figures of transfers in full precision, as CSV files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from robust_det.analysis.estimates import Estimate
from robust_det.analysis.tables import csv_of
from robust_det.analysis.transfer.contests import Family
from robust_det.analysis.transfer.grouping import Row, Setting
from robust_det.analysis.transfer.modes import Change, Pair
from robust_det.core.epsilon import norm_label
from robust_det.records.pretrain import AttackEvaluator

__all__ = ["contests_csv", "figures_csv", "pairs_csv"]

_SETTING = ["setting", "set", "manifest", "mode", "head", "subset", "downscale", "quirks"]
_BACKBONE = ["arch", "norm", "eps"]
_ATTACK = ("norm", "eps", "steps", "step_size", "restarts", "objective", "images")
_ATTACK_COLUMNS = [f"attack_{name}" for name in _ATTACK]


def figures_csv(settings: Sequence[Setting]) -> str:
    """Return one line per setting, backbone setting, metric and attack.

    ``weights_sha256`` and ``of_each`` list the pretraining runs and their means over transfer
    seeds. Undefined numbers are empty; ``norm`` is empty at eps 0, ``eps`` where it is unknown.
    """
    head = [*_SETTING, *_BACKBONE, "metric", *_ATTACK_COLUMNS, "mean", "std", "low", "high"]
    head += ["pretraining_runs", "transfer_seeds", "weights_sha256", "of_each"]
    return csv_of(head, _figures(settings))


def _figures(settings: Sequence[Setting]) -> Iterator[list[Any]]:
    for setting in settings:
        for row in setting.rows:
            start = [*_setting(setting), *_backbone(row)]
            runs = [run for one in row.backbones for run in one.runs]
            for metric in dict.fromkeys(name for run in runs for name in run.figures):
                each = [one.mean(metric) for one in row.backbones]
                yield [*start, metric, *_attack(None), *_numbers(row.figure(metric), row, each)]
            for attack in row.attacks:
                attacked = [run for one in row.backbones for run in one.attacked.get(attack, [])]
                for metric in dict.fromkeys(name for run in attacked for name in run.attacked):
                    each = [one.mean_under(attack, metric) for one in row.backbones]
                    figure = row.figure_under(attack, metric)
                    yield [*start, metric, *_attack(attack), *_numbers(figure, row, each)]


def _setting(setting: Setting) -> list[Any]:
    own = setting.conditions
    images = [own.data.subset, own.data.downscale]
    which = [setting.name, own.data.set, own.data.manifest, own.mode, own.head]
    return [*which, *images, " ".join(own.quirks)]


def _backbone(row: Row) -> list[Any]:
    return [row.arch, norm_label(row.norm or ""), row.eps]


def _attack(attack: AttackEvaluator | None) -> list[Any]:
    return [getattr(attack, name) if attack else "" for name in _ATTACK]


def _numbers(one: Estimate, row: Row, each: Sequence[float]) -> list[Any]:
    seeds = " ".join(str(len(backbone.runs)) for backbone in row.backbones)
    weights = " ".join(backbone.sha256 for backbone in row.backbones)
    figures = [one.mean, one.std, one.low, one.high, one.n]
    return [*figures, seeds, weights, " ".join(map(repr, each))]


def contests_csv(families: Sequence[Family]) -> str:
    """Return one line per difference between eps.

    Those of each eps to eps 0 come first, with ``p`` corrected over the robust eps of all sets of
    ``family`` and no ``p_best``; then those of the highest mean to each other one, with ``p`` as it
    is and ``p_best`` corrected over the sets.
    """
    head = ["family", *_SETTING, *_BACKBONE, "minus_eps", "highest", "value", "low", "high", "p"]
    return csv_of([*head, "p_best"], _contests(families))


def _contests(families: Sequence[Family]) -> Iterator[list[Any]]:
    for family in families:
        for one in family.contests:
            start = [family.how, *_setting(one.setting)]
            for row, gap in one.to_standard:
                highest = int(row is one.best)
                numbers = [gap.value, gap.low, gap.high, gap.p, ""]
                yield [*start, *_backbone(row), 0.0, highest, *numbers]
            for row, gap in one.to_others:
                numbers = [gap.value, gap.low, gap.high, gap.p, one.p_best]
                yield [*start, *_backbone(one.best), row.eps, 1, *numbers]


def pairs_csv(pairs: Sequence[Pair]) -> str:
    """Return one line per backbone, pair of modes, and metric: its figures and their difference.

    Lines without ``weights_sha256`` are means over the backbones, with the paired t interval.
    """
    head = ["setting", "tuned_setting", "set", "mode", "tuned_mode", *_BACKBONE, "weights_sha256"]
    head += ["metric", *_ATTACK_COLUMNS, "before", "after", "difference", "low", "high", "p"]
    return csv_of(head, _pairs(pairs))


def _pairs(pairs: Sequence[Pair]) -> Iterator[list[Any]]:
    for pair in pairs:
        one, two = pair.frozen.conditions, pair.tuned.conditions
        start = [pair.frozen.name, pair.tuned.name, one.data.set, one.mode, two.mode]
        for row, clean, under in pair.rows:
            named = [(one.data.headline, clean), *(("adversarial_top1", c) for c in under)]
            for metric, change in named:
                yield from _of_change([*start, *_backbone(row)], metric, change)


def _of_change(start: list[Any], metric: str, change: Change) -> Iterator[list[Any]]:
    what = [metric, *_attack(change.attack)]
    for backbone, before, after in change.backbones:
        yield [*start, backbone.sha256, *what, before, after, after - before, "", "", ""]
    gap = change.difference
    means = [change.before.mean, change.after.mean, gap.value, gap.low, gap.high, gap.p]
    yield [*start, "", *what, *means]
