"""The rule: which records may enter a mean."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from robust_det.analysis.admission.alone import lacking, undefined, unfinished
from robust_det.analysis.admission.causes import Admission, Cause, LeftOut
from robust_det.analysis.admission.evaluations import other_evaluations
from robust_det.analysis.admission.origins import contradictions, shared_weights
from robust_det.analysis.admission.twice import copies, repeats
from robust_det.analysis.admission.uncommitted import modified_beside_committed, modified_throughout
from robust_det.records.base import Record

__all__ = ["admit"]

_Pairs = Sequence[tuple[Path, Record]]
# in this order: each looks at what the ones before it have left
_CHECKS: tuple[tuple[Cause, Callable[[_Pairs], Iterable[LeftOut]]], ...] = (
    ("lacking", lacking),
    ("copy", copies),
    ("contradiction", contradictions),
    ("one hash", shared_weights),
    ("interrupted", unfinished),
    ("repeat", repeats),
    ("modified", modified_beside_committed),
    ("evaluation", other_evaluations),
    ("undefined", undefined),
)


def admit(records: _Pairs, allowed: Collection[Cause] = ()) -> Admission:
    """Return which records may enter a mean, and which may not and why.

    Which of them enter *the same* mean is for those to say who make it; what is left in here agrees
    on the facts of each backbone, has each run once, and of each training one way of evaluation.

    Args:
        records: each with its file, of any kinds.
        allowed: causes that the caller sees to, such as :data:`.BY_SETTING`; by them nothing is
            left out, nor named.
    """
    kept = list(records)
    left_out: list[LeftOut] = []
    for cause, check in _CHECKS:
        if cause in allowed:
            continue
        found = list(check(kept))
        left_out += found
        gone = {one.path for one in found if not one.figure}
        kept = [pair for pair in kept if pair[0] not in gone]
    place = {path: number for number, (path, _) in enumerate(records)}
    left_out.sort(key=lambda one: place[one.path])
    return Admission(kept, left_out, list(modified_throughout(kept)))
