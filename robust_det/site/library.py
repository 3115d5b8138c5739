"""The runs of a site: their records, where their pages are, and what keeps them out of means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from robust_det.analysis.admission import LeftOut, admit
from robust_det.core.errors import UserError
from robust_det.records import RECORD_NAME, Record
from robust_det.records.lineage import Lineage
from robust_det.records.store import find_records, load_readable, load_records
from robust_det.records.table import rows_with
from robust_det.records.unfinished import unfinished_runs

__all__ = ["Library", "Run", "read_library"]

_LONGEST = 60  # of a run's name within that of a file


@dataclass(frozen=True)
class Run:
    """A run that has a record.

    Attributes:
        path: of the record.
        record: what it says.
        content: the file's bytes.
        name: of its folder, which in a sweep says more than that of the run does.
        slug: what its page and its copy of the record are called, without a suffix.
        row: see :data:`.rows.COLUMNS`.
        left_out: what of it enters no mean, and why.
        doubts: what enters one all the same, with what a reader has to know.
    """

    path: Path
    record: Record
    content: bytes
    name: str
    slug: str
    row: Mapping[str, Any]
    left_out: Sequence[LeftOut]
    doubts: Sequence[LeftOut]

    @property
    def page(self) -> str:
        """Its page, from the site's folder."""
        return f"runs/{self.slug}.html"

    @property
    def raw(self) -> str:
        """The copy of its record, from the site's folder."""
        return f"records/{self.slug}.json"

    @property
    def counts(self) -> bool:
        """Whether its figures may enter a mean."""
        return not any(not one.figure for one in self.left_out)


@dataclass(frozen=True)
class Library:
    """All that was found.

    Attributes:
        runs: those with a record, in the order given.
        lost: folders and files without a record that can be read, and why.
        deeper: records in the folders of runs, such as of later evaluations, that were not named.
    """

    runs: Sequence[Run]
    lost: Sequence[LeftOut]
    deeper: Sequence[Path]

    @cached_property
    def lineage(self) -> Lineage:
        """The steps between the runs, by their places."""
        return Lineage([(run.path, run.record) for run in self.runs])

    @cached_property
    def pages(self) -> Mapping[Path, str]:
        """The page of each run by its record."""
        return {run.path: run.page for run in self.runs}

    @property
    def left_out(self) -> list[LeftOut]:
        """All that enters no mean."""
        return [*self.lost, *(one for run in self.runs for one in run.left_out)]


def read_library(paths: Sequence[str | Path]) -> Library:
    """Read the records at and below paths; what cannot be read is kept apart, with why.

    Raises:
        UserError: a path does not exist, or no record can be read.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise UserError(f"{path} does not exist; give run folders, or folders of such")
    found = find_records(paths)
    records, unreadable = load_readable(found.records)
    lost = [LeftOut.unreadable(path, error) for path, error in unreadable]
    unfinished = unfinished_runs(path for path in map(Path, paths) if path.is_dir())
    lost += [LeftOut(path, "interrupted", why) for path, why in unfinished]
    known = {path for path, _ in unfinished}
    lost += [
        LeftOut(path, "interrupted", "it holds no run record")
        for path in found.without
        if not any(one.is_relative_to(path) for one in known)
    ]
    if not records:
        # says what is wrong with the first, or what is missing
        load_records(found.records or [Path(path) / RECORD_NAME for path in paths])
        raise UserError("there are no run records; give folders of runs")
    admission = admit(records)
    reasons: dict[Path, list[LeftOut]] = {}
    for one in admission.left_out:
        reasons.setdefault(one.path, []).append(one)
    doubts: dict[Path, list[LeftOut]] = {}
    for one in admission.doubts:
        doubts.setdefault(one.path, []).append(one)
    rows = rows_with(records, ())
    taken: set[str] = set()
    runs = []
    for (path, record), row in zip(records, rows, strict=True):
        content = path.read_bytes()
        name = path.parent.resolve().name or record.name
        slug = _slug(name, content, taken)
        against, doubtful = reasons.get(path, ()), doubts.get(path, ())
        runs.append(Run(path, record, content, name, slug, row, against, doubtful))
    return Library(runs, lost, found.deeper)


def _slug(name: str, content: bytes, taken: set[str]) -> str:
    """Return a name for files that no other run has, and that the same record gets again."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:_LONGEST] or "run"
    slug = base = f"{safe}-{hashlib.sha256(content).hexdigest()[:8]}"
    number = 1
    while slug.lower() in taken:  # copies, and file systems that do not tell capitals
        number += 1
        slug = f"{base}-{number}"
    taken.add(slug.lower())
    return slug
