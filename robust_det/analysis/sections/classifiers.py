"""The sections of classifiers: the accuracy of each backbone, and evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robust_det.analysis.labels import norm_label
from robust_det.analysis.options import Options
from robust_det.analysis.sections.section import Section
from robust_det.analysis.tables import render_table, title
from robust_det.records.pretrain import (
    AttackEvaluator,
    ClassifierEvaluationRecord,
    PretrainRecord,
)

__all__ = ["classifier_section", "evaluation_section"]

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
    return _section(
        "Backbones",
        "Accuracy on the validation images of pretraining, clean and under attack.",
        ["backbone", "arch", "norm", "ε", *_COLUMNS.values()],
        [_cells(record) for _, record in records],
    )


def evaluation_section(
    records: Sequence[tuple[Path, ClassifierEvaluationRecord]], options: Options
) -> Section:
    """List evaluations of classifiers, each with its attack.

    Args:
        records: each with its file; there may be none.
        options: not for these records.
    """
    return _section(
        "Evaluations of classifiers",
        "Accuracy of files that were evaluated after their training, clean and under attack.",
        ["evaluation", "arch", "norm", "ε", *_COLUMNS.values(), "images", "attack"],
        [[*_cells(r), str(r.data.images), _attack(r.evaluators[0])] for _, r in records],
    )


def _section(heading: str, words: str, headers: list[str], rows: list[list[str]]) -> Section:
    def text(style: str) -> list[str]:
        if not rows:
            return []
        return [title(heading, style), render_table(headers, rows, 3, style)]

    values = {"heading": heading, "words": words, "headers": headers, "rows": rows}
    return Section(text, "classifiers.html", values)


def _cells(record: PretrainRecord | ClassifierEvaluationRecord) -> list[str]:
    norm = norm_label(record.norm) if record.norm and record.eps else _NONE
    values = [record.metrics.get(name) for name in _COLUMNS]
    shown = [_NONE if value is None else f"{value:.1f}" for value in values]
    eps = _NONE if record.eps is None else f"{record.eps:g}"
    return [record.name, record.arch, norm, eps, *shown]


def _attack(one: AttackEvaluator) -> str:
    if one.eps == 0:
        return _NONE
    return (
        f"{one.name} {norm_label(one.norm)} {one.eps:.4g}, {one.steps} steps, {one.images} images"
    )
