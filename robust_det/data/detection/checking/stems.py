"""Files told by their names without suffix: an image and its annotation share theirs."""

from __future__ import annotations

import os
from collections.abc import Iterable

from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.listing import parts_of
from robust_det.data.spellings import SPELLINGS

__all__ = ["ANNOTATION_FOLDERS", "IMAGE_FOLDERS", "Stems", "stem_parts"]

# folders that say what is in them, and not of what
ANNOTATION_FOLDERS, IMAGE_FOLDERS = ("annotations", "xmls", "xml"), ("jpegimages", "images")
_GENERIC = frozenset((*ANNOTATION_FOLDERS, *IMAGE_FOLDERS, ".."))


class Stems:
    """Files by their paths without suffix and without folders that only say what is in them.

    Args:
        names: of the files, relative to one folder.
        generic: names of such folders in lower case, beside VOC's own.
    """

    def __init__(self, names: Iterable[str], generic: frozenset[str] = frozenset()) -> None:
        self._generic = generic
        self._spelt: list[dict[str, list[tuple[list[str], str]]]] = [{} for _ in SPELLINGS]
        for name in sorted(names):
            parts = stem_parts(name, generic)
            for spelling, spelt in zip(SPELLINGS, self._spelt, strict=True):
                spelt.setdefault(spelling(parts[-1]), []).append(([*map(spelling, parts)], name))

    def find(self, path: str) -> list[str]:
        """Return the files that a path can mean, in the closest spelling; its suffix is ignored.

        One of the two may have more folders in front: a list may have full paths, or none.
        """
        parts = stem_parts(path, self._generic)
        for spelling, spelt in zip(SPELLINGS, self._spelt, strict=True):
            wanted = [*map(spelling, parts)]
            fitting = [
                (len(own) == len(wanted), min(len(own), len(wanted)), name)
                for own, name in spelt.get(wanted[-1], ())
                if all(a == b for a, b in zip(reversed(own), reversed(wanted), strict=False))
            ]
            if fitting:
                best = max(fitting)[:2]
                return [name for *rank, name in fitting if tuple(rank) == best]
        return []


def stem_parts(path: str, generic: frozenset[str] = frozenset()) -> list[str]:
    """Return the parts of a path without suffix and without folders such as ``Annotations``."""
    *folders, name = parts_of(path) or [""]
    stem, suffix = os.path.splitext(name)
    # names may have dots
    name = stem if suffix.lower() in (*SUFFIXES, ".xml") else name
    left_out = _GENERIC | generic
    return [*(part for part in folders if part.lower() not in left_out), name]
