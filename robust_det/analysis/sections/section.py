"""What the records of one kind add to a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robust_det.analysis.latex import PaperTable

__all__ = ["Section"]


@dataclass(frozen=True)
class Section:
    """What the records of one kind add to a comparison.

    Attributes:
        text: returns the tables, with what is said of them, as paragraphs; its argument is the
            style of :func:`robust_det.analysis.tables.render_table`.
        template, values: of its part of the page.
        findings: the key results, in sentences.
        files: what it writes, by name: contents, or a file to copy.
        remarks: said in the terminal after all tables.
        provenance: a dictionary for each run: where its figures come from.
        lead: what the rows are, at the head of the page; may be empty.
        tables: the same for a paper.
    """

    text: Callable[[str], list[str]]
    template: str
    values: Mapping[str, Any]
    findings: Sequence[str] = ()
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    provenance: Sequence[Mapping[str, Any]] = ()
    lead: str = ""
    tables: Sequence[PaperTable] = ()
