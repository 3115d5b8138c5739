"""One annotation file of a VOC folder."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from robust_det.data.detection.checking.report import Report

__all__ = ["VocImage", "VocObject", "class_names", "read_xml"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """An object: its class, its corners xmin, ymin, xmax, ymax as written, and its mark."""

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool


@dataclass(frozen=True)
class VocImage:
    """An annotated image.

    Attributes:
        file: its name as written, without folders; it need not exist.
        size: width and height as written, 0 where they are not.
        objects: the well-formed ones.
    """

    file: str
    size: tuple[int, int]
    objects: tuple[VocObject, ...]


def read_xml(content: bytes, path: Path, report: Report) -> VocImage | None:
    """Read an annotation file.

    Args:
        content: of the file.
        path: of the file, for examples.
        report: malformed objects are added to it, and the file if nothing can be read.
    """
    try:
        root = ET.fromstring(content)
    except (ET.ParseError, LookupError, ValueError) as error:
        report.add("broken_file", f"{path}: {error}")
        return None
    objects = []
    for number, element in enumerate(root.findall("object"), 1):
        try:
            objects.append(_object(element))
        except ValueError as error:
            report.add("broken_object", f"object {number} of {path} {error}")
    # a path of the other system is a path too
    file = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
    size = (_pixels(root.findtext("size/width")), _pixels(root.findtext("size/height")))
    return VocImage(file, size, tuple(objects))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the classes of all annotations in a folder, sorted, so that all splits agree."""
    ignored = Report("")
    names = set()
    for path in sorted(folder.glob("*.xml")):
        image = read_xml(path.read_bytes(), path, ignored)
        names |= {thing.name for thing in image.objects} if image else set()
    return tuple(sorted(names))


def _object(element: ET.Element) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("has no name")
    corners = []
    for key in _CORNERS:
        text = element.findtext(f"bndbox/{key}")
        if text is None:
            raise ValueError(f"lacks {key}")
        try:
            corners.append(float(text))
        except ValueError:
            raise ValueError(f"has the {key} '{text.strip()}'") from None
        if not math.isfinite(corners[-1]):
            raise ValueError(f"has the {key} {corners[-1]}")
    left, top, right, bottom = corners
    difficult = (element.findtext("difficult") or "0").strip()
    return VocObject(name, (left, top, right, bottom), difficult not in ("0", ""))


def _pixels(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0
