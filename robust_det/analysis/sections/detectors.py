"""The section of detection runs: AP by backbone, plots, pictures, intervals and errors."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from robust_det.analysis.findings import key_findings
from robust_det.analysis.gallery.build import build_gallery
from robust_det.analysis.grouping import Setting, group_runs
from robust_det.analysis.latex import PaperTable
from robust_det.analysis.options import Options
from robust_det.analysis.plots import ap_figure
from robust_det.analysis.runs import runs_of
from robust_det.analysis.sections.detector_page import page_values, provenance
from robust_det.analysis.sections.section import Section
from robust_det.analysis.significance.study import study, study_of
from robust_det.analysis.significance.text import study_files, terminal_text
from robust_det.analysis.tables import (
    HOW_TO_READ_MEANS,
    ap_table,
    csv_text,
    heading,
    setting_blocks,
)
from robust_det.core.figures import image_bytes
from robust_det.records.detection import DetectionRecord

__all__ = ["detector_section"]

_LEAD = (
    "Each row is a detector fine-tuned from an image classifier that was pretrained under attack. ε"
    " is the strength of that attack, for pixels in [0, 1]; the standard backbone (ε 0) saw none."
    " Within a setting, data, schedule and evaluator are the same, and detectors differ in their"
    " backbone and seed only. Figures run from 0 to 100; Δ is the difference to the standard"
    " backbone of the same architecture."
)


def detector_section(records: Sequence[tuple[Path, DetectionRecord]], options: Options) -> Section:
    """Compare detection runs.

    Args:
        records: each with its file; at least one with an eps.
        options: whether to go through the saved detections as well.

    Raises:
        UserError: a record has not what comparison needs, the same run is there twice, or
            detections or ground truth that are needed are missing.
    """
    settings = group_runs(runs_of(records))
    studies = study(settings, options) if options.wanted else []
    galleries = [build_gallery(setting, options) for setting in settings]
    findings = key_findings(settings, studies, options.significance)
    files: dict[str, bytes | Path] = {**study_files(studies)} if studies else {}
    for setting in settings:
        for task in setting.tasks:
            # a record may call its task anything, a file may not be called anything
            safe = "".join(c if c.isalnum() else "_" for c in task)
            figure = ap_figure(setting, task, study=study_of(studies, setting, task))
            for kind in ("png", "svg"):
                name = f"plots/ap_vs_eps_{safe}_{setting.letter}.{kind}"
                files[name] = image_bytes(figure, kind)
    for gallery in galleries:
        files.update(gallery.files)
    files["ap.csv"] = csv_text(settings).encode()
    remarks = [problem for gallery in galleries for problem in gallery.problems]
    return Section(
        text=functools.partial(setting_blocks, settings, findings),
        template="detectors.html",
        values=page_values(settings, galleries, studies),
        findings=findings,
        files=files,
        remarks=[*remarks, *([f"\n{terminal_text(studies)}"] if studies else [])],
        provenance=provenance(settings),
        lead=_LEAD,
        tables=[_for_paper(setting, task) for setting in settings for task in setting.tasks],
    )


def _for_paper(setting: Setting, task: str) -> PaperTable:
    headers, rows = ap_table(setting, task)
    seeds = [row.summary(task).n for row in setting.rows_of(task)]
    how = (
        f"{HOW_TO_READ_MEANS} Δ is to the standard backbone of the same architecture, with that of"
        " the difference of one run of each. None of this is a confidence interval."
    )
    return PaperTable(heading(setting, task), headers, rows, 2, seeds, "fine-tuning seed", how)
