"""Images whose content is in two places."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from robust_det.core.errors import counted
from robust_det.data.transfer.catalogue import SPLIT_WORDS, SPLITS
from robust_det.data.transfer.manifest import Entry

__all__ = ["without_leaks"]


def without_leaks(
    splits: dict[str, list[Entry]],
) -> tuple[dict[str, list[Entry]], list[Entry], list[str]]:
    """Leave out of training what is in validation or test, and out of validation what is in test.

    Test splits stay whole, so that figures are of the images that others have. Copies within one
    split are told of, and stay.

    Returns:
        The splits, what was left out, and notes.
    """
    clean, left_out, notes = {}, [], []
    for place, split in enumerate(SPLITS):
        entries = splits.get(split, [])
        kept = entries
        for later in SPLITS[:place:-1]:  # the test split first
            there = {entry.sha256: entry for entry in splits.get(later, [])}
            found = [entry for entry in kept if entry.sha256 in there]
            kept = [entry for entry in kept if entry.sha256 not in there]
            left_out += found
            if found:
                notes.append(_leak(split, later, found, there))
        notes += _copies(split, kept)
        clean[split] = kept
    return clean, left_out, notes


def _leak(split: str, later: str, found: Sequence[Entry], there: dict[str, Entry]) -> str:
    other = sum(entry.label != there[entry.sha256].label for entry in found)
    labels = f", {other} of them with another label" if other else ""
    words = SPLIT_WORDS[split]
    example = f"{found[0].path}, which is {there[found[0].sha256].path}"
    return (
        f"{counted(len(found), f'{words} image')} in the {SPLIT_WORDS[later]} split as well by"
        f" content{labels}, such as {example}: left out of {words}"
    )


def _copies(split: str, entries: Sequence[Entry]) -> list[str]:
    counts = Counter(entry.sha256 for entry in entries)
    copies = [entry for entry in entries if counts[entry.sha256] > 1]
    if not copies:
        return []
    labels: dict[str, set[str]] = {}
    for entry in copies:
        labels.setdefault(entry.sha256, set()).add(entry.label)
    odd = sum(len(each) > 1 for each in labels.values())
    classes = f", {odd} of them in several classes" if odd else ""
    first, second, *_ = (e.path for e in copies if e.sha256 == copies[0].sha256)
    return [
        f"{counted(len(labels), 'content')} more than once among the {SPLIT_WORDS[split]}"
        f" images{classes}, such as {first} and {second}"
    ]
