"""The images of a YOLO set, in a folder or a list, and the files of their labels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from robust_det.core.errors import UserError, reason_of
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.listing import Listing, find_files, parts_of
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import read_text
from robust_det.data.walking import has_hidden_part, walk

__all__ = ["after_data", "images_at", "label_files", "label_folders"]


def images_at(place: Path, root: Path, name: str, report: Report) -> tuple[str, ...]:
    """Return the images of a folder, at any depth, or of a list, or the image itself.

    Args:
        place: of the folder, the list or the image.
        root: folder of the data set, to which lines of a list may be relative.
        name: of the data set, for messages.
        report: lines that several files fit are added to it.

    Returns:
        Absolute paths; those of a folder sorted, those of a list as they stand there.

    Raises:
        UserError: there is no such place.
    """
    if os.path.isdir(place):
        found = (
            os.path.join(parent, file)
            for parent, _, files in walk(place, follow_links=True)
            for file in files
            if file.lower().endswith(SUFFIXES)
        )
        return tuple(sorted(os.path.abspath(file) for file in found))
    if not os.path.isfile(place):
        raise UserError(
            f"data set '{name}' has no images at {place}; mend the paths in its YAML file"
        )
    if place.suffix.lower() in SUFFIXES:
        return (os.path.abspath(place),)
    try:
        lines = [line.strip() for line in read_text(place, report).splitlines()]
    except (OSError, ValueError) as error:
        raise UserError(f"data set '{name}': cannot read {place}: {reason_of(error)}") from error
    listing, images = Listing(), []
    for line in filter(None, lines):
        if has_hidden_part(line):
            report.add("hidden_file", f"{line} in {place}")
        elif path := _listed(line, place.parent, root, listing, report):
            images.append(path)
    return tuple(images)


def after_data(path: str) -> str:
    """Return what follows a folder ``data``: darknet runs elsewhere, and calls its data set so."""
    parts = parts_of(path)
    last = max((place for place, part in enumerate(parts) if part == "data"), default=-1)
    return "/".join(parts[last + 1 :])


def _listed(line: str, beside: Path, root: Path, listing: Listing, report: Report) -> str:
    """Return an image of a list: absolute, beside the list, or below the root."""
    for reading in dict.fromkeys((line, after_data(line))):
        for folder in dict.fromkeys((str(beside), str(root))):
            found = listing.find(folder, reading)
            if len(found) > 1:
                report.add("unclear_name", f"{line} can be {' or '.join(found[:3])} in {folder}")
                return ""
            if found:
                if parts_of(found[0]) != parts_of(reading):
                    report.add("other_name", f"{line} is {found[0]} in {folder}")
                return os.path.abspath(os.path.join(folder, found[0]))
    return os.path.abspath(beside / line)


def label_files(images: Sequence[str], report: Report) -> dict[str, str]:
    """Return the file of each image's labels; empty for an image without.

    It is below ``labels`` in place of the image's last folder ``images``, or beside the image.

    Args:
        images: absolute paths.
        report: files under another spelling are added to it, and images whose file cannot be told,
            which are left out.
    """
    listing, labels, left = Listing(), dict[str, str](), list(images)
    for place in (_below_labels, _beside):
        wanted: dict[str, dict[str, list[str]]] = {}
        for image in left:
            root, name = place(image)
            wanted.setdefault(root, {}).setdefault(name, []).append(image)
        left = []
        for root, names in wanted.items():
            # together, as an image may lack the file that another one has
            for name, file in find_files(listing, root, names, report).items():
                if file:
                    labels |= dict.fromkeys(names[name], os.path.join(root, file))
                else:
                    left += names[name]
    return labels | dict.fromkeys(left, "")


def label_folders(labels: Mapping[str, str]) -> dict[str, str]:
    """Return by the folder of images where their labels are, or would be where there are none.

    Args:
        labels: see :func:`label_files`.
    """
    expected = {os.path.dirname(image): _below_labels(image) for image in labels}
    places = {folder: os.path.dirname(os.path.join(*place)) for folder, place in expected.items()}
    found = {
        os.path.dirname(image): os.path.dirname(file) for image, file in labels.items() if file
    }
    return places | found


def _beside(image: str) -> tuple[str, str]:
    folder, name = os.path.split(os.path.splitext(image)[0])
    return folder, f"{name}.txt"


def _below_labels(image: str) -> tuple[str, str]:
    folder, name = _beside(image)
    parts = folder.split(os.sep)
    last = max((n for n, part in enumerate(parts) if part.lower() == "images"), default=-1)
    if last < 0:
        return folder, name
    return os.sep.join(parts[:last]) or os.sep, "/".join(["labels", *parts[last + 1 :], name])
