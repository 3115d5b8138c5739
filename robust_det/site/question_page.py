"""The page of a question: its answer from the runs of the site, beside that of reported figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from robust_det.analysis.questions import QUESTIONS, Question
from robust_det.analysis.questions.answer import Answer
from robust_det.analysis.questions.evidence import Evidence
from robust_det.core.errors import UserError
from robust_det.core.figures import PLACEHOLDER, inline_svg
from robust_det.pages.navigation import Link
from robust_det.pages.rendering import render

__all__ = ["Asked", "ask_all", "question_page"]

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Asked:
    """A question, and what came of it.

    Attributes:
        name: as the command has it.
        question: with its words.
        answer: from the runs; None if they do not answer it.
        why_not: what is missing then.
        reported: the answer of the figures reported in June 2020, if they have one.
    """

    name: str
    question: Question
    answer: Answer | None
    why_not: str
    reported: Answer | None

    @property
    def page(self) -> str:
        """From the site's folder."""
        return f"question-{self.name}.html"

    @property
    def brief(self) -> str:
        """What holds, in a sentence."""
        return self.answer.findings[0] if self.answer else f"Not answered: {self.why_not}."


def ask_all(evidence: Callable[[], Evidence], on_asked: Callable[[], object]) -> list[Asked]:
    """Ask the questions one after the other.

    Args:
        evidence: reads it; what it refuses, no question is asked of.
        on_asked: is told when one is done.
    """
    found: Evidence | None = None
    problem = ""
    try:
        found = evidence()
    except UserError as error:
        problem = error.reason
    out = []
    for name, question in QUESTIONS.items():
        answer, why_not = None, problem
        if found is not None:
            try:
                answer = question.of_runs(found)
            except UserError as error:
                why_not = error.reason
        reported = question.of_reported() if question.of_reported else None
        out.append(Asked(name, question, answer, why_not.rstrip("."), reported))
        on_asked()
    return out


def question_page(
    asked: Asked, every: Sequence[Asked], nav: Sequence[Link]
) -> tuple[Markup, Mapping[str, bytes]]:
    """Return the page of a question, and the files that it leads to, by name.

    Args:
        asked: the question.
        every: all of them, to which the page leads as well.
        nav: the pages of the site.
    """
    files: dict[str, bytes] = {}
    parts = []
    for answer, whose in ((asked.answer, "runs"), (asked.reported, "reported")):
        if answer is None:
            continue
        stem = f"questions/{asked.name}/{whose}"
        tables = {f"{stem}/{sheet.name}.csv": sheet.csv.encode() for sheet in answer.sheets}
        plots = []
        for one in answer.figures:
            # Markup: our own SVG, in which matplotlib has escaped the names
            svg = Markup(inline_svg(one.draw(PLACEHOLDER), one.description))
            plots.append(svg)
        files |= tables
        parts.append({"whose": whose, "answer": answer, "plots": plots, "tables": list(tables)})
    others = [one for one in every if one is not asked]
    values = {"nav": nav, "asked": asked, "others": others, "parts": parts}
    return render(_TEMPLATES, "question.html", values), files
