"""Copies of the sets that circulate and are not the official ones, told by their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["IN_FOLDERS", "Copy", "known_copy"]


@dataclass(frozen=True)
class Copy:
    """A copy.

    Attributes:
        sizes: images of the splits that tell it from others.
        what: it is.
        follows: for figures on it.
    """

    sizes: Mapping[str, int]
    what: str
    follows: str


_COPIES: Mapping[str, tuple[Copy, ...]] = {
    "birdsnap": (
        Copy(
            {"test": 1855},
            "the copy with 1,855 of the 2,443 test images, and 9 classes without any",
            "the per-class mean is of 491 classes; keep the empty folders, without them labels"
            " shift",
        ),
        Copy(
            {"test": 8171},
            "a re-split with 8,171 test images, on which Salman et al. 2020 report",
            "figures compare with that paper's, not with those on the official 2,443",
        ),
    ),
    "flowers": (
        Copy(
            {"train": 6552, "val": 818, "test": 819},
            "the re-split with 6,552 + 818 + 819 images of courses and competitions",
            "training has six times the official images: figures compare with no paper's",
        ),
        Copy(
            {"train": 6149, "test": 1020},
            "the official split with training and test exchanged",
            "training has six times the official images: figures compare with no paper's",
        ),
    ),
}

# what follows where a set that is official elsewhere lies in folders of classes
IN_FOLDERS: Mapping[str, str] = {
    "aircraft": "names of variants with a slash, such as F/A-18, cannot be those of folders",
    "cars": "the official lists are not there, so that nothing proves the split; names with a"
    " slash, such as Ram C/V, cannot be those of folders",
    "cifar10": "the images were encoded anew, and nothing proves that they are the official ones",
    "cifar100": "the images were encoded anew, and nothing proves that they are the official ones",
    "flowers": "classes are put in the order of their numbers; sorted as words 10 comes before 2",
    "food": "valid/, if that is its name, is taken for the official test split, as in the code of"
    " Salman et al. 2020",
    "pets": "classes are put in the official order, which knows no capitals; sorted by their names"
    " all cats come before all dogs, and labels differ from torchvision's",
}


def known_copy(name: str, sizes: Mapping[str, int]) -> Copy | None:
    """Return the copy of a set that has so many images by split."""
    for copy in _COPIES.get(name, ()):
        if all(sizes.get(split, 0) == count for split, count in copy.sizes.items()):
            return copy
    return None
