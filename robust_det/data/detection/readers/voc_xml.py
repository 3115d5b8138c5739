"""One annotation file of a VOC folder."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from robust_det.data.detection.canonical.flags import as_flag
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.texts import decoded

__all__ = ["VocImage", "VocObject", "class_names", "read_xml"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.-]+)["'].*?\?>""", re.DOTALL)
# what Windows calls so has all characters of the last one
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}
# what Python decodes and no file is in; some of it takes the square of the length
_NO_ENCODINGS = ("idna", "punycode", "unicode_escape", "raw_unicode_escape")


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
        content: of the file, in the encoding that it declares.
        path: of the file, for examples.
        report: malformed objects are added to it, and the file if nothing can be read.
    """
    try:
        root = _parsed(content)
    except (ET.ParseError, LookupError, ValueError) as error:
        report.add("broken_file", f"{path}: {error}")
        return None
    if root.tag.lower() != "annotation" and root.find("object") is None:
        report.add("broken_file", f"{path} holds <{root.tag}>, and not VOC's <annotation>")
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


def class_names(paths: Iterable[Path], report: Report) -> tuple[str, ...]:
    """Return the classes of all annotation files, sorted, so that all splits agree.

    Args:
        paths: of the files.
        report: what is malformed in them is added to it.
    """
    names = set()
    for path in sorted(paths):
        image = read_xml(path.read_bytes(), path, report)
        names |= {thing.name for thing in image.objects} if image else set()
    return tuple(sorted(names))


def _parsed(content: bytes) -> ET.Element:
    try:
        return ET.fromstring(content)
    except (ET.ParseError, LookupError, ValueError):
        # the parser knows no encoding of several bytes, and believes no mark against a declaration
        return ET.fromstring(_text(content).lstrip())


def _text(content: bytes) -> str:
    found = _DECLARED.search(content[:200])
    declared = found[1].decode().lower() if found else ""
    if declared in _NO_ENCODINGS:
        raise LookupError(f"unknown encoding: {declared}")
    # some libraries declare UTF-16 and write UTF-8
    if declared and not declared.startswith("utf"):
        return content.decode(_WIDER.get(declared, declared))
    try:
        return decoded(content)
    except UnicodeDecodeError:
        raise ValueError("its text is not UTF-8, and it declares no other encoding") from None


def _object(element: ET.Element) -> VocObject:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError("has no name")
    if element.find("bndbox") is None and element.find("robndbox") is not None:
        raise ValueError("has a rotated box (robndbox); export upright boxes (bndbox)")
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
    difficult = as_flag(element.findtext("difficult"), "difficult")
    return VocObject(name, (left, top, right, bottom), difficult)


def _pixels(text: str | None) -> int:
    try:
        return int(float(text or 0))
    except (ValueError, OverflowError):
        return 0
