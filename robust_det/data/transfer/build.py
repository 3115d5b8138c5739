"""From a survey of a set to its manifest."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Sequence

from robust_det.core.errors import UserError, counted
from robust_det.data.transfer.catalogue import ALL, SPLIT_WORDS, SPLITS
from robust_det.data.transfer.contents import oddities
from robust_det.data.transfer.leaks import without_leaks
from robust_det.data.transfer.listed import UNSPLIT, check_path
from robust_det.data.transfer.manifest import Entry, Manifest
from robust_det.data.transfer.splits import by_class, draw, first
from robust_det.data.transfer.survey import Survey

__all__ = ["build_manifest"]

_TEST_FRACTION = 0.2  # of a set of the user's own that nothing splits
_WORDS = {**SPLIT_WORDS, ALL: "set's"}


def build_manifest(found: Survey, seed: int = 0, paper: bool = False) -> Manifest:
    """Split a set as its official lists do; where there are none, by a seeded draw.

    Args:
        found: see :func:`.survey.survey`.
        seed: of the draw.
        paper: of the two sets of Caltech, train on the first images of each class by their names,
            as the code of Salman et al. 2020 does whatever its seed.

    Raises:
        UserError: there is nothing to train or to test on, or the official lists are missing.
    """
    listed = found.listed
    if listed.layout == UNSPLIT:
        raise UserError(
            f"{listed.base} has images of {found.facts.title}, and no {', '.join(listed.lacks)}",
            f"take the official archive ({found.facts.source}); or name the set 'folder', which"
            " draws a split that compares with nobody's",
        )
    splits, notes = _entries(found)
    notes = [*listed.notes, *_missing(found), *oddities(found.looks), *notes]
    if ALL in splits:
        splits, note = _drawn(found, splits[ALL], seed, paper)
        notes.append(note)
    clean, left_out, leaks = without_leaks(splits)
    for split in ("train", "test"):
        if not clean[split]:
            why = "".join(f"; {note}" for note in (*leaks, *listed.notes))
            raise UserError(
                f"{listed.base} has no {_WORDS[split]} images of {found.facts.title}{why}",
                f"expected: {found.facts.layout}",
            )
    unread = {look.sha256 for look in found.looks.values() if look.problem}
    notes += [*leaks, *_of_classes(clean, listed.classes, unread)]
    train, val, test = (tuple(clean[split]) for split in SPLITS)
    return Manifest(found.name, listed.classes, train, val, test, tuple(left_out), tuple(notes))


def _entries(found: Survey) -> tuple[dict[str, list[Entry]], list[str]]:
    """Return what is there by split, each path of a split once."""
    splits, notes = {}, []
    for split in found.listed.splits:
        items = found.there(split)
        once = {(check_path(path), label): found.looks[path].sha256 for path, label in items}
        if again := len(items) - len(once):
            notes.append(f"{again:,} rows of the {_WORDS[split]} images are there twice")
        splits[split] = [Entry(path, label, sha256) for (path, label), sha256 in once.items()]
    return splits, notes


def _missing(found: Survey) -> list[str]:
    return [
        f"{len(paths):,} of the {len(found.listed.splits[split]):,} {_WORDS[split]} images are"
        f" missing, such as {paths[0]}"
        for split, paths in found.missing.items()
    ]


def _drawn(
    found: Survey, entries: Sequence[Entry], seed: int, paper: bool
) -> tuple[dict[str, list[Entry]], str]:
    """Split what nothing splits."""
    classes, per_class = found.listed.classes, found.facts.per_class
    sizes = {name: len(images) for name, images in by_class(entries, classes).items()}
    if per_class and paper:
        how = f"the first {per_class} images of each class train"
        train, test = first(entries, classes, per_class)
    else:
        how = (
            f"{per_class or f'{1 - _TEST_FRACTION:.0%}'} of each class train, drawn by seed {seed}"
        )
        held = {name: max(round(n * _TEST_FRACTION), 1) for name, n in sizes.items()}
        counts = {name: per_class or max(n - held[name], 1) for name, n in sizes.items()}
        train, test = draw(entries, classes, counts, seed)
    note = f"nothing splits the images: {how}, the others are the test"
    if short := [name for name, n in sizes.items() if n <= per_class]:
        note += f"; {counted(len(short), 'class', 'es')}, such as {short[0]}, have no more"
    return {"train": train, "test": test}, note


def _of_classes(
    splits: dict[str, list[Entry]], classes: Sequence[str], unread: set[str]
) -> list[str]:
    """Say which classes cannot be learnt or measured.

    Args:
        splits, classes: images, and the classes in their order.
        unread: contents that are no images.
    """

    def broken(images: Sequence[Entry]) -> bool:
        return bool(images) and all(entry.sha256 in unread for entry in images)

    train, val, test = (by_class(splits[split], classes) for split in SPLITS)
    kinds = (
        ("without training images, on which nothing is trained", lambda n: not train[n]),
        (
            "without validation images, by which nothing of it is chosen",
            lambda n: splits["val"] and not val[n],
        ),
        ("without test images: the per-class mean is of the others", lambda n: not test[n]),
        ("with a single training image", lambda n: len(train[n]) == 1),
        ("without a training image that can be read", lambda n: broken(train[n])),
        ("without a test image that can be read", lambda n: broken(test[n])),
    )
    notes = []
    for words, holds in kinds:
        if names := [name for name in classes if holds(name)]:
            notes.append(f"{counted(len(names), 'class', 'es')}, such as {names[0]}, {words}")
    return [*notes, *_alike(classes)]


def _alike(classes: Sequence[str]) -> list[str]:
    """Say which names may mean one class."""
    groups: dict[str, list[str]] = {}
    for name in classes:
        plain = " ".join(unicodedata.normalize("NFKC", name).casefold().split())
        with contextlib.suppress(ValueError):
            plain = repr(float(plain))
        groups.setdefault(plain, []).append(name)
    if not (twice := [names for names in groups.values() if len(names) > 1]):
        return []
    number, (first, second, *_) = sum(map(len, twice)), twice[0]
    return [
        f"{number} classes differ from others by capitals, spaces, accents' encoding or how a"
        f" number is written alone, such as '{first}' and '{second}': each counts as its own"
    ]
