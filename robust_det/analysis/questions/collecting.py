"""Cells from records of transfers and detectors, and from reported figures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence

from robust_det.analysis.grouping import Row as DetectorRow
from robust_det.analysis.grouping import Setting as DetectorSetting
from robust_det.analysis.questions.cells import Arm, Cell, Pretraining, Unit
from robust_det.analysis.questions.evidence import Evidence
from robust_det.analysis.transfer.conditions import METRIC_LABELS
from robust_det.analysis.transfer.contests import Line, lines_of
from robust_det.analysis.transfer.grouping import Backbone, Setting
from robust_det.core.epsilon import norm_label
from robust_det.data.transfer.catalogue import facts_of
from robust_det.records.metrics import task_of
from robust_det.reference.salman2020 import Reported, reported

__all__ = [
    "FIXED_FEATURE",
    "FULL_NETWORK",
    "MODES",
    "cell_of",
    "cells_of",
    "reported_cells",
    "unit_of",
]

FIXED_FEATURE, FULL_NETWORK = MODES = ("fixed-feature", "full-network")


def cells_of(evidence: Evidence, *modes: str) -> list[Cell]:
    """Return the cells of transfers, and of detectors where full networks are asked for.

    Args:
        evidence: the records.
        modes: of transfers; none is all.
    """
    origins = evidence.origins
    cells = [
        cell
        for setting in evidence.settings
        if not modes or setting.conditions.mode in modes
        for cell in _of_transfers(setting, origins)
    ]
    if not modes or FULL_NETWORK in modes:
        hashes = {path: record.weights.origin for path, record in evidence.detections}
        for found in evidence.detectors:
            origin = {id(row): hashes[row.first.path] for row in found.rows}
            cells += _of_detectors(found, origin, origins)
    return cells


def _of_transfers(setting: Setting, origins: Mapping[str, Pretraining]) -> Iterator[Cell]:
    headline = setting.conditions.data.headline
    for line in lines_of(setting):
        arms = []
        for row in line.rows:
            found = (unit_of(one, headline, origins) for one in row.backbones)
            units = tuple(unit for unit in found if unit is not None)
            if units:
                arms.append(Arm(row.norm or "", row.eps or 0.0, units))
        yield cell_of(setting, line, tuple(arms))


def cell_of(setting: Setting, line: Line, arms: tuple[Arm, ...]) -> Cell:
    """Return a cell of transfers.

    Args:
        setting: of them.
        line: architecture and norm.
        arms: by eps.
    """
    own = setting.conditions
    quirks = f", {own.quirks_in_words}" if own.quirks else ""
    return Cell(
        own.set_title,
        setting.name,
        own.headline,
        own.mode,
        f"{own.how}{own.images}{quirks}",
        line.arch,
        line.norm,
        arms,
        own.data.set,
        own.data.classes,
        own.data.downscale,
    )


def unit_of(one: Backbone, metric: str, origins: Mapping[str, Pretraining]) -> Unit | None:
    """Return a backbone with its transfers; None if its figure is not defined.

    Args:
        one: the backbone.
        metric: of the figure.
        origins: by hash, which pretraining it was.
    """
    values = [value for run in one.runs if not math.isnan(value := run.figures[metric])]
    if not values:
        return None
    choices = []
    for run in one.runs:
        selection = run.record.selection
        tried = [each.accuracy for each in selection.tried if each.converged] or [math.nan]
        choices.append(max(tried) if selection.on in ("validation", "left out") else math.nan)
    return Unit(one.sha256, tuple(values), statistics.fmean(choices), origins.get(one.sha256))


def _of_detectors(
    setting: DetectorSetting, hashes: Mapping[int, str], origins: Mapping[str, Pretraining]
) -> Iterator[Cell]:
    for task in setting.tasks:
        known = task_of(task)
        rows = [row for row in setting.rows_of(task) if row.summary(task).n]
        for arch in dict.fromkeys(row.first.arch for row in rows):
            of_arch = [row for row in rows if row.first.arch == arch]
            standard = [row for row in of_arch if row.first.eps == 0]
            norms = dict.fromkeys(row.first.norm for row in of_arch if row.first.eps)
            for norm in norms or [None]:
                robust = [row for row in of_arch if row.first.eps and row.first.norm == norm]
                yield Cell(
                    f"{known.name} on {setting.test_data}",
                    setting.letter,
                    known.headline,
                    FULL_NETWORK,
                    f"detectors, {known.name}",
                    arch,
                    norm or "",
                    tuple(_arms([*standard, *robust], task, hashes, origins)),
                )


def _arms(
    rows: Sequence[DetectorRow],
    task: str,
    hashes: Mapping[int, str],
    origins: Mapping[str, Pretraining],
) -> Iterator[Arm]:
    headline = task_of(task).headline
    for eps in sorted({row.first.eps for row in rows}):
        by_origin: dict[str, list[float]] = {}
        for row in rows:
            if row.first.eps == eps:
                values = (run.metrics.get(task, {}).get(headline, math.nan) for run in row.runs)
                defined = [value for value in values if not math.isnan(value)]
                # without a hash, weights of one file name are taken for one network
                key = hashes[id(row)] or row.first.weights
                by_origin.setdefault(key, []).extend(defined)
        norm = next((row.first.norm for row in rows if row.first.eps == eps), None)
        units = (
            Unit(one, tuple(values), math.nan, origins.get(one))
            for one, values in by_origin.items()
        )
        yield Arm(norm or "", eps, tuple(units))


def reported_cells(
    mode: str | None = None, downscale: int | None = None, archs: Sequence[str] = ()
) -> list[Cell]:
    """Return the figures of the submission of June 2020, one pretraining run each.

    Args:
        mode, downscale: None is any.
        archs: none is any.
    """
    rows: dict[tuple[str, str, int, str, str], list[Reported]] = {}
    for row in reported(mode=mode, downscale=downscale):
        if not archs or row.arch in archs:
            key = (row.mode, row.arch, row.downscale, row.norm, row.set)
            rows.setdefault(key, []).append(row)
    cells = []
    for (own_mode, arch, side, norm, name), alike in rows.items():
        facts = facts_of(name)
        arms = (
            Arm(norm if row.eps else "", row.eps, (Unit("", (row.accuracy,)),))
            for row in sorted(alike, key=lambda row: row.eps)
        )
        metric = METRIC_LABELS.get(alike[0].metric, "metric not told")
        how = own_mode + (f", shrunk to {side} px" if side else "")
        cells.append(
            Cell(
                f"{facts.title}, {norm_label(norm)}" if norm != "l2" else facts.title,
                "",
                metric,
                own_mode,
                how,
                arch,
                norm,
                tuple(arms),
                name,
                facts.classes,
                side,
            )
        )
    return cells
