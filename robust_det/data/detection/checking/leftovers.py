"""Files beside those of a data set that look as if they were meant to be of it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.detection.checking.report import Report
from robust_det.data.spellings import folded
from robust_det.data.walking import is_hidden

__all__ = ["companion", "note_leftovers", "unread_images"]

# images that are not read: what Pillow may lack a decoder for, and what trainers do not take
_UNREAD = (
    *(".arw", ".avif", ".cr2", ".dcm", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heif", ".ico"),
    *(".j2k", ".jfif", ".jp2", ".jpe", ".jxl", ".nef", ".pgm", ".pnm", ".ppm", ".psd", ".raw"),
    *(".svg", ".tga"),
)


def unread_images(names: Iterable[str]) -> list[str]:
    """Return which names or paths are of images in formats that are not read, sorted."""
    return sorted(
        n for n in names if n.lower().endswith(_UNREAD) and not is_hidden(os.path.basename(n))
    )


def companion(listing: Listing, path: str) -> str:
    """Return the image in a format that is not read that stands in the place of a missing one;
    empty if there is none."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    unread = unread_images(listing.names(folder))
    return next((other for other in unread if os.path.splitext(other)[0] == stem), "")


def note_leftovers(images: Sequence[str], labels_of: Mapping[str, str], report: Report) -> None:
    """Note label files without an image, and images in formats that are not read.

    Args:
        images: paths of those that were found; what is beside them is looked at.
        labels_of: from the folder of images to that of their labels.
        report: of the data set.
    """
    listing, unread = Listing(), []
    stems: dict[str, set[str]] = defaultdict(set)
    for folder in sorted({os.path.dirname(path) for path in images}):
        names = listing.names(folder)
        unread += [os.path.join(folder, name) for name in unread_images(names)]
        # all images there, as a list may name some of them
        stems[labels_of.get(folder, folder)] |= {
            _stem(n) for n in names if n.lower().endswith(SUFFIXES)
        }
    report.count_all("image files", len(images) + len(unread))
    for image in unread:
        report.add("unread_image", image)
    labels = 0
    for folder, known in stems.items():
        for name in sorted(listing.names(folder)):
            path = Path(folder, name)
            if path.suffix.lower() != ".txt" or is_hidden(name):
                continue
            if _stem(name) in known:
                labels += 1
            elif _holds_labels(path):
                labels += 1
                report.add("orphan_label", str(path))
    report.count_all("label files", labels)


def _stem(name: str) -> str:
    return folded(os.path.splitext(name)[0])


def _holds_labels(path: Path) -> bool:
    """Return whether a text file begins with an object; others are lists of classes or images."""
    try:
        with path.open(encoding="utf-8") as file:
            words = file.readline().split()
        return len(words) >= 5 and all(float(word) >= 0 for word in words)
    except (OSError, ValueError):
        return False
