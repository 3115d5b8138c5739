"""The comparison from record files to a folder with table, plots and page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from robust_det.analysis.findings import key_findings
from robust_det.analysis.gallery import build_gallery
from robust_det.analysis.grouping import group_runs
from robust_det.analysis.page import render_report
from robust_det.analysis.plots import ap_figure
from robust_det.analysis.runs import load_runs
from robust_det.analysis.significance.study import Options, study
from robust_det.analysis.significance.text import study_files
from robust_det.analysis.significance.text import terminal_text as significance_text
from robust_det.analysis.tables import csv_text, markdown_text, terminal_text
from robust_det.core.errors import UserError
from robust_det.core.figures import image_bytes
from robust_det.core.files import write_atomically

__all__ = ["DEFAULT_TITLE", "MARKER_NAME", "compare"]

DEFAULT_TITLE = "Detection from robust backbones"
# Says that a folder is ours to write into, and which files in it are.
MARKER_NAME = ".robust_det_comparison.json"


def compare(
    paths: Sequence[str | Path],
    output: str | Path,
    title: str = DEFAULT_TITLE,
    options: Options | None = None,
) -> tuple[Path, str]:
    """Compare runs and write ``ap.md``, ``ap.csv``, ``plots/``, ``pictures/``, ``index.html``.

    Args:
        paths: run folders or ``record.json`` files; at least one of a detection run with an eps.
            Those of others, and folders without a record, are left out with a warning.
        output: a new or empty folder, or one that an earlier comparison wrote, whose files are
            then replaced.
        title: heading of the page and of the Markdown.
        options: whether to go through the saved detections as well, for intervals and errors;
            that writes ``significance.md`` and ``.csv``, ``errors.csv`` and their plots.

    Returns:
        The path of ``index.html``, and the tables as text for a terminal.

    Raises:
        UserError: a record is missing or malformed, the same run is given twice, detections or
            ground truth that are needed are missing, or ``output`` holds something else. Nothing
            is written then.
    """
    output = Path(output)
    before = _files_of_an_earlier_run(output)
    runs, backbones = load_runs(paths)
    settings = group_runs(runs)
    findings = key_findings(settings)
    galleries = [build_gallery(setting) for setting in settings]
    studies = study(settings, options) if options and options.wanted else []

    files: dict[str, bytes | Path] = {**study_files(studies)} if studies else {}
    for setting in settings:
        for task in setting.tasks:
            # a record may call its task anything, a file may not be called anything
            safe = "".join(c if c.isalnum() else "_" for c in task)
            figure = ap_figure(setting, task)
            for kind in ("png", "svg"):
                name = f"plots/ap_vs_eps_{safe}_{setting.letter}.{kind}"
                files[name] = image_bytes(figure, kind)
    for gallery in galleries:
        files.update(gallery.sources)
    files["ap.csv"] = csv_text(settings).encode()
    files["ap.md"] = markdown_text(settings, backbones, findings, title).encode()
    page = render_report(settings, backbones, findings, galleries, title, studies)
    files["index.html"] = page.encode()
    _write(output, files, before)
    text = terminal_text(settings, backbones, findings)
    problems = [problem for gallery in galleries for problem in gallery.problems]
    more = [f"\n{significance_text(studies)}"] if studies else []
    return output / "index.html", "\n".join([text, *problems, *more])


def _files_of_an_earlier_run(output: Path) -> set[str]:
    """Return the files that an earlier comparison wrote; refuse a folder of anything else."""
    advice = "choose another folder for the comparison"
    try:
        if not output.exists():
            return set()
        if not output.is_dir():
            raise UserError(f"{output} is a file; {advice}")
        if not any(output.iterdir()):
            return set()
    except OSError as error:
        raise UserError(f"cannot read {output}: {error.strerror}; {advice}") from error
    marker = output / MARKER_NAME
    if not marker.is_file():
        raise UserError(f"{output} holds something other than a comparison; {advice}")
    try:
        listed = json.loads(marker.read_text())["files"]
        names = {str(PurePosixPath(name)) for name in listed}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{marker} cannot be read; {advice}") from None
    # what is listed gets deleted when it is no longer needed: nothing outside the folder may be
    return {n for n in names if not PurePosixPath(n).is_absolute() and ".." not in n.split("/")}


def _write(output: Path, files: Mapping[str, bytes | Path], before: set[str]) -> None:
    """Write all files, the page last, and remove those of an earlier comparison."""
    # the list comes first, so that a killed run leaves a folder that the next one recognises
    _write_marker(output, before | set(files))
    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        _put(output / name, data)
    for name in before - set(files):
        (output / name).unlink(missing_ok=True)
    _write_marker(output, set(files))


def _write_marker(output: Path, names: set[str]) -> None:
    text = json.dumps({"files": sorted(names)}, indent=1) + "\n"
    _put(output / MARKER_NAME, text.encode())


def _put(path: Path, data: bytes) -> None:
    write_atomically(path, lambda file: file.write(data))
