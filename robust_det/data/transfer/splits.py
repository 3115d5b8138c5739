"""Parts of a set: the first or seeded images of a class, validation held out, subsets.

What is random is a function of the seed, the class and its images; a smaller part lies within the
larger ones of the same seed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from robust_det.core.errors import UserError, counted
from robust_det.core.seeding import mixed_seed
from robust_det.data.draws import drawn, kept
from robust_det.data.transfer.manifest import Entry, Manifest

__all__ = ["by_class", "draw", "first", "subset", "with_validation"]

_VALIDATION, _SUBSET = 1, 2  # draws of one seed have nothing to do with each other


def by_class(entries: Iterable[Entry], classes: Iterable[str]) -> dict[str, list[Entry]]:
    """Return the images of each class in their order; empty of a class without any."""
    found: dict[str, list[Entry]] = {name: [] for name in classes}
    for entry in entries:
        found[entry.label].append(entry)
    return found


def draw(
    entries: Sequence[Entry], classes: Sequence[str], counts: Mapping[str, int], seed: int
) -> tuple[list[Entry], list[Entry]]:
    """Draw so many contents of each class; return their images and all others, as they came.

    Copies of one content stay together, and count as one of the class of the first.

    Args:
        entries: the images.
        classes: theirs.
        counts: of contents, by class; of a class with no more, one is left to the others.
        seed: of the draw.
    """
    chosen = set[str]()
    for number, (name, images) in enumerate(_contents(entries, classes).items()):
        chosen.update(images[i].sha256 for i in drawn(len(images), counts[name], seed, number))
    taken = [entry for entry in entries if entry.sha256 in chosen]
    return taken, [entry for entry in entries if entry.sha256 not in chosen]


def _contents(entries: Iterable[Entry], classes: Iterable[str]) -> dict[str, list[Entry]]:
    """Return the first image of each content by its path, by class."""
    contents: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda each: each.path):
        contents.setdefault(entry.sha256, entry)
    return by_class(contents.values(), classes)


def first(
    entries: Sequence[Entry], classes: Sequence[str], count: int
) -> tuple[list[Entry], list[Entry]]:
    """Return the first images of each class by their paths, and the others.

    Args:
        entries, classes: the images, and theirs.
        count: images of a class; of one with no more, one is left to the others.
    """
    taken, left = [], []
    for images in by_class(entries, classes).values():
        images.sort(key=lambda entry: entry.path)
        end = min(count, max(len(images) - 1, 1))
        taken += images[:end]
        left += images[end:]
    return taken, left


def with_validation(manifest: Manifest, fraction: float, seed: int) -> Manifest:
    """Hold out a stratified part of the training images to choose by; an official one is kept.

    A class with two contents or more has one on each side at least; a class with one stays in
    training, which a note says. Copies of one content stay together.

    Args:
        manifest: of the set.
        fraction: of each class's images to hold out, rounded.
        seed: of the draw.

    Raises:
        UserError: ``fraction`` is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise UserError(
            f"a validation split is a part above 0 and below 1, not {fraction:g}; give such as 0.2"
        )
    if manifest.val:
        return manifest
    contents = {
        name: len(images) for name, images in _contents(manifest.train, manifest.classes).items()
    }
    counts = {name: kept(n, fraction) for name, n in contents.items()}
    train, val = draw(manifest.train, manifest.classes, counts, mixed_seed(seed, _VALIDATION))
    note = f"validation: {fraction:g} of each class, by seed {seed}; {len(val):,} images"
    if alone := [name for name, n in contents.items() if n == 1]:
        note += (
            f"; {counted(len(alone), 'class', 'es')} with one image, such as {alone[0]}, stay in"
            " training"
        )
    return dataclasses.replace(
        manifest, train=tuple(train), val=tuple(val), notes=(*manifest.notes, note)
    )


def subset(
    manifest: Manifest,
    *,
    seed: int,
    per_class: int | None = None,
    fraction: float | None = None,
) -> Manifest:
    """Leave some of the training images, of each class alike; the test images stay.

    An official validation split is a part of the training images here, and is drawn from with them:
    who has few images has few to choose by. Hold out by :func:`with_validation` afterwards.

    Args:
        manifest: of the set.
        seed: of the draw.
        per_class: images of each class; all of a class with fewer, which a note says.
        fraction: or this part of each class's images, one at least.

    Raises:
        UserError: neither or both, or one out of range.
    """
    if (per_class is None) == (fraction is None):
        raise UserError("a subset is so many images a class or a fraction; give one of the two")
    if per_class is not None and per_class < 1:
        raise UserError(f"a subset of {per_class} images a class is empty; give 1 or more")
    if fraction is not None and not 0 < fraction <= 1:
        raise UserError(f"a subset of {fraction:g} is none; give more than 0, and 1 at most")
    train: list[Entry] = []
    short = []
    for number, (name, images) in enumerate(by_class(manifest.training, manifest.classes).items()):
        images.sort(key=lambda entry: entry.path)
        generator = np.random.default_rng(mixed_seed(seed, _SUBSET, number))
        order = generator.permutation(len(images))
        count = max(round(len(images) * fraction), 1) if fraction is not None else per_class
        chosen = sorted(order[:count])
        if per_class is not None and len(chosen) < per_class:
            short.append(name)
        train += [images[i] for i in chosen]
    what = f"{fraction:g} of" if fraction is not None else f"{per_class} images of"
    note = (
        f"subset: {what} each class, by seed {seed}; {len(train):,} of"
        f" {len(manifest.training):,} training images"
    )
    if short:
        note += f"; {counted(len(short), 'class', 'es')}, such as {short[0]}, have fewer"
    return dataclasses.replace(manifest, train=tuple(train), val=(), notes=(*manifest.notes, note))
