"""From records to a folder that a browser opens without a server or a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robust_det.analysis.latex import TEX_NAME, latex_text
from robust_det.analysis.options import Options
from robust_det.analysis.own_folder import OwnFolder
from robust_det.analysis.questions import QUESTIONS
from robust_det.analysis.questions.evidence import evidence_of
from robust_det.analysis.sections import SECTIONS
from robust_det.core.errors import counted
from robust_det.core.locks import sole_writer
from robust_det.core.progress import progress_bar
from robust_det.pages.navigation import Link
from robust_det.site.comparison_pages import Comparison, compare_all, comparison_page
from robust_det.site.library import Library, read_library
from robust_det.site.overview import groups_of
from robust_det.site.overview_page import overview_page, runs_page
from robust_det.site.question_page import Asked, ask_all, question_page
from robust_det.site.run_page import run_page

__all__ = ["FIRST_PAGE", "MARKER", "build_site"]

MARKER = ".robust_det_site.json"
FIRST_PAGE = "index.html"
_TITLE = "Standard and robust backbones"


def build_site(
    paths: Sequence[str | Path],
    output: str | Path,
    title: str | None = None,
    options: Options | None = None,
) -> tuple[Path, str]:
    """Write a site of all runs at and below paths.

    ``index.html`` has a line for each architecture, eps and task, and leads to a page for each kind
    of run compared, each question and each run. Scripts, styles and plots are within the pages;
    pictures, tables and the records lie beside them.

    Args:
        paths: run folders, folders of them, or records. What cannot be read, or enters no mean,
            is named on the first page, with why.
        output: a new or empty folder, or that of an earlier site, whose files are replaced.
        title: of the first page.
        options: how many pictures, where images and ground truth are.

    Returns:
        The first page, and what was written, for a terminal.

    Raises:
        UserError: a path does not exist, no record can be read, an option is wrong, or ``output``
            holds something else. Nothing is written then.
    """
    options = options or Options()
    options.check()
    folder = OwnFolder(Path(output), MARKER, "site")
    folder.files()  # refuses, before anything is read
    library = read_library(paths)
    with sole_writer(folder.path):
        files, text = _files(library, title or _TITLE, options)
        folder.write(files, folder.files())
    return folder.path / FIRST_PAGE, text


def _files(library: Library, title: str, options: Options) -> tuple[dict[str, bytes | Path], str]:
    with progress_bar(len(SECTIONS) + len(QUESTIONS), "comparisons and questions", "page") as bar:
        comparisons, problems = compare_all(library, options, bar.update)
        counting = [(run.path, run.record) for run in library.runs if run.counts]
        asked = ask_all(lambda: evidence_of(counting), bar.update)
    groups = groups_of(library)
    site = _Pages(comparisons, asked)
    files: dict[str, bytes | Path] = {}
    with progress_bar(len(library.runs), "runs", "page") as bar:
        for number, run in enumerate(library.runs):
            page, beside = run_page(library, number, site.nav(below="../"))
            files |= beside
            files[run.raw] = run.content
            files[run.page] = page.encode()
            bar.update()
    for one in asked:
        html, tables = question_page(one, asked, site.nav())
        files |= tables
        files[one.page] = html.encode()
    for comparison in comparisons:
        files |= comparison_page(comparison, library, site.nav(comparison.page))
    if options.latex:
        of_paper = [table for one in comparisons for table in one.section.tables]
        files[TEX_NAME] = latex_text(of_paper).encode()
    files["runs.html"] = runs_page(library, groups, site.nav("runs.html")).encode()
    # it is opened first, so it is written last
    first = overview_page(library, groups, asked, title, site.nav(FIRST_PAGE), problems)
    files[FIRST_PAGE] = first.encode()
    out = len(library.left_out)
    said = [f"{counted(len(library.runs), 'run')}, {counted(len(files), 'file')}"]
    said += [f"left out of all means: {out}, named on the first page"] if out else []
    return files, "\n".join([*said, *problems])


class _Pages:
    """The bar of all pages."""

    def __init__(self, comparisons: Sequence[Comparison], asked: Sequence[Asked]) -> None:
        self._pages = [
            (FIRST_PAGE, "Overview"),
            *((one.page, one.label) for one in comparisons),
            *([("index.html#questions", "Questions")] if asked else []),
            ("runs.html", "All runs"),
        ]

    def nav(self, current: str = "", below: str = "") -> list[Link]:
        """Return the bar of a page; ``below`` leads from its folder to that of the site."""
        return [Link(below + page, label, page == current) for page, label in self._pages]
