"""The sections of classifiers: the accuracy of each backbone, and evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from robust_det.analysis.latex import PaperTable
from robust_det.analysis.options import Options
from robust_det.analysis.sections.provenance import provenance_entry
from robust_det.analysis.sections.section import Section
from robust_det.analysis.tables import csv_of, render_table, title
from robust_det.core.epsilon import attack_label, norm_label
from robust_det.core.errors import counted
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
        records: each with its file; at least one.
        options: not for these records.
    """
    return _section(
        "Backbones",
        "Accuracy on the validation images of pretraining, clean and under attack.",
        ["backbone", "arch", "trained", "attack"],
        [*_COLUMNS.values()],
        [
            [
                r.name,
                r.arch,
                _trained(r),
                _attack(r.evaluators[0]),
                *_accuracies(r.metrics),
            ]
            for _, r in records
        ],
    )


def evaluation_section(
    records: Sequence[tuple[Path, ClassifierEvaluationRecord]], options: Options
) -> Section:
    """List evaluations of classifiers, each with its file, its attack and its images.

    Args:
        records: each with its file; at least one.
        options: not for these records.
    """
    section = _section(
        "Evaluations of classifiers",
        "Accuracy of files that were evaluated after their training, clean and under attack.",
        ["evaluation", "weights", "arch", "trained", "attack"],
        ["images", "attacked", *_COLUMNS.values()],
        [_evaluation(record) for _, record in records],
    )
    return replace(
        section,
        files={"evaluations.csv": _csv([record for _, record in records])},
        provenance=[_provenance(path, record) for path, record in records],
    )


def _section(
    heading: str, words: str, texts: list[str], numbers: list[str], rows: list[list[str]]
) -> Section:
    """Return a table, whose columns of text stand to the left of those of numbers."""
    headers = [*texts, *numbers]

    def text(style: str) -> list[str]:
        return [title(heading, style), render_table(headers, rows, len(texts), style)]

    values = {
        "heading": heading,
        "words": words,
        "headers": headers,
        "texts": len(texts),
        "rows": rows,
    }
    how = f"{words} There is no interval: a row is of one run."
    table = PaperTable(heading, headers, rows, len(texts), [1], "network a row", how)
    return Section(text, "classifiers.html", values, tables=[table])


def _evaluation(record: ClassifierEvaluationRecord) -> list[str]:
    attack, skipped = record.evaluators[0], record.data.skipped
    return [
        record.name,
        record.weights.path,
        record.arch,
        "unknown" if record.eps is None else _threat(record.norm, record.eps),
        _attack(attack),
        f"{record.data.images}" + (f" ({skipped} unreadable)" if skipped else ""),
        str(attack.images) if attack.eps else _NONE,
        *_accuracies(record.metrics),
    ]


def _attack(one: AttackEvaluator) -> str:
    if one.eps == 0:
        return _NONE
    starts = f", {counted(one.restarts, 'start')}" if one.restarts > 1 else ""
    label = attack_label(one.name, one.steps, one.objective)
    return f"{label}, {_threat(one.norm, one.eps)}{starts}"


def _trained(record: PretrainRecord) -> str:
    by = f", {record.method}" if record.method not in ("", "pgd") else ""
    return _threat(record.norm, record.eps) + by


def _threat(norm: str, eps: float) -> str:
    return f"{_norm(norm, eps)} {_eps(eps)}" if eps else "standard"


def _norm(norm: str, eps: float | None) -> str:
    return norm_label(norm) if norm and eps else _NONE


def _eps(eps: float | None) -> str:
    return _NONE if eps is None else f"{eps:g}"


def _accuracies(metrics: Mapping[str, float | None]) -> list[str]:
    values = [metrics.get(name) for name in _COLUMNS]
    return [_NONE if value is None else f"{value:.1f}" for value in values]


def _csv(records: Sequence[ClassifierEvaluationRecord]) -> bytes:
    """Return all that the figures depend on, in full precision."""
    attack = ("norm", "eps", "steps", "step_size", "restarts", "objective", "images")
    head = ["name", "weights", "weights_sha256", "arch", "norm", "eps", "images", "skipped"]
    lines = []
    for r in records:
        used, weights = r.evaluators[0], r.weights
        row = [r.name, weights.path, weights.sha256, r.arch, r.norm, r.eps]
        row += [r.data.images, r.data.skipped, *(getattr(used, name) for name in attack)]
        lines.append([*row, *(r.metrics.get(name) for name in _COLUMNS)])
    return csv_of([*head, *(f"attack_{name}" for name in attack), *_COLUMNS], lines).encode()


def _provenance(path: Path, record: ClassifierEvaluationRecord) -> dict[str, Any]:
    weights = record.weights
    return provenance_entry(
        record.environment,
        path,
        record.wall_time_s,
        [("weights", weights.path), ("weights SHA-256", weights.sha256)],
        name=record.name,
        letter="",
        label=record.arch,
        seed=record.seed,
    )
