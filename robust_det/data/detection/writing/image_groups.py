"""Images that may not be on both sides of a split: the same file twice, and copies of one image."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from robust_det.core.files import sha256_file

__all__ = ["image_groups"]

# Roboflow's augmented copies of an image: a_jpg.rf.0f3a....jpg
_COPY = re.compile(r"(.+)\.rf\.[0-9A-Za-z]{8,}(\.\w+)")


def image_groups(root: str, names: Sequence[str]) -> list[list[int]]:
    """Return the places of images, those that belong together in one list.

    Files of the same content do, and what Roboflow calls ``NAME.rf.HASH.jpg``, augmented copies of
    one image. The order is that of the names, so that it does not depend on that of the images.

    Args:
        root: folder that the names are relative to.
        names: of the files, which are there.
    """
    group = list(range(len(names)))

    def head(place: int) -> int:
        while group[place] != place:
            place = group[place]
        return place

    for same in (*_same_content(root, names), *_same_origin(names)):
        first, *others = sorted(head(place) for place in same)
        for other in others:
            group[head(other)] = head(first)
    together: dict[int, list[int]] = defaultdict(list)
    for place in sorted(range(len(names)), key=lambda place: names[place]):
        together[head(place)].append(place)
    return list(together.values())


def _same_content(root: str, names: Sequence[str]) -> Iterable[list[int]]:
    sizes: dict[int, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        sizes[os.path.getsize(os.path.join(root, name))].append(place)
    digests: dict[str, list[int]] = defaultdict(list)
    for places in sizes.values():
        # of all others no two can be equal
        for place in places if len(places) > 1 else ():
            digests[sha256_file(os.path.join(root, names[place]))].append(place)
    return (places for places in digests.values() if len(places) > 1)


def _same_origin(names: Sequence[str]) -> Iterable[list[int]]:
    origins: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if found := _COPY.fullmatch(os.path.basename(name)):
            origins[found[1]].append(place)
    return (places for places in origins.values() if len(places) > 1)
