"""One annotation file: its encoding, its marks, and boxes that are none."""

from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.report import Report
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.readers.voc_xml import VocImage, read_xml
from tests.support.exports import put, xml


def parsed(content: bytes) -> tuple[VocImage | None, str]:
    report = Report("set")
    image = read_xml(content, Path("a.xml"), report)
    return image, report.complaint() if report.problems else ""


@pytest.mark.parametrize(
    "declared, encoding",
    [
        ("gb2312", "gb18030"),
        ("GBK", "gbk"),
        ("shift_jis", "shift_jis"),
        ("euc-kr", "euc-kr"),
        ("windows-1252", "cp1252"),
        ("iso-8859-1", "latin-1"),
        ("utf-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("utf-8", "utf-16"),
        ("utf-16", "utf-16"),
        ("utf-16", "utf-8"),  # as .NET writes what it holds in memory
        ("", "utf-8"),
        ("", "utf-16"),
        ("", "utf-16-le"),
    ],
)
def test_encodings(declared: str, encoding: str) -> None:
    names = {"gb18030": "镕", "gbk": "猫", "shift_jis": "猫", "euc-kr": "개", "latin-1": "Bär"}
    name = names.get(encoding, "Bär")
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    image, complaint = parsed((head + xml(names=(name, "dog"))).encode(encoding))
    assert image is not None, complaint
    assert [thing.name for thing in image.objects] == [name, "dog"]


@pytest.mark.parametrize(
    "content, message",
    [
        (xml(names=("Bär", "dog")).encode("cp1252"), "its text is not UTF-8, and it declares no"),
        (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "unknown encoding: klingon"),
        (
            b'<?xml version="1.0" encoding="gbk"?><annotation>\xff</annotation>',
            "codec can't decode byte",
        ),
        (b"<html><body/></html>", "holds <html>, and not VOC's <annotation>"),
        (b"<annotation>", "no element found"),
        (b"", "no element found"),
    ],
)
def test_what_is_no_annotation(content: bytes, message: str) -> None:
    image, complaint = parsed(content)
    assert image is None and "1 malformed annotation file (first: a.xml" in complaint
    assert message in complaint


@pytest.mark.parametrize("word", ["0", "0.0", " 0 ", "", "False", "no", "Unspecified", "none"])
def test_words_that_mean_no(word: str) -> None:
    image, complaint = parsed(xml(difficult=word).encode())
    assert image is not None and not complaint
    assert [thing.difficult for thing in image.objects] == [False, False]


@pytest.mark.parametrize("word", ["1", "1.0", "True", "YES", "2"])
def test_words_that_mean_yes(word: str) -> None:
    image, _ = parsed(xml(difficult=word).encode())
    assert image is not None and [thing.difficult for thing in image.objects] == [True, True]


@pytest.mark.parametrize("word", ["maybe", "-1", "nan", "0,0"])
def test_words_that_mean_neither(word: str) -> None:
    image, complaint = parsed(xml(difficult=word).encode())
    assert image is not None and not image.objects
    expected = f"2 malformed objects (first: object 1 of a.xml has the difficult '{word}', which is"
    assert expected in complaint


def test_rotated_boxes_are_named(tmp_path: Path) -> None:
    put(tmp_path, "JPEGImages/a.png")
    text = xml().replace("bndbox", "robndbox")
    put(tmp_path, "Annotations/a.xml", content=text)
    message = (
        r"no objects in the 1 annotation .*: 2 malformed objects \(first: object 1 of .*a\.xml has"
        r" a rotated box \(robndbox\); export upright boxes \(bndbox\)\)"
    )
    with pytest.raises(UserError, match=message):
        VocSource(str(tmp_path), "all").read("set")
    reading = VocSource(str(tmp_path), "all", ("cat", "dog")).read("set")
    assert "2 malformed objects (first: object 1 of " in reading.report.complaint()
