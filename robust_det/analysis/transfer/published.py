"""Reported accuracies beside ours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from robust_det.analysis.tables import csv_of, signed
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import NONE, figure_cell
from robust_det.analysis.transfer.conditions import METRIC_LABELS
from robust_det.analysis.transfer.grouping import Row, Setting
from robust_det.core.epsilon import norm_label
from robust_det.reference.salman2020 import MODES, REMARKS, SOURCE, Beside, beside

__all__ = ["HOW_TO_READ_PUBLISHED", "Published", "published_block", "published_csv", "published_of"]

HOW_TO_READ_PUBLISHED = (
    f"Theirs: {SOURCE} of Salman et al. 2020, of networks pretrained on ImageNet at 224 px and"
    " transferred by SGD. A difference is ours less theirs, where metric, test images and size of"
    " images are the same; whether ours were pretrained alike the records do not say."
)
_SIDE = 224


@dataclass(frozen=True)
class Published:
    """A reported accuracy beside a row of ours.

    Attributes:
        setting, row: of ours.
        found: what was reported.
        difference: ours less theirs, in points; None where they may not be subtracted.
        reason: why not; empty where they may.
    """

    setting: Setting
    row: Row
    found: Beside
    difference: float | None
    reason: str


def published_of(settings: Sequence[Setting]) -> list[Published]:
    """Return the rows for whose set, architecture, norm, eps, mode and size a figure was reported.

    Args:
        settings: those of subsets and of other modes have none.
    """
    return [one for setting in settings for one in _of_setting(setting)]


def _of_setting(setting: Setting) -> Iterator[Published]:
    own = setting.conditions
    if own.mode not in MODES or own.data.subset:
        return
    for row in setting.rows:
        figures = {name: row.figure(name).mean for name in METRIC_LABELS}
        defined = {name: mean for name, mean in figures.items() if not math.isnan(mean)}
        if row.eps is None or not defined:
            continue
        found = beside(
            defined,
            own.data.test,
            own.data.classes,
            set=own.data.set,
            arch=row.arch,
            norm=row.norm or "",
            eps=row.eps,
            mode=own.mode,
            downscale=own.data.downscale,
        )
        if found is None:
            continue
        side = own.config.get("DATA.IMAGE_SIZE")
        reason = found.reason
        if not reason and side != _SIDE:
            reason = f"theirs is of images of {_SIDE} px, ours of {side}"
        yield Published(setting, row, found, None if reason else found.difference, reason)


def published_block(published: Sequence[Published]) -> Block:
    """Return ours and theirs, a row each figure that was reported."""
    rows, notes = [], dict[str, int]()
    for one in published:
        theirs, own = one.found.reported, one.setting.conditions
        metric = theirs.metric or own.data.headline
        gap = NONE if one.difference is None else signed(one.difference)
        texts = filter(None, [one.reason, *(REMARKS[key] for key in theirs.remarks)])
        numbers = [notes.setdefault(text, len(notes) + 1) for text in texts]
        rows.append(
            [
                own.set_title,
                one.setting.name,
                one.row.label,
                METRIC_LABELS[metric],
                figure_cell(one.row.figure(metric)),
                f"{theirs.accuracy:.2f}",
                gap,
                ", ".join(map(str, sorted(numbers))) or NONE,
            ]
        )
    headers = ["set", "setting", "backbone", "metric", "ours %", "theirs %", "Δ", "note"]
    told = tuple(f"Note {number}: {text}." for text, number in notes.items())
    return Block(f"Beside figures {SOURCE}", headers, rows, 4, told)


def published_csv(published: Sequence[Published]) -> str:
    """Return one line per reported figure; ours in its metric, empty where ours has none."""
    head = ["setting", "set", "mode", "downscale", "arch", "norm", "eps", "metric", "source"]
    return csv_of(
        [*head, "ours", "theirs", "difference", "reason", "remark"],
        (
            [
                one.setting.name,
                theirs.set,
                theirs.mode,
                theirs.downscale,
                theirs.arch,
                norm_label(one.row.norm or ""),
                one.row.eps,
                theirs.metric,
                SOURCE,
                one.found.ours,
                theirs.accuracy,
                one.difference,
                one.reason,
                theirs.remark,
            ]
            for one in published
            for theirs in [one.found.reported]
        ),
    )
