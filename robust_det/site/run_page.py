"""The page of a run: figures, curves, where it comes from, config, environment."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from robust_det.analysis.sections.provenance import provenance_entry
from robust_det.core.config.reading import flatten
from robust_det.core.epsilon import eps_label
from robust_det.pages.navigation import Link
from robust_det.pages.rendering import render
from robust_det.records.rows import figures
from robust_det.site.curves import curve_svg, read_curves
from robust_det.site.library import Library
from robust_det.site.lineage_graph import lineage_svg

__all__ = ["run_page"]

TEMPLATES = Path(__file__).parent / "templates"
# what a run leaves for people to look at
_PICTURES = {
    "examples.png": "Clean images and attacked ones, with what the classifier took them for"
}
_MANY = 24  # figures that are seen at once; the others are folded


def run_page(
    library: Library, number: int, nav: Sequence[Link]
) -> tuple[Markup, Mapping[str, Path]]:
    """Return the page of a run, and the files that lie beside it, by name.

    Args:
        library: the runs.
        number: the run's place among them.
        nav: the pages of the site.
    """
    run = library.runs[number]
    record, folder = run.record, run.path.parent
    curves, notes = read_curves(folder)
    graph, words = lineage_svg(library, number)
    shown = [(name, _figure(value)) for name, value in figures(record)]
    # those of single classes are many
    of_classes = [pair for pair in shown if "-" in pair[0]]
    few = [pair for pair in shown if pair not in of_classes] if len(shown) > _MANY else shown
    pictures = {
        f"{run.slug}_{name}": (folder / name, about)
        for name, about in _PICTURES.items()
        if (folder / name).is_file()
    }
    row = run.row
    facts = [
        ("backbone", f"{record.arch}, {eps_label(record.norm, record.eps)}"),
        ("weights", record.weights.path),
        ("weights SHA-256", record.weights.sha256 or "unknown"),
    ]
    if record.weights.source_sha256:
        facts.append(("converted from", record.weights.source_sha256))
    source = provenance_entry(record.environment, run.path, record.wall_time_s, facts)
    head = [
        ("kind", record.kind().replace("_", " ")),
        ("architecture", record.arch),
        ("pretraining", eps_label(record.norm, record.eps)),
        ("data", row["dataset"]),
        ("mode", row["mode"]),
        ("protocol", row["protocol"]),
        ("seed", record.seed),
        ("pretraining seed", row["pretraining_seed"]),
        ("wall time", source["wall_time"]),
    ]
    values = {
        "nav": nav,
        "run": run,
        "head": [(name, value) for name, value in head if value not in ("", None)],
        "source": source,
        "few": few,
        "more": of_classes if few is not shown else [],
        "left_out": [one.why for one in run.left_out if not one.figure],
        "without": [(one.figure, one.why) for one in run.left_out if one.figure],
        "doubts": [one.why[:1].upper() + one.why[1:] for one in run.doubts],
        "curves": [(one.name, curve_svg(one)) for one in curves],
        "curve_notes": notes,
        "graph": graph,
        "lineage": words,
        "changes": [
            f"{one.key} from {_plain(one.before)} to {_plain(one.after)} at step {one.step}"
            for one in record.changes
        ],
        "config": "\n".join(
            f"{key}: {_plain(value)}" for key, value in sorted(flatten(record.config).items())
        ),
        "pictures": [(name, about) for name, (_, about) in pictures.items()],
    }
    files = {f"runs/{name}": path for name, (path, _) in pictures.items()}
    return render(TEMPLATES, "run.html", values), files


def _figure(value: float | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "undefined"
    return f"{value:.2f}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
