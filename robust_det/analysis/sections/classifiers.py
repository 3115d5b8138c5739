"""The section of pretraining runs: the accuracy of each backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robust_det.analysis.labels import norm_label
from robust_det.analysis.sections.section import Section
from robust_det.analysis.significance.study import Options
from robust_det.analysis.tables import render_table, title
from robust_det.records.pretrain import PretrainRecord

__all__ = ["classifier_section"]

_COLUMNS = {
    "clean_top1": "clean top-1 %",
    "clean_top5": "clean top-5 %",
    "adversarial_top1": "adversarial top-1 %",
}
_NONE = "—"


def classifier_section(records: Sequence[tuple[Path, PretrainRecord]], options: Options) -> Section:
    """List pretraining runs.

    Args:
        records: each with its file; there may be none.
        options: not for these records.
    """
    headers = ["backbone", "arch", "norm", "ε", *_COLUMNS.values()]
    rows = [_cells(record) for _, record in records]

    def text(style: str) -> list[str]:
        if not rows:
            return []
        return [title("Backbones", style), render_table(headers, rows, 3, style)]

    return Section(text, "classifiers.html", {"headers": headers, "rows": rows})


def _cells(record: PretrainRecord) -> list[str]:
    norm = norm_label(record.norm) if record.norm and record.eps > 0 else _NONE
    values = [record.metrics.get(name) for name in _COLUMNS]
    shown = [_NONE if value is None else f"{value:.1f}" for value in values]
    return [record.name, record.arch, norm, f"{record.eps:g}", *shown]
