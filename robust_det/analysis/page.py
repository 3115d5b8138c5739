"""The HTML page: one file with its style and plots inside, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from robust_det.analysis.sections.section import Section
from robust_det.core.errors import counted
from robust_det.pages.navigation import Link
from robust_det.pages.rendering import render

__all__ = ["render_report"]

_UNANSWERED = "No answer"
_TEMPLATES = Path(__file__).parent / "templates"


def render_report(
    sections: Sequence[Section],
    title: str,
    tables: str,
    nav: Sequence[Link] = (),
    run_pages: Mapping[Path, str] | None = None,
) -> str:
    """Return the page. Every text out of a record is escaped.

    Args:
        sections: at least one, in their order.
        title: the page's heading.
        tables: the file that has the tables as text.
        nav: the pages of the site that it is one of.
        run_pages: by their records, the pages of the runs, if these have pages of their own.
    """
    findings = [finding for section in sections for finding in section.findings]
    findings.sort(key=lambda finding: finding.startswith(_UNANSWERED))  # a page begins with answers
    provenance = [
        {**run, "page": (run_pages or {}).get(run["path"], "")}
        for section in sections
        for run in section.provenance
    ]
    files = sorted(name for section in sections for name in section.files)
    values = {
        "title": title,
        "nav": nav,
        # no line break between a number and its spread, or its sign
        "leads": [section.lead for section in sections if section.lead],
        "findings": [f.replace(" ± ", "\u00a0±\u00a0").replace("ε ", "ε\u00a0") for f in findings],
        "sections": [render(_TEMPLATES, section.template, section.values) for section in sections],
        "provenance": provenance,
        "tables": [name for name in files if name.endswith(".csv")],
        "texts": [tables, *(name for name in files if name.endswith(".md"))],
        "when": _period([run["created"] for run in provenance]),
        "runs": counted(len(provenance), "run"),
    }
    return render(_TEMPLATES, "report.html", values)


def _period(stamps: Sequence[str]) -> str:
    """The day or days on which the runs ended; empty if unknown."""
    days = list(dict.fromkeys(day for stamp in sorted(stamps) if (day := stamp[:10])))
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
