"""Which mask files belong to which image, and to which class, by folders and names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.masks.mask_files import LOSSLESS, LOSSY
from robust_det.data.detection.source import is_split
from robust_det.data.spellings import folded
from robust_det.data.walking import files_below

__all__ = ["MaskFile", "mask_places"]

_MASKS = ("mask", "masks")
# what may stand between the name of an image and the rest of that of a mask
_BETWEEN = "_-. "


@dataclass(frozen=True)
class MaskFile:
    """A mask, relative to the folder of masks, and the folder in it that is a class; empty if it is
    in none."""

    file: str
    label: str


@dataclass(frozen=True)
class MaskPlaces:
    """The masks of each image, relative to the folder of images; and what the rest of the masks'
    names is, where it is one for all."""

    of_image: Mapping[str, Sequence[MaskFile]]
    rest: str


def mask_places(
    mask_root: str, image_root: str, several: bool, name: str, report: Report
) -> MaskPlaces:
    """Tell which masks belong to which image.

    A mask is called as its image, but for its suffix; or, where all are, for one ending such as
    ``_mask``. With ``several``, it begins with the image's name, or is in a folder of that name.
    Above that folder, or above the mask, may be one that is a class.

    Args:
        mask_root, image_root: folders. They may be one, with the masks in folders ``masks``.
        several: whether an image may have several masks.
        name: of the data set, for messages.
        report: masks without image, images without mask, and unclear names are added to it.

    Raises:
        UserError: there are no images or no masks, or they are stored with loss.
    """
    images, masks = files_below(image_root, SUFFIXES), files_below(mask_root, (*LOSSLESS, *LOSSY))
    if os.path.realpath(mask_root) == os.path.realpath(image_root):
        masks = [file for file in masks if _has_part(file, _MASKS)]
        images = [file for file in images if not _has_part(file, _MASKS)]
    else:
        # one of them may be in the other
        if _is_inside(mask_root, image_root):
            images = [f for f in images if not _is_inside(os.path.join(image_root, f), mask_root)]
        if _is_inside(image_root, mask_root):
            masks = [f for f in masks if not _is_inside(os.path.join(mask_root, f), image_root)]
    for what, files, root in (("images", images, image_root), ("masks", masks, mask_root)):
        if not files:
            raise UserError(
                f"data set '{name}' has no {what} below {root}",
                "where both are in one folder, masks need folders called masks"
                if os.path.realpath(mask_root) == os.path.realpath(image_root)
                else "",
            )
    if lossy := [file for file in masks if file.lower().endswith(LOSSY)]:
        raise UserError(
            f"data set '{name}': the mask {os.path.join(mask_root, lossy[0])} is stored with loss,"
            " which changes values at the edges of objects",
            "save masks as PNG from where they were made",
        )
    by_stem: dict[str, list[str]] = defaultdict(list)
    for file in images:
        by_stem[_stem(file)].append(file)
    rest = "" if several else _common_rest(masks, by_stem)
    of_image: dict[str, list[MaskFile]] = {file: [] for file in images}
    for mask in masks:
        found = _images_of(mask, by_stem, several, rest)
        if len(found) > 1:
            listed = " or ".join(file for _, file, _ in found[:3])
            report.add("unclear_name", f"{mask} can be of {listed}")
        elif found:
            _, file, label = found[0]
            of_image[file].append(MaskFile(mask, label))
        else:
            report.add("missing_image", f"the one of mask {os.path.join(mask_root, mask)}")
    if not several:
        for file, own in of_image.items():
            if len({mask.label for mask in own}) < len(own):
                report.add("unclear_name", f"{file} has {' and '.join(m.file for m in own[:3])}")
                own.clear()
    return MaskPlaces(of_image, rest)


def _is_inside(path: str, root: str) -> bool:
    """Return whether a path is below a folder."""
    path, root = os.path.abspath(path), os.path.abspath(root)
    return path.startswith(f"{root}{os.sep}")


def _has_part(file: str, names: Sequence[str]) -> bool:
    return any(part.lower() in names for part in file.split(os.sep)[:-1])


def _stem(file: str) -> str:
    return folded(os.path.splitext(os.path.basename(file))[0])


def _common_rest(masks: Sequence[str], by_stem: Mapping[str, Sequence[str]]) -> str:
    """Return what all masks' names have behind those of images; empty if they have nothing."""
    rests = set()
    for mask in masks:
        stem = _stem(mask)
        if stem in by_stem:
            return ""
        lengths = [n for n in range(len(stem) - 1, 0, -1) if stem[:n] in by_stem]
        rests.add(stem[lengths[0] :] if lengths else "")
    rests.discard("")
    return rests.pop() if len(rests) == 1 else ""


def _images_of(
    mask: str, by_stem: Mapping[str, Sequence[str]], several: bool, rest: str
) -> list[tuple[str, str, str]]:
    """Return the images that a mask can be of: the stem, the file, and the class."""
    *folders, _ = mask.split(os.sep)
    folders = [folder for folder in folders if folder.lower() not in _MASKS]
    stem = _stem(mask)
    if not several:
        stem = stem.removesuffix(rest)
        return _of_stem(stem, by_stem, folders)
    for place, folder in enumerate(folders):
        if folded(folder) in by_stem:
            others = [f for n, f in enumerate(folders) if n != place]
            return _of_stem(folded(folder), by_stem, others)
    starts = [n for n in range(1, len(stem)) if stem[n] in _BETWEEN and stem[:n] in by_stem]
    stems = [*(stem[:n] for n in starts), *([stem] if stem in by_stem else [])]
    return [found for one in stems for found in _of_stem(one, by_stem, folders)]


def _of_stem(
    stem: str, by_stem: Mapping[str, Sequence[str]], folders: Sequence[str]
) -> list[tuple[str, str, str]]:
    files: Sequence[str] = by_stem.get(stem, ())
    if len(files) > 1:
        # the same names may lie in folders for each part, on both sides
        files = [f for f in files if f.split(os.sep)[:-1] == [*folders]] or files
    found = []
    for file in files:
        own = file.split(os.sep)[:-1]
        labels = [folder for folder in folders if folder not in own and not is_split(folder)]
        found.append((stem, file, labels[0] if labels else ""))
    return found
