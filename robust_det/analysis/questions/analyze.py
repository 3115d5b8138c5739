"""From a question to a folder: summary, tables in full precision, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from robust_det.analysis.own_folder import OwnFolder
from robust_det.analysis.questions import QUESTIONS
from robust_det.analysis.questions.answer import Answer
from robust_det.analysis.questions.evidence import read_evidence
from robust_det.analysis.tables import escape_markdown
from robust_det.analysis.transfer.blocks import block_text
from robust_det.core.errors import UserError
from robust_det.core.figures import image_bytes
from robust_det.core.locks import sole_writer

__all__ = ["MARKER", "SUMMARY", "analyze", "answer_text", "write_answer"]

MARKER = ".robust_det_answer.json"
SUMMARY = "summary.md"


def analyze(name: str, runs: Sequence[str | Path], output: str | Path) -> tuple[Path, str]:
    """Answer a question and write ``summary.md``, CSV files and figures.

    Args:
        name: of the question, one of :data:`.QUESTIONS`.
        runs: run folders, folders of such, or records; none: the reported figures are asked.
        output: a new or empty folder, or that of an earlier answer, whose files are replaced.

    Returns:
        The path of the summary, and what it says as text for a terminal.

    Raises:
        UserError: the question cannot be answered, a record is wrong, or ``output`` holds something
            else. Nothing is written then.
    """
    question = QUESTIONS[name]
    folder = OwnFolder(Path(output), MARKER, "answer")
    folder.files()  # refuses, before anything is read
    if runs:
        answer = question.of_runs(read_evidence(runs))
    elif question.of_reported is not None:
        answer = question.of_reported()
    else:
        raise UserError(
            f"the shipped tables have nothing that answers {name}", "give runs, as --runs DIR"
        )
    return write_answer(answer, folder), answer_text(answer, "simple")


def write_answer(
    answer: Answer, folder: OwnFolder, others: Mapping[str, bytes] | None = None
) -> Path:
    """Write an answer's files and return the path of the summary.

    Args:
        answer: to a question.
        folder: of the files.
        others: contents of further files by name, such as a record.
    """
    files: dict[str, bytes | Path] = dict(others or {})
    for sheet in answer.sheets:
        files[f"{sheet.name}.csv"] = sheet.csv.encode()
    for picture in answer.figures:
        figure = picture.draw()
        for kind in ("png", "svg"):
            files[f"plots/{picture.name}.{kind}"] = image_bytes(figure, kind)
    files[SUMMARY] = f"{answer_text(answer, 'pipe')}\n".encode()
    with sole_writer(folder.path):
        folder.write(files, folder.files())
    return folder.path / SUMMARY


def answer_text(answer: Answer, style: str) -> str:
    """Return an answer as text.

    Args:
        answer: to a question.
        style: ``simple`` for a terminal, ``pipe`` for Markdown, where pictures are shown.
    """
    markdown = style == "pipe"
    safe = escape_markdown if markdown else str
    bullet = "- " if markdown else ""
    heading = "## " if markdown else ""
    parts = [f"{'# ' if markdown else ''}{safe(answer.question)}", safe(answer.basis)]
    parts.append("\n".join(f"{bullet}{safe(line)}" for line in answer.findings))
    if markdown:
        parts += [
            f"![{safe(one.description)}](plots/{one.name}.png)"
            if len(one.description) < 400
            else f"![{safe(one.title)}](plots/{one.name}.png)"
            for one in answer.figures
        ]
    for sheet in answer.sheets:
        parts += block_text(sheet.block, style)
    parts += [safe(text) for text in answer.how_to_read]
    if answer.left_out:
        lines = [f"{bullet}{safe(line)}" for line in answer.left_out]
        parts += [f"{heading}Notes, and what is left out", "\n".join(lines)]
    if answer.missing:
        parts.append(f"{heading}Runs that are missing")
        for one in answer.missing:
            commands = "\n".join(one.commands)
            parts.append(safe(one.words))
            parts.append(f"```bash\n{commands}\n```" if markdown else commands)
    if markdown and answer.sheets:
        files = ", ".join(f"[`{sheet.name}.csv`]({sheet.name}.csv)" for sheet in answer.sheets)
        parts.append(f"In full precision: {files}.")
    return "\n\n".join(parts)
