"""All that would be left out of a mean, of what lies below folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.analysis.admission.causes import LeftOut
from robust_det.analysis.admission.rule import admit
from robust_det.core.errors import UserError
from robust_det.records.store import find_records, load_readable
from robust_det.records.unfinished import unfinished_runs

__all__ = ["Checked", "check"]


@dataclass(frozen=True)
class Checked:
    """What a check found.

    Attributes:
        records: how many there are, readable or not.
        admitted: how many may enter a mean.
        left_out: what may not.
        doubts: see :class:`.Admission`.
    """

    records: int
    admitted: int
    left_out: list[LeftOut]
    doubts: list[LeftOut]


def check(paths: Sequence[str | Path]) -> Checked:
    """Look at the records and the folders of runs at and below paths.

    Raises:
        UserError: a path is not there, or there is neither a record nor a run.
    """
    for path in paths:
        if not Path(path).exists():
            raise UserError(f"{path} is not there; give the folder of runs")
    found = find_records(paths)
    unfinished = unfinished_runs(path for path in paths if Path(path).is_dir())
    if not found.records and not unfinished:
        raise UserError(f"no run below {', '.join(map(str, paths))}; a run writes record.json")
    left_out = [LeftOut(folder, "interrupted", why) for folder, why in unfinished]
    records, unreadable = load_readable(found.records)
    left_out += [LeftOut.unreadable(path, error) for path, error in unreadable]
    admission = admit(records)
    left_out += admission.left_out
    return Checked(len(found.records), len(admission.records), left_out, admission.doubts)
