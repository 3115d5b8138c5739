"""The two pages with which a reader begins: the overview, and the list of all runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from robust_det.core.errors import counted
from robust_det.core.figures import PLACEHOLDER, inline_svg
from robust_det.pages.navigation import Link
from robust_det.pages.rendering import render
from robust_det.site.library import Library
from robust_det.site.listing import group_listing, run_listing
from robust_det.site.overview import HOW_TO_READ, Group, setting_words
from robust_det.site.overview_plot import overview_plot
from robust_det.site.question_page import Asked

__all__ = ["overview_page", "runs_page"]

_TEMPLATES = Path(__file__).parent / "templates"
_LEAD = (
    "Standard and adversarially robust backbones, and what became of them: ε is the strength of the"
    " attack that a backbone was pretrained under, for pixels in [0, 1]; the standard one (ε 0) saw"
    " none. Accuracies and AP run from 0 to 100."
)


def overview_page(
    library: Library,
    groups: Sequence[Group],
    questions: Sequence[Asked],
    title: str,
    nav: Sequence[Link],
    problems: Sequence[str] = (),
) -> Markup:
    """Return the page that is opened first.

    Args:
        library: the runs.
        groups: of them, see :func:`.overview.groups_of`.
        questions: that were asked of them.
        title: its heading.
        nav: the pages of the site.
        problems: what could not be shown, and why.
    """
    plot, undrawn = overview_plot(groups)
    days = sorted({run.record.environment.created[:10] for run in library.runs} - {""})
    values = {
        "title": title,
        "nav": nav,
        "when": f"{days[0]} to {days[-1]}" if len(days) > 1 else "".join(days),
        "counts": _counts(library),
        "lead": _LEAD,
        # Markup: our own SVG, in which matplotlib has escaped the names
        "plot": plot and Markup(inline_svg(plot.draw(PLACEHOLDER), plot.description)),
        "undrawn": f"Not drawn, and in the table below: {undrawn}." if undrawn else "",
        "questions": questions,
        "how_to_read": HOW_TO_READ,
        "groups": group_listing(groups),
        "settings": setting_words(groups),
        "left_out": [
            (
                f"{one.path}, {one.figure}" if one.figure else str(one.path),
                library.pages.get(one.path, ""),
                one.why,
            )
            for one in library.left_out
        ],
        "problems": problems,
        "deeper": ", ".join(str(path.parent) for path in library.deeper),
    }
    return render(_TEMPLATES, "overview.html", values)


def runs_page(library: Library, groups: Sequence[Group], nav: Sequence[Link]) -> Markup:
    """Return the page of all runs."""
    listing = run_listing(library.runs, groups)
    values = {"nav": nav, "counts": _counts(library), "runs": listing}
    return render(_TEMPLATES, "runs.html", values)


def _counts(library: Library) -> str:
    backbones = {run.record.weights.origin for run in library.runs} - {""}
    return f"{counted(len(library.runs), 'run')} · {counted(len(backbones), 'file')} of weights"
