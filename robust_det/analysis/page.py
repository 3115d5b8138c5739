"""The HTML page: one file with its style and plots inside, and the pictures beside it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from robust_det.analysis.gallery import Gallery
from robust_det.analysis.grouping import Row, Setting, format_eps, setting_differences
from robust_det.analysis.plots import ap_figure
from robust_det.analysis.runs import Backbone, Run
from robust_det.analysis.significance.study import TaskStudy
from robust_det.analysis.significance.text import page_parts
from robust_det.analysis.tables import backbone_table, counted, format_delta, format_mean
from robust_det.core.figures import PLACEHOLDER, inline_svg
from robust_det.records.metrics import task_of

__all__ = ["render_report"]

_TEMPLATES = Path(__file__).parent / "templates"


def render_report(
    settings: Sequence[Setting],
    backbones: Sequence[Backbone],
    findings: Sequence[str],
    galleries: Sequence[Gallery],
    title: str,
    studies: Sequence[TaskStudy] = (),
) -> str:
    """Return the page. Every text out of a record is escaped.

    Args:
        settings: at least one.
        backbones: pretraining runs to list.
        findings: the key results, in sentences.
        galleries: the pictures, one entry per setting.
        title: the page's heading.
        studies: intervals and errors, if they were asked for.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    runs = [run for s in settings for row in s.rows for run in row.runs]
    return environment.get_template("report.html").render(
        title=title,
        # no line break between a number and its spread, or its sign
        findings=[f.replace(" ± ", "\u00a0±\u00a0").replace("ε ", "ε\u00a0") for f in findings],
        settings=[
            {**_setting(s, g), "studies": page_parts(studies, s.letter)}
            for s, g in zip(settings, galleries, strict=True)
        ],
        differences=[(s.letter, setting_differences(settings[0], s)) for s in settings[1:]],
        backbones=backbone_table(backbones) if backbones else None,
        provenance=[
            _provenance(run, row, s.letter) for s in settings for row in s.rows for run in row.runs
        ],
        when=_period(runs),
        runs=counted(len(runs), "run"),
    )


def _setting(setting: Setting, gallery: Gallery) -> dict[str, Any]:
    return {
        "letter": setting.letter,
        "test_data": setting.test_data,
        "facts": _facts(setting),
        "archs": len({row.first.arch for row in setting.rows}),
        "tasks": [_task(setting, task) for task in setting.tasks],
        "notes": setting.notes,
        "gallery": gallery,
    }


def _facts(setting: Setting) -> list[tuple[str, str]]:
    """What a reader wants to know of a setting at a glance."""
    keys = setting.keys
    facts = [("architecture", ", ".join(dict.fromkeys(row.first.arch for row in setting.rows)))]
    for part in ("train data", "test data"):
        names = [k.removesuffix(": name") for k in keys if k.startswith(part) and "name" in k]
        sets = []
        for name in names:
            images = keys.get(f"{name}: images")
            count = f" ({counted(images, 'image')})" if isinstance(images, int) else ""
            sets.append(f"{keys[f'{name}: name']}{count}")
        facts.append((part, ", ".join(sets) or "none"))
    for label, key in (("iterations", "SOLVER.MAX_ITER"), ("batch", "SOLVER.IMS_PER_BATCH")):
        if key in keys:
            facts.append((label, f"{keys[key]}"))
    if "SOLVER.BASE_LR" in keys:
        facts.append(("learning rate", f"{keys['SOLVER.BASE_LR']}"))
    library = keys["evaluator library"]
    facts.append(("evaluator", f"{keys['evaluator']}, {library}"))
    return facts


def _task(setting: Setting, task: str) -> dict[str, Any]:
    known = task_of(task)
    rows = setting.rows_of(task)
    best = setting.best(task)
    described = ", ".join(f"{row.label} {format_mean(row.summary(task))}" for row in rows)
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
                "best": row is best and len(rows) > 1,
                "delta": format_delta(row.delta(task)),
                "tone": _tone(row, task),
                "n": row.summary(task).n,
            }
            for row in rows
        ],
        # Markup: our own SVG, in which matplotlib has escaped the names
        "plot": Markup(
            inline_svg(
                ap_figure(setting, task, PLACEHOLDER), f"{known.name} against epsilon: {described}"
            )
        ),
        "classes": [
            (
                metric.removeprefix(known.by_class),
                [format_mean(row.summary(task, metric)) for row in rows],
            )
            for metric in classes
        ],
        "class_columns": [row.label for row in rows],
    }


def _tone(row: Row, task: str) -> str:
    """``up``, ``down``, or empty for a difference that is nil or within the known spread."""
    delta = row.delta(task)
    if delta is None or math.isnan(delta.mean) or abs(delta.mean) < 0.05:
        return ""
    if not math.isnan(delta.std) and abs(delta.mean) < delta.std:
        return ""
    return "up" if delta.mean > 0 else "down"


def _provenance(run: Run, row: Row, letter: str) -> dict[str, Any]:
    env = run.environment
    command = env.get("command")
    if isinstance(command, list):
        command = shlex.join(["python", *map(str, command)])
    versions = env.get("versions")
    versions = dict(versions) if isinstance(versions, dict) else {}
    commit = str(env.get("commit") or "unknown")
    threads = env.get("threads")
    threads = counted(threads, "thread") if isinstance(threads, int) else "unknown threads"
    return {
        "name": run.name,
        "letter": letter,
        "label": row.label,
        "seed": run.seed,
        "wall_time": _duration(run.wall_time),
        "command": command or "not recorded",
        "facts": [
            ("backbone", f"{run.arch}, {run.norm or 'any norm'}, ε {format_eps(None, run.eps)}"),
            ("weights", run.weights),
            ("weights SHA-256", run.weights_hash),
            ("commit", commit + (" + uncommitted changes" if env.get("modified") else "")),
            ("device", f"{env.get('device', 'unknown')}, {threads}"),
            ("Python", env.get("python", "unknown")),
            ("libraries", ", ".join(f"{k} {v}" for k, v in versions.items()) or "unknown"),
            ("finished", env.get("created", "unknown")),
            ("record", run.path),
        ],
    }


def _duration(seconds: float | None) -> str:
    if seconds is None or not math.isfinite(seconds):
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _period(runs: Sequence[Run]) -> str:
    """The day or days on which the runs ended; empty if unknown."""
    stamps = sorted(str(run.environment.get("created", ""))[:10] for run in runs)
    days = [day for day in dict.fromkeys(stamps) if day]
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
