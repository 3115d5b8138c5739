"""What the page shows of detection runs, for its template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from robust_det.analysis.gallery.gallery import Gallery
from robust_det.analysis.grouping import Row, Setting, setting_differences
from robust_det.analysis.labels import evaluator_names, libraries
from robust_det.analysis.plots import ap_figure
from robust_det.analysis.runs import Run
from robust_det.analysis.sections.provenance import provenance_entry
from robust_det.analysis.significance.evidence import scored_by_coco
from robust_det.analysis.significance.study import TaskStudy, study_of
from robust_det.analysis.significance.text import page_parts
from robust_det.analysis.tables import HOW_TO_READ_SEEDS, format_delta, format_mean
from robust_det.core.epsilon import format_eps, norm_label
from robust_det.core.errors import counted
from robust_det.core.figures import PLACEHOLDER, inline_svg
from robust_det.records.metrics import task_of

__all__ = ["page_values", "provenance"]

_TERMS = (
    "AP is COCO's average precision, the mean over IoU thresholds from 0.5 to 0.95; AP50 and AP75"
    " are at one threshold, APs, APm and APl of small, medium and large objects (below 32 × 32"
    " pixels, up to 96 × 96, above)."
)
_MOST = 8  # backbones side by side, which a page of 1300 pixels has room for


def page_values(
    settings: Sequence[Setting], galleries: Sequence[Gallery], studies: Sequence[TaskStudy]
) -> dict[str, Any]:
    """Return the values of ``detectors.html``.

    Args:
        settings: at least one.
        galleries: the pictures, one entry per setting.
        studies: intervals and errors, if they were asked for.
    """
    return {
        "settings": [
            _setting(setting, gallery, studies)
            for setting, gallery in zip(settings, galleries, strict=True)
        ],
        "how_to_read": HOW_TO_READ_SEEDS,
        "differences": [(s.letter, setting_differences(settings[0], s)) for s in settings[1:]],
    }


def provenance(settings: Sequence[Setting]) -> list[dict[str, Any]]:
    """Return where the figures of each run come from."""
    return [
        _provenance(run, row, setting.letter)
        for setting in settings
        for row in setting.rows
        for run in row.runs
    ]


def _setting(setting: Setting, gallery: Gallery, studies: Sequence[TaskStudy]) -> dict[str, Any]:
    return {
        "letter": setting.letter,
        "test_data": setting.test_data,
        "facts": _facts(setting),
        "archs": len({row.first.arch for row in setting.rows}),
        "tasks": [_task(setting, task, studies) for task in setting.tasks],
        "terms": _TERMS if scored_by_coco(setting.rows[0].first) else "",
        "notes": setting.notes,
        "gallery": gallery,
        "studies": page_parts(studies, setting.letter),
    }


def _facts(setting: Setting) -> list[tuple[str, str]]:
    """What a reader wants to know of a setting at a glance."""
    conditions = setting.conditions
    config = conditions.config
    facts = [("architecture", ", ".join(dict.fromkeys(row.first.arch for row in setting.rows)))]
    for part, sets in (("train data", conditions.train), ("test data", conditions.test)):
        shown = [f"{one.name} ({counted(one.images, 'image')})" for one in sets]
        facts.append((part, ", ".join(shown) or "none"))
    for label, key in (
        ("iterations", "SOLVER.MAX_ITER"),
        ("batch", "SOLVER.IMS_PER_BATCH"),
        ("learning rate", "SOLVER.BASE_LR"),
    ):
        if key in config:
            facts.append((label, f"{config[key]}"))
    if conditions.detector:
        facts.append(("detectors", conditions.detector))
    used = conditions.evaluators
    facts.append(("evaluator", f"{evaluator_names(used)}, {libraries(used)}"))
    return facts


def _task(setting: Setting, task: str, studies: Sequence[TaskStudy]) -> dict[str, Any]:
    known = task_of(task)
    study = study_of(studies, setting, task)
    rows = setting.rows_of(task)
    best = setting.best(task)
    described = ", ".join(f"{row.label} {format_mean(row.summary(task))}" for row in rows)
    one_arch = len({row.first.arch for row in rows}) == 1
    recorded = [metric for row in rows for run in row.runs for metric in run.metrics.get(task, {})]
    classes = dict.fromkeys(m for m in recorded if m.startswith(known.by_class))
    return {
        "name": known.name,
        "headline": known.headline,
        "by_class": known.by_class.removesuffix("-"),
        "columns": known.columns,
        "rows": [
            {
                "arch": row.first.arch,
                "label": row.label.removeprefix(f"{row.first.arch} "),
                "values": [format_mean(row.summary(task, metric)) for metric in known.columns],
                "highest": row is best and len(rows) > 1,
                "delta": format_delta(row.delta(task)),
                "tone": _tone(row, study),
                "n": row.summary(task).n,
            }
            for row in rows
        ],
        # Markup: our own SVG, in which matplotlib has escaped the names
        "plot": Markup(
            inline_svg(
                ap_figure(setting, task, PLACEHOLDER, study),
                f"{known.name} against epsilon: {described}",
            )
        ),
        "classes": len(classes),
        # side by side as many as are seen at once
        "class_tables": [
            {
                "columns": [
                    row.label.removeprefix(f"{row.first.arch} ") if one_arch else row.label
                    for row in part
                ],
                "rows": [
                    (
                        metric.removeprefix(known.by_class),
                        [format_mean(row.summary(task, metric)) for row in part],
                    )
                    for metric in classes
                ],
            }
            for part in (rows[n : n + _MOST] for n in range(0, len(rows), _MOST))
        ],
    }


def _tone(row: Row, study: TaskStudy | None) -> str:
    """``up`` or ``down`` for a difference whose interval leaves 0 out; empty for any other."""
    difference = study.overall(row) if study else None
    if difference is None:
        return ""
    ap = difference.intervals["AP"]
    return "up" if ap.low > 0 else "down" if ap.high < 0 else ""


def _provenance(run: Run, row: Row, letter: str) -> dict[str, Any]:
    norm = norm_label(run.norm) if run.norm else "any norm"
    facts = [
        ("backbone", f"{run.arch}, {norm}, ε {format_eps(None, run.eps)}"),
        ("weights", run.weights),
        ("weights SHA-256", run.weights_hash),
        ("detector SHA-256", run.detector or "unknown"),
    ]
    return provenance_entry(
        run.environment,
        run.path,
        run.wall_time,
        facts,
        name=run.name,
        letter=letter,
        label=row.label,
        seed=run.seed,
    )
