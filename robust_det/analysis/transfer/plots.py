"""Accuracy of transfers against eps and against the number of training images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from robust_det.analysis.curves import Curve, Panel, Plot, Point
from robust_det.analysis.differences import as_key
from robust_det.analysis.estimates import Estimate
from robust_det.analysis.transfer.cells import attack_labels
from robust_det.analysis.transfer.conditions import Conditions
from robust_det.analysis.transfer.contests import Line, lines_of
from robust_det.analysis.transfer.grouping import Row, Setting
from robust_det.analysis.transfer.runs import ADVERSARIAL_TOP1
from robust_det.core.epsilon import attack_label
from robust_det.records.pretrain import AttackEvaluator

__all__ = ["plots_of"]


def plots_of(settings: Sequence[Setting]) -> list[Plot]:
    """Return the plots that the settings have points for.

    Args:
        settings: of any sets, modes, subsets and sizes.
    """
    out = []
    kinds = dict.fromkeys(_images_of(setting) for setting in settings)
    for subset, side in kinds:
        alike = [setting for setting in settings if _images_of(setting) == (subset, side)]
        suffix = (f"_{side}px" if side else "") + (f"_subset{subset:g}" if subset else "")
        words = alike[0].conditions.images
        eps = "ε of pretraining (0 = standard)"
        if panels := _panels(alike, attacked=False):
            title = f"Accuracy on test images{words}"
            out.append(Plot(f"transfer_accuracy{suffix}", title, eps, panels))
        if panels := _panels(alike, attacked=True):
            title = f"Accuracy under attack{words}"
            out.append(Plot(f"transfer_robust{suffix}", title, eps, panels))
    for side in dict.fromkeys(side for _, side in kinds):
        of_side = [one for one in settings if one.conditions.data.downscale == side]
        if panels := _subset_panels(of_side):
            name = "transfer_subsets" + (f"_{side}px" if side else "")
            out.append(Plot(name, "Accuracy by training images", "training images", panels))
    return out


def _images_of(setting: Setting) -> tuple[float, int]:
    return setting.conditions.data.subset, setting.conditions.data.downscale


def _by_set(settings: Sequence[Setting]) -> dict[tuple[str, str], list[Setting]]:
    """Settings by set and metric, which are axes of their own."""
    out: dict[tuple[str, str], list[Setting]] = {}
    for one in settings:
        own = one.conditions
        out.setdefault((own.set_title, own.headline), []).append(one)
    return out


def _panels(settings: Sequence[Setting], attacked: bool) -> tuple[Panel, ...]:
    panels = []
    for (name, headline), alike in _by_set(settings).items():
        curves, eps = list[Curve](), list[tuple[str | None, float]]()
        for setting, how in _named(alike):
            for line in lines_of(setting):
                label = f"{how}, {line.label}"
                found = _robust(line, label) if attacked else [_clean(setting, line, label)]
                curves += [curve for curve in found if curve.points]
                eps += [(row.norm, row.eps or 0.0) for row in line.rows]
        if curves and len({x for curve in curves for x, _, _ in curve.points}) > 1:
            y = "adversarial top-1 %" if attacked else f"{headline} %"
            panels.append(Panel(name, y, tuple(curves), tuple(eps)))
    return tuple(panels)


def _named(settings: Sequence[Setting]) -> list[tuple[Setting, str]]:
    """Settings with mode and head, and with their names where an earlier one has the same."""
    out, seen = [], set[str]()
    for one in settings:
        how = one.conditions.how
        out.append((one, f"{how} of {one.name}" if how in seen else how))
        seen.add(how)
    return out


def _clean(setting: Setting, line: Line, label: str) -> Curve:
    headline = setting.conditions.data.headline
    points = [
        (row.eps or 0.0, setting.figure(row), tuple(one.mean(headline) for one in row.backbones))
        for row in line.rows
    ]
    return Curve(label, tuple(points))


def _robust(line: Line, label: str) -> list[Curve]:
    """One curve a common attack, and one of those backbones that met their own eps alone."""
    by_attack: dict[AttackEvaluator, list[Row]] = {}
    for row in line.rows:
        for attack in row.attacks:
            by_attack.setdefault(attack, []).append(row)
    common = {attack: rows for attack, rows in by_attack.items() if len(rows) > 1}
    names = attack_labels(list(common))
    curves = [
        Curve(f"{label}, under {names[attack]}", tuple(_under(row, attack) for row in rows))
        for attack, rows in common.items()
    ]
    # figures under another objective are no points of the same curve
    own: dict[str, list[Point]] = {}
    for attack, rows in by_attack.items():
        for row in rows:
            if attack not in common and (attack.norm, attack.eps) == (row.norm, row.eps):
                name = attack_label(attack.name, attack.steps, attack.objective)
                own.setdefault(name, []).append(_under(row, attack))
    for name, points in own.items():
        words = f", {name}" if len(own) > 1 else ""
        curves.append(Curve(f"{label}, under its own ε{words}", tuple(points)))
    return curves


def _under(row: Row, attack: AttackEvaluator) -> Point:
    single = tuple(one.mean_under(attack, ADVERSARIAL_TOP1) for one in row.backbones)
    return row.eps or 0.0, row.figure_under(attack, ADVERSARIAL_TOP1), single


def _subset_panels(settings: Sequence[Setting]) -> tuple[Panel, ...]:
    """One panel for settings that differ in their subset alone."""
    grouped: dict[bytes, list[Setting]] = {}
    for one in sorted(settings, key=lambda one: one.conditions.data.train):
        grouped.setdefault(_but_for_subset(one.conditions), []).append(one)
    panels = []
    for alike in grouped.values():
        points: dict[str, list[tuple[float, Estimate, tuple[float, ...]]]] = {}
        for setting in alike:
            own = setting.conditions.data
            for row in setting.rows:
                single = tuple(one.mean(own.headline) for one in row.backbones)
                point = (float(own.train), setting.figure(row), single)
                points.setdefault(row.label, []).append(point)
        curves = [Curve(label, tuple(one)) for label, one in points.items() if len(one) > 1]
        if curves:
            first = alike[0].conditions
            title = f"{first.set_title}, {first.how}"
            panels.append(Panel(title, f"{first.headline} %", tuple(curves)))
    return tuple(panels)


def _but_for_subset(own: Conditions) -> bytes:
    data = msgspec.structs.replace(own.data, subset=0.0, train=0, skipped=0)
    config = {key: value for key, value in own.config.items() if key != "TRANSFER.SUBSET"}
    return as_key(replace(own, data=data, config=config))
