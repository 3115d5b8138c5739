"""A data set split in two by images, so that each class is on both sides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError, counted
from robust_det.core.locks import sole_writer
from robust_det.core.outputs import require_new
from robust_det.data.detection.layouts.layout import TRAIN, VAL
from robust_det.data.detection.source import Reading
from robust_det.data.detection.writing.coco_file import (
    coco_entry,
    copy_images,
    file_of,
    write_coco,
)
from robust_det.data.detection.writing.image_groups import image_groups

__all__ = ["Split", "held_out_groups", "split_images", "write_split"]

_TRIED = 30  # groups of images that are tried in places of others


@dataclass(frozen=True)
class Split:
    """Images by their places in a reading, in its order, and what is to be said of the split."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    notes: tuple[str, ...] = ()


def write_split(
    name: str,
    reading: Reading,
    split: Split,
    folder: Path,
    copies: str = "",
    overwrite: bool = False,
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Write the two parts of a data set as ``instances_train.json`` and ``instances_val.json``.

    Args:
        name: of the data set, which those of its parts begin with; without the role that it has.
        reading: of all of it; see :func:`~.coco_file.read_sound`.
        split: of :func:`split_images`.
        folder: for the files; images are named relative to it.
        copies: copy the images as well, into a folder of this name in it.
        overwrite: replace what is there.

    Returns:
        By role, ``train`` and ``val``, the entry of ``DATASETS.CUSTOM``; and lines to be said.

    Raises:
        UserError: the files are there.
    """
    paths = {role: folder / file_of(role) for role in (TRAIN, VAL)}
    with sole_writer(folder):
        require_new(paths.values(), overwrite)
        for role, chosen in ((TRAIN, split.train), (VAL, split.val)):
            if copies:
                copy_images(folder, reading, copies, chosen, overwrite)
            write_coco(paths[role], reading, chosen, copies)
    stem = name.removesuffix("_all").removesuffix(f"_{TRAIN}")
    entries = {role: coco_entry(f"{stem}_{role}", path) for role, path in paths.items()}
    said = [reading.report.cleaned()] if reading.report.problems else []
    notes = [f"note: {note}" for note in (*reading.report.remarks, *split.notes)]
    return entries, [*said, *notes, *_counts(reading, split)]


def split_images(reading: Reading, fraction: float = 0.2, seed: int = 0) -> Split:
    """Split the images of a data set, stratified over classes.

    Images of the same content, and augmented copies of one, stay together. Classes are distributed
    as in Sechidis et al. (2011, "On the stratification of multi-label data"), the rarest first;
    what is on two images or more is on both sides wherever that is possible, even if one side
    becomes larger than asked for.

    Args:
        reading: sound.
        fraction: of the images that are held out, in (0, 1).
        seed: another one gives another split; the same gives the same on any machine, whatever the
            order of the images.

    Raises:
        UserError: the fraction is out of range, or there is nothing to split.
    """
    if not 0 < fraction < 1:
        raise UserError(f"the fraction to hold out is {fraction:g}; it is above 0 and below 1")
    name = reading.report.name
    names = [image["file_name"] for image, _ in reading.images.heads()]
    groups = image_groups(reading.image_root, names)
    if len(groups) < 2:
        alike = " of one content" if len(names) > 1 else ""
        raise UserError(
            f"data set '{name}' has {counted(len(names), 'image')}{alike}, and none to hold out;"
            " two are needed"
        )
    # by their places; behind them what all objects have, so that both sides have some
    called = [c["name"] for c in reading.canonical_classes()]
    places = {c["id"]: place for place, c in enumerate(reading.canonical_classes())}
    on_image = [
        frozenset(places[a["category_id"]] for a in entry.objects if not a["iscrowd"])
        for entry in reading.images
    ]
    classes = [frozenset[int]().union(*(on_image[place] for place in group)) for group in groups]
    classes = [each | {len(called)} if each else each for each in classes]
    if sum(map(bool, classes)) < 2:
        raise UserError(
            f"data set '{name}' has objects on {sum(map(bool, classes))} of its different images;"
            " two are needed, as each side needs one"
        )
    held = held_out_groups(classes, [len(group) for group in groups], fraction, seed)
    val = sorted(place for number in held for place in groups[number])
    train = sorted({*range(len(names))} - {*val})
    notes = []
    if repeated := len(names) - len(groups):
        notes.append(
            f"{counted(repeated, 'image')} that others are copies of on one side with them (same"
            " file, or augmented)"
        )
    for number, times in sorted(Counter(c for each in classes for c in each).items()):
        sides = {n in held for n, each in enumerate(classes) if number in each}
        if len(sides) < 2:
            where = "val" if sides == {True} else "train"
            notes.append(f"class {called[number]} is in {where} alone: {counted(times, 'image')}")
    return Split(tuple(train), tuple(val), tuple(notes))


def held_out_groups(
    classes: Sequence[frozenset[int]], sizes: Sequence[int], fraction: float, seed: int
) -> set[int]:
    """Return which groups of images are held out.

    Args:
        classes: of each group.
        sizes: how many images each has.
        fraction, seed: see :func:`split_images`.
    """
    rng = random.Random(seed)
    order = list(range(len(classes)))
    rng.shuffle(order)
    shares = {False: 1 - fraction, True: fraction}
    left = Counter(c for each in classes for c in each)
    wanted = {side: {c: share * n for c, n in left.items()} for side, share in shares.items()}
    images = {side: share * sum(sizes) for side, share in shares.items()}
    side_of: dict[int, bool] = {}

    def put(group: int, side: bool) -> None:
        side_of[group] = side
        images[side] -= sizes[group]
        for c in classes[group]:
            wanted[side][c] -= 1
            left[c] -= 1

    while rest := [c for c, count in left.items() if count > 0]:
        rarest = min(rest, key=lambda c: (left[c], c))
        for group in [g for g in order if g not in side_of and rarest in classes[g]]:
            put(
                group, (wanted[True][rarest], images[True]) > (wanted[False][rarest], images[False])
            )
    for group in order:
        if group not in side_of:
            put(group, images[True] > images[False])
    _mend(side_of, classes, sizes)
    return {group for group, held in side_of.items() if held}


def _mend(
    side_of: dict[int, bool], classes: Sequence[frozenset[int]], sizes: Sequence[int]
) -> None:
    """Move groups, or swap two, so that no side is empty, and each class of two groups or more is
    on both as far as that is possible."""
    counts = {side: Counter[int]() for side in (False, True)}
    for group, side in side_of.items():
        counts[side].update(classes[group])
    total = counts[False] + counts[True]

    def move(groups: Sequence[int]) -> None:
        for group in groups:
            side = side_of[group]
            counts[side].subtract(classes[group])
            counts[not side].update(classes[group])
            side_of[group] = not side

    def lacking() -> list[tuple[int, bool]]:
        both = [c for c in sorted(total, key=lambda c: (total[c], c)) if total[c] > 1]
        return [(c, side) for c in both for side in (False, True) if not counts[side][c]]

    def improve() -> bool:
        """Make the first change after which fewer classes lack on a side; False without any."""
        before = lacking()
        for c, side in before:
            by_size = sorted(side_of, key=lambda group: sizes[group])
            others = [g for g in by_size if side_of[g] != side and c in classes[g]][:_TRIED]
            own = [g for g in by_size if side_of[g] == side][:_TRIED]
            for change in (*((g,) for g in others), *((g, h) for g in others for h in own)):
                move(change)
                if len(lacking()) < len(before):
                    return True
                move(change)
        return False

    while improve():
        pass
    for side in (False, True):
        if side not in side_of.values():
            move([min(side_of, key=lambda group: (len(classes[group]), sizes[group]))])


def _counts(reading: Reading, split: Split) -> list[str]:
    """Return a table of images, and of objects of each class, on both sides."""
    from tabulate import tabulate

    objects = {
        side: Counter(a["category_id"] for place in chosen for a in reading.images[place].objects)
        for side, chosen in ((TRAIN, split.train), (VAL, split.val))
    }
    rows: list[list[Any]] = [["images", len(split.train), len(split.val)]]
    for c in reading.canonical_classes():
        rows.append([c["name"], objects[TRAIN][c["id"]], objects[VAL][c["id"]]])
    return tabulate(rows, headers=["objects", TRAIN, VAL], disable_numparse=[0]).splitlines()
