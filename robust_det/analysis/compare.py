"""The comparison from record files to a folder with table, plots and page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from robust_det.analysis.admission import BY_SETTING, admit
from robust_det.analysis.latex import TEX_NAME, latex_text
from robust_det.analysis.options import Options
from robust_det.analysis.own_folder import OwnFolder
from robust_det.analysis.page import render_report
from robust_det.analysis.runs import warn_left_out
from robust_det.analysis.sections import SECTIONS
from robust_det.analysis.sections.trainings import training_section
from robust_det.analysis.tables import escape_markdown
from robust_det.core.errors import UserError
from robust_det.core.locks import sole_writer
from robust_det.records import RECORD_NAME, Record
from robust_det.records.store import find_records, load_records

__all__ = ["MARKER_NAME", "compare"]

logger = logging.getLogger(__name__)

_TITLE = "Detection from robust backbones"
_TITLE_OF_TRANSFERS = "Transfer from robust backbones"
_TITLE_OF_CLASSIFIERS = "Accuracy of classifiers"
# Says that a folder is ours to write into, and which files in it are.
MARKER_NAME = ".robust_det_comparison.json"


def compare(
    paths: Sequence[str | Path],
    output: str | Path,
    title: str | None = None,
    options: Options | None = None,
) -> tuple[Path, str]:
    """Compare runs and write ``ap.md``, ``ap.csv``, ``plots/``, ``pictures/``, ``index.html``.

    Of classifiers alone it writes ``accuracy.md``, ``evaluations.csv`` or ``robustness.csv``, and
    ``index.html``; of transfers ``transfer.csv``, ``transfer_differences.csv`` and
    ``transfer_modes.csv`` as well.

    Args:
        paths: run folders, folders of run folders, or ``record.json`` files; of detection runs, if
            there are any, at least one with an eps. Those without, and folders without a record,
            are left out with a warning.
        output: a new or empty folder, or one that an earlier comparison wrote, whose files are
            then replaced.
        title: heading of the page and of the Markdown; by default it says what is compared.
        options: how many pictures, and whether to go through the saved detections for intervals
            and errors, which are ``significance.md`` and ``.csv``, ``errors.csv`` and plots; and
            whether to write the tables as LaTeX, ``tables.tex``.

    Returns:
        The path of ``index.html``, and the tables as text for a terminal.

    Raises:
        UserError: an option is wrong, a record is missing or malformed, the same run is given
            twice, detections or ground truth that are needed are missing, or ``output`` holds
            something else. Nothing is written then.
    """
    folder, options = OwnFolder(Path(output), MARKER_NAME, "comparison"), options or Options()
    options.check()
    folder.files()  # refuses, before anything is made
    with sole_writer(folder.path):
        return _compare(paths, folder, title, options)


def _compare(
    paths: Sequence[str | Path], folder: OwnFolder, title: str | None, options: Options
) -> tuple[Path, str]:
    before = folder.files()
    by_kind, unasked = _read(paths)
    if not by_kind["detection"] and (options.wanted or options.annotations or options.images):
        raise UserError(
            "--significance, --errors, --annotations and --images are of detection runs, and none"
            " is among the records",
            "leave them out, or give one",
        )
    sections = [build(by_kind[kind], options) for kind, build in SECTIONS.items() if by_kind[kind]]
    if trainings := training_section(one for of in by_kind.values() for _, one in of):
        sections.append(trainings)
    tables_name = "ap.md" if by_kind["detection"] else "accuracy.md"
    title = _default_title(by_kind) if title is None else title

    files = {name: content for section in sections for name, content in section.files.items()}
    tables = "\n\n".join(block for section in sections for block in section.text("pipe"))
    files[tables_name] = f"# {escape_markdown(title)}\n\n{tables}\n".encode()
    if options.latex:
        files[TEX_NAME] = latex_text([one for of in sections for one in of.tables]).encode()
    files["index.html"] = render_report(sections, title, tables_name).encode()
    folder.write(files, before)
    text = "\n\n".join(block for section in sections for block in section.text("simple"))
    remarks = [remark for section in sections for remark in section.remarks]
    if unasked:
        remarks.append(
            "Of a run's folder its own record counts; evaluations in it count where they are named:"
            f" {', '.join(str(path.parent) for path in unasked)}."
        )
    return folder.path / "index.html", "\n".join([text, *remarks])


def _default_title(by_kind: Mapping[str, Sequence[object]]) -> str:
    if by_kind["detection"]:
        return _TITLE
    return _TITLE_OF_TRANSFERS if by_kind["transfer"] else _TITLE_OF_CLASSIFIERS


def _read(
    paths: Sequence[str | Path],
) -> tuple[dict[str, list[tuple[Path, Record]]], tuple[Path, ...]]:
    """Read the records at and below paths, by their kind; return the files left aside as well."""
    found = find_records(paths)
    # if there is nothing else, reading says what is missing
    missing = () if found.records else tuple(path / RECORD_NAME for path in found.without)
    by_kind: dict[str, list[tuple[Path, Record]]] = {kind: [] for kind in SECTIONS}
    admission = admit(load_records(found.records or missing), BY_SETTING)
    for one in admission.left_out:
        logger.warning(f"left out {one.path}: {one.why}")
    if not admission.records:
        raise UserError("none of the records may be compared; robust-det records check says why")
    for path, record in admission.records:
        kind = record.kind()
        if kind not in by_kind:
            raise UserError(
                f"run record {path} is of kind {kind}, which has no comparison; leave it out"
            )
        by_kind[kind].append((path, record))
    warn_left_out("no run record (a run writes it when it ends)", found.without)
    return by_kind, found.deeper
