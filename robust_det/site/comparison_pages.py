"""The pages that compare runs of one kind: what ``robust-det compare`` writes, within the site."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from robust_det.analysis.admission import BY_SETTING, admit
from robust_det.analysis.options import Options
from robust_det.analysis.page import render_report
from robust_det.analysis.sections import SECTIONS, Section
from robust_det.analysis.sections.trainings import training_section
from robust_det.analysis.tables import escape_markdown
from robust_det.core.errors import UserError
from robust_det.pages.navigation import Link
from robust_det.site.library import Library

__all__ = ["Comparison", "compare_all", "comparison_page"]

_TITLES = {
    "detection": ("detection", "Detection"),
    "transfer": ("transfer", "Transfer"),
    "pretrain": ("pretraining", "Pretraining"),
    "classifier_evaluation": ("evaluations", "Evaluations"),
    "robustness": ("robustness", "Robustness"),
}
_TRAININGS = ("trainings", "Trainings")


@dataclass(frozen=True)
class Comparison:
    """The runs of one kind, compared.

    Attributes:
        stem: of its files.
        label: in words.
        section: what the page shows.
    """

    stem: str
    label: str
    section: Section

    @property
    def page(self) -> str:
        """From the site's folder."""
        return f"{self.stem}.html"


def compare_all(
    library: Library, options: Options, on_done: Callable[[], object]
) -> tuple[list[Comparison], list[str]]:
    """Compare the runs of each kind.

    Of detectors intervals and kinds of errors are added where the detections and the ground truth
    that they need are there.

    Args:
        library: the runs.
        options: of the pictures, and where ground truth is.
        on_done: is told of each kind.

    Returns:
        The comparisons, and what could not be compared and why.
    """
    records = [(run.path, run.record) for run in library.runs]
    admitted = admit(records, BY_SETTING).records
    out, problems = list[Comparison](), list[str]()
    all_that_can = replace(options, significance=True, errors=True, where_possible=True)
    for kind, build in SECTIONS.items():
        stem, label = _TITLES[kind]
        found = [pair for pair in admitted if pair[1].kind() == kind]
        if found:
            try:
                out.append(Comparison(stem, label, build(found, all_that_can)))
            except UserError as error:
                problems.append(f"{label}: not compared, as {error.reason}.")
        on_done()
    if trainings := training_section(record for _, record in admitted):
        out.append(Comparison(*_TRAININGS, trainings))
    return out, problems


def comparison_page(
    one: Comparison, library: Library, nav: Sequence[Link]
) -> dict[str, bytes | Path]:
    """Return the files of a comparison by name; its page comes last."""
    tables = f"{one.stem}.md"
    heading = f"# {escape_markdown(one.label)}\n\n"
    files = dict(one.section.files)
    files[tables] = (heading + "\n\n".join(one.section.text("pipe")) + "\n").encode()
    page = render_report([one.section], one.label, tables, nav, library.pages)
    files[one.page] = page.encode()
    return files
