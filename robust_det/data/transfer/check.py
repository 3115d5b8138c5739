"""Which copy of a set was found, what differs from the official one, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low

from robust_det.core.errors import counted
from robust_det.data.transfer.catalogue import ALL
from robust_det.data.transfer.copies import IN_FOLDERS, known_copy
from robust_det.data.transfer.listed import FOLDERS
from robust_det.data.transfer.survey import Survey

__all__ = ["OFFICIAL", "OTHER", "OWN", "REMADE", "RESPLIT", "TRUNCATED", "Verdict", "judge"]

OFFICIAL = "official"
REMADE = "official splits of other images"
RESPLIT = "a known re-split"
TRUNCATED = "a truncated copy"
OTHER = "no copy that is known"
OWN = "your own data"


@dataclass(frozen=True)
class Verdict:
    """A copy of a set.

    Attributes:
        kind: which.
        differs: from the official one, one sentence each.
        follows: for what is measured on it, one sentence each.
    """

    kind: str
    differs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


def judge(found: Survey) -> Verdict:
    """Compare a copy with what is known of its set.

    Its classes, its splits and the sizes of its images are compared; digests of the images are
    published for Birdsnap and CIFAR alone.
    """
    facts, listed = found.facts, found.listed
    if not facts.classes:
        return Verdict(OWN)
    sizes = {split: len(found.there(split)) for split in listed.splits}
    classes = {label for split in listed.splits for _, label in found.there(split)}
    differs, follows = _of_classes(found, classes), list[str]()
    pairs = _in_pairs(sizes, facts.sizes)
    counts = [(len(classes), facts.classes), *pairs.values()]
    fewer = any(there < official for there, official in counts)
    more = any(there > official for there, official in counts)
    differs += [
        f"{there:,} {'images' if split == ALL else f'{split} images'}, officially {official:,}"
        for split, (there, official) in pairs.items()
        if there != official
    ]
    if lost := found.missing:
        paths = [path for each in lost.values() for path in each]
        differs.append(f"{counted(len(paths), 'listed file')} missing, such as {paths[0]}")
    if listed.lacks:
        differs.append(f"no {', '.join(listed.lacks)}")
        follows.append("without the official lists there are no splits, and no manifest is written")
    if listed.layout == FOLDERS:
        differs.append("folders of classes in place of the official lists")
        follows.append(IN_FOLDERS.get(found.name, "nothing but the sizes can prove the split"))
    remade = [*_small(found), *_changed(found)]
    differs += remade
    if remade:
        follows.append("figures compare with nobody's on the official images")
    kind = OTHER if more else TRUNCATED if fewer or listed.lacks else OFFICIAL
    if copy := known_copy(found.name, sizes):
        kind = RESPLIT
        differs.insert(0, copy.what)
        follows.insert(0, copy.follows)
    elif kind == TRUNCATED:
        follows.append("figures on a part of the set are no figures of the set")
    elif kind == OTHER:
        follows.append("figures compare with nobody's until it is known what this is")
    elif listed.layout == FOLDERS:
        kind = RESPLIT
    elif remade:
        kind = REMADE
    return Verdict(kind, tuple(differs), tuple(follows))


def _in_pairs(there: Mapping[str, int], official: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return how many images are there and how many there should be, by split.

    Where one side has no splits, both are counted as a whole; where the copy has no validation
    split, the official one counts as training images, as which it was read.
    """
    if (ALL in there) != (ALL in official):
        return {ALL: (sum(there.values()), sum(official.values()))}
    if "val" in official and "val" not in there:
        official = {"train": official["train"] + official["val"], "test": official["test"]}
    splits = dict.fromkeys((*official, *there))
    return {split: (there.get(split, 0), official.get(split, 0)) for split in splits}


def _of_classes(found: Survey, classes: set[str]) -> list[str]:
    facts, named = found.facts, found.listed.classes
    said = []
    if len(classes) != facts.classes:
        said.append(
            f"{counted(len(classes), 'class', 'es')} with images, officially {facts.classes}"
        )
    if "test" in found.listed.splits:
        tested = {label for _, label in found.there("test")}
        if lost := [name for name in named if name not in tested]:
            said.append(
                f"{counted(len(lost), 'class', 'es')} without test images, such as {lost[0]}"
            )
    return said


def _changed(found: Survey) -> list[str]:
    """Say which images are not those of the official list's MD5s."""
    changed = [path for path, look in found.looks.items() if look.changed]
    return [
        f"{counted(len(changed), 'image')} with another MD5 than the list has, such as {path}"
        for path in changed[:1]
    ]


def _small(found: Survey) -> list[str]:
    """Say that images are smaller than official ones; nothing if they are not."""
    sides = [look.side for look in found.looks.values() if look.side]
    middle = median_low(sides) if sides else found.facts.short_side
    if middle >= found.facts.short_side:
        return []
    return [
        f"images whose shorter side is {middle} px in the median; of the official ones it is"
        f" {found.facts.short_side} or more"
    ]
