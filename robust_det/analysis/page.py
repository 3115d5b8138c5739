"""The HTML page: one file with its style and plots inside, and the pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from robust_det.analysis.sections.section import Section
from robust_det.core.errors import counted

__all__ = ["render_report"]

_TEMPLATES = Path(__file__).parent / "templates"


def render_report(sections: Sequence[Section], title: str, tables: str) -> str:
    """Return the page. Every text out of a record is escaped.

    Args:
        sections: at least one, in their order.
        title: the page's heading.
        tables: the file that has the tables as text.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"parts": _parts, "options": _options}
    findings = [finding for section in sections for finding in section.findings]
    provenance = [run for section in sections for run in section.provenance]
    files = sorted(name for section in sections for name in section.files)
    return environment.get_template("report.html").render(
        title=title,
        # no line break between a number and its spread, or its sign
        leads=[section.lead for section in sections if section.lead],
        findings=[f.replace(" ± ", "\u00a0±\u00a0").replace("ε ", "ε\u00a0") for f in findings],
        # Markup: rendered by the same environment, so escaped
        sections=[
            Markup(environment.get_template(section.template).render(section.values))
            for section in sections
        ],
        provenance=provenance,
        tables=[name for name in files if name.endswith(".csv")],
        texts=[tables, *(name for name in files if name.endswith(".md"))],
        when=_period([run["created"] for run in provenance]),
        runs=counted(len(provenance), "run"),
    )


def _options(sentence: str) -> Markup:
    """A sentence in which the options of a command are not broken over two lines."""
    return Markup(re.sub(r"--[a-z]+", r'<code class="part">\g<0></code>', str(escape(sentence))))


def _parts(cell: str) -> Markup:
    """A figure and its spread, between which a narrow column may break the line, and no more."""
    parts = re.sub(r" (?=[(\[±])", "\n", cell).split("\n")
    return Markup(" ").join(Markup('<span class="part">{}</span>').format(part) for part in parts)


def _period(stamps: Sequence[str]) -> str:
    """The day or days on which the runs ended; empty if unknown."""
    days = list(dict.fromkeys(day for stamp in sorted(stamps) if (day := stamp[:10])))
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else ""
