"""What a question is answered with, whoever shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from matplotlib.figure import Figure

from robust_det.analysis.transfer.blocks import Block

__all__ = ["Answer", "Missing", "Picture", "Sheet"]


class Picture(Protocol):
    """A figure, drawn when it is wanted.

    Attributes:
        name: of its file, without a suffix.
        title: in words.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def description(self) -> str:
        """Read aloud in place of the picture."""
        ...

    def draw(self, ink: str = ...) -> Figure:
        """Draw it.

        Args:
            ink: the colour of text and axes.
        """
        ...


@dataclass(frozen=True)
class Sheet:
    """A table for people, and the same in full precision.

    Attributes:
        name: of the CSV file, without a suffix.
        block: what is shown.
        csv: its text.
    """

    name: str
    block: Block
    csv: str


@dataclass(frozen=True)
class Missing:
    """Runs that would be needed.

    Attributes:
        words: what for, in a sentence.
        commands: that make them, each a line for a shell.
    """

    words: str
    commands: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        name: of the question, as the command has it.
        question: in words.
        basis: from how many runs, in a sentence or two.
        findings: sentences, each of which starts with the answer; at least one.
        sheets, figures: in their order.
        how_to_read: paragraphs below the tables.
        left_out: what did not count, and why.
        missing: what would be needed for more.
    """

    name: str
    question: str
    basis: str
    findings: Sequence[str]
    sheets: Sequence[Sheet] = ()
    figures: Sequence[Picture] = ()
    how_to_read: Sequence[str] = ()
    left_out: Sequence[str] = ()
    missing: Sequence[Missing] = ()
