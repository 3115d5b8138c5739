"""COCO files as tools export them: names of files, marks in words, classes and their groups."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.data.detection.readers.coco_json import CocoSource
from tests.support.exports import BOXES, FILES, NAMES, coco, content, put, read


def source(root: Path, document: Any, images: str = "images") -> CocoSource:
    put(root, "own.json", content=json.dumps(document))
    return CocoSource(str(root / "own.json"), str(root / images))


COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))
OTHER = "3 files found under another spelling of their names (first: "


@pytest.mark.parametrize(
    "written, there, root",
    [
        ("images\\{}.png", "images/{}.png", "."),
        (".\\train\\{}.png", "images/train/{}.png", "images"),
        ("images/{}.png", "images\\{}.png", "."),  # as some unpack archives of Windows
        ("{}.jpg", "images/{}.JPG", "images"),
        ("{}.PNG", "images/{}.png", "images"),
        ("Train/{}.png", "images/train/{}.png", "images"),
        (f"{COMPOSED}{{}}.png", f"images/{TAKEN_APART}{{}}.png", "images"),
        (f"{TAKEN_APART}{{}}.png", f"images/{COMPOSED}{{}}.png", "images"),
        (f"{COMPOSED.upper()}{{}}.png", f"images/{TAKEN_APART}{{}}.png", "images"),
        (f"{COMPOSED}/{{}}.png", f"images/{TAKEN_APART}/{{}}.png", "images"),
        ("images/{}.png", "images/{}.png", "images"),
        ("images\\train\\{}.png", "images/train/{}.png", "images/train"),
    ],
)
def test_names_in_another_spelling(written: str, there: str, root: str, tmp_path: Path) -> None:
    put(tmp_path, *(there.format(file) for file in FILES))
    reading = read(
        source(tmp_path, coco(written.format), root), OTHER + written.format("a") + " is "
    )
    found = content(reading)
    assert [Path(tmp_path, root, file).resolve() for file in found] == [
        tmp_path / there.format(file) for file in FILES
    ]
    assert list(found.values()) == [list(BOXES)] * 3


def test_one_file_by_two_paths_is_one_image(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/c.png")
    document = coco({"a": "a.png", "b": ".//a.png", "c": "./c.png"}.__getitem__)
    reading = source(tmp_path, document).read("set")
    expected = "has 1 problem: 1 image listed twice (first: a.png as 1 and 2)"
    assert expected in reading.report.complaint()
    assert content(reading) == {"a.png": list(BOXES), "c.png": list(BOXES)}
    document["images"].append({**document["images"][2], "file_name": "c.png"})
    assert source(tmp_path, document).read("set").report.count("duplicate_image") == 1


def test_the_very_name_is_meant_where_it_is_there(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{file}.png" for file in FILES), "images/A.png", "images/a.PNG")
    assert list(content(read(source(tmp_path, coco())))) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    "there, change, message",
    [
        (("A.png", "a.PNG"), {}, "a.png can be A.png or a.PNG in "),
        (("a.png",), {"b.png": "A.png"}, "A.png and a.png both fit a.png in "),
        (("a.PNG",), {"b.png": "A.png"}, "a.png and A.png both fit a.PNG in "),
    ],
)
def test_names_that_no_single_file_fits(
    there: tuple[str, ...], change: dict[str, str], message: str, tmp_path: Path
) -> None:
    put(tmp_path, "images/b.png", "images/c.png", *(f"images/{name}" for name in there))
    document = coco()
    for image in document["images"]:
        image["file_name"] = change.get(image["file_name"], image["file_name"])
    reading = source(tmp_path, document).read("set")
    assert [f.kind.one for f in reading.report.problems] == ["name that no single file fits"]
    assert f"(first: {message}" in reading.report.complaint()
    kept = list(content(reading))
    assert kept == (
        ["a.png", "c.png"] if there == ("a.png",) else ["c.png"] if change else ["b.png", "c.png"]
    )


@pytest.mark.parametrize("name", ["/old/images/{}.png", "C:\\old\\images\\{}.png", "val/{}.png"])
def test_folders_that_are_not_there_are_not_guessed(name: str, tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{file}.png" for file in FILES))
    reading = source(tmp_path, coco(name.format)).read("set")
    assert reading.report.count("missing_image") == 3


def test_hidden_files_are_no_images(tmp_path: Path) -> None:
    put(tmp_path, "images/a.png", "images/.ipynb_checkpoints/b.png", "images/c.png")
    put(tmp_path, "images/._b.png", content=b"\0\5\x16\7")
    for hidden in (".ipynb_checkpoints/b.png", "._b.png"):
        document = coco(lambda file, hidden=hidden: hidden if file == "b" else f"{file}.png")  # type: ignore[misc]
        reading = source(tmp_path, document).read("set")
        expected = f"1 broken image entry (first: image 2 is the hidden file {hidden})"
        assert expected in reading.report.complaint()
        assert list(content(reading)) == ["a.png", "c.png"]


def things(document: Any, **marks: Any) -> Any:
    for annotation in document["annotations"]:
        if annotation["category_id"] == 2:
            annotation.update(marks)
    return document


@pytest.mark.parametrize("word, crowd", [("0", 0), ("False", 0), ("1", 1), ("true", 1)])
def test_marks_in_words(word: str, crowd: int, tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{file}.png" for file in FILES))
    reading = source(tmp_path, things(coco(), iscrowd=word)).read("set")
    found = [a["iscrowd"] for _, objects, _ in reading.images for a in objects]
    assert found == [0, crowd] * 3
    ignored = source(tmp_path, things(coco(), ignore=word)).read("set").report
    assert ignored.count("ignored_object") == 3 * crowd


def test_marks_that_say_neither(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{file}.png" for file in FILES))
    report = source(tmp_path, things(coco(), iscrowd="maybe")).read("set").report
    assert report.count("broken_object") == 3
    assert "has the iscrowd 'maybe', which is neither yes nor no" in report.complaint()


GROUP = {"id": 0, "name": "cat", "supercategory": "none"}
CAT = {"id": 1, "name": "cat", "supercategory": "cat"}
DOG = {"id": 2, "name": "dog", "supercategory": "cat"}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(categories=[GROUP, CAT, DOG]),
        lambda d: d.update(categories=[CAT, DOG, {**GROUP, "id": 7}]),
        # of a split without the class the group says which is which
        lambda d: d.update(
            categories=[GROUP, CAT, DOG],
            annotations=[a for a in d["annotations"] if a["category_id"] == 2],
        ),
    ],
)
def test_a_class_with_the_name_of_its_group(change: Callable[[Any], Any], tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{file}.png" for file in FILES))
    document = coco()
    change(document)
    reading = source(tmp_path, document).read("set")
    assert not reading.report.problems and reading.report.count("group_class") == 1
    assert [(c["id"], c["name"]) for c in reading.categories] == [(1, "cat"), (2, "dog")]
    assert {t[0] for things in content(reading).values() for t in things} <= set(NAMES)


@pytest.mark.parametrize("number", [1, 2])
def test_two_classes_of_a_name(number: int, tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{file}.png" for file in FILES))
    document = coco()
    document["categories"] = [GROUP, CAT, DOG]
    document["annotations"][0]["category_id"] = 0
    if number == 2:
        document["annotations"] = document["annotations"][1::2]
        document["categories"] = [
            {**CAT, "supercategory": "a"},
            {**GROUP, "supercategory": "b"},
            DOG,
        ]
    report = source(tmp_path, document).read("set").report
    assert report.count("broken_class") == 1 and not report.count("group_class")
