"""VOC folders as tools export them give the boxes that were drawn on the images, or one line."""

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.voc_folder import VocSource
from tests.support.exports import BOXES, FILES, NAMES, content, put, read, xml

WHOLE = "1 split without a list of its own (first: all 3 annotation files below "


def lay_out(
    root: Path, images: str = "JPEGImages/{}.png", xmls: str = "Annotations/{}.xml", lists: str = ""
) -> Path:
    for file in FILES:
        put(root, images.format(file))
        put(root, xmls.format(file), content=xml(f"{file}.png"))
    if lists:
        put(root, "ImageSets/Main/train.txt", content=lists)
    return root


def source(root: Path, split: str = "train") -> VocSource:
    return VocSource(str(root), split, origin=0)


@pytest.mark.parametrize(
    "images, xmls, notes",
    [
        ("train/{}.png", "train/{}.xml", ()),  # Roboflow
        ("train/images/{}.png", "train/annotations/{}.xml", ()),
        ("images/train/{}.png", "annotations/train/{}.xml", ()),
        ("JPEGImages/train/{}.png", "Annotations/train/{}.xml", ()),
        ("train/{}.png", "labels/train/{}.xml", ()),
        ("images/{}.png", "annotations/{}.xml", (WHOLE,)),  # Kaggle
        ("images/{}.png", "annotations/xmls/{}.xml", (WHOLE,)),
        ("photos/{}.JPG", "boxes/{}.xml", (WHOLE,)),
        ("JPEGImages/{}.png", "Annotations/{}.xml", (WHOLE,)),
        ("{}.png", "{}.xml", (WHOLE,)),
        ("images/day 1/{}.png", "annotations/day 1/{}.xml", (WHOLE,)),
    ],
)
def test_folders_of_any_names(
    images: str, xmls: str, notes: tuple[str, ...], tmp_path: Path
) -> None:
    reading = read(source(lay_out(tmp_path, images, xmls)), *notes)
    found = content(reading)
    assert [Path(reading.image_root, f) for f in found] == [
        tmp_path / images.format(file) for file in FILES
    ]
    assert [c["name"] for c in reading.categories] == list(NAMES)
    assert list(found.values()) == [list(BOXES)] * 3


def test_folders_of_other_things(tmp_path: Path) -> None:
    put(lay_out(tmp_path, "photos/{}.png", "boxes/{}.xml"), "images/notes.md", content="none")
    put(tmp_path, "annotations/own.json", content="{}")
    assert len(read(source(tmp_path), WHOLE).images) == 3


def test_a_split_is_its_folder(tmp_path: Path) -> None:
    """The same names may lie in each, and the classes are those of all."""
    lay_out(tmp_path, "train/{}.png", "train/{}.xml")
    put(tmp_path, "valid/a.png")
    put(tmp_path, "valid/a.xml", content=xml("a.png", names=("bird", "dog")))
    reading = read(source(tmp_path, "valid"), "1 class without objects (first: cat)")
    ((file, things),) = content(reading).items()
    assert file == "valid/a.png" and [t[0] for t in things] == ["bird", "dog"]
    assert [c["name"] for c in reading.categories] == ["bird", "cat", "dog"]
    with pytest.raises(UserError, match=r"no split 'val': .*; there are the folders train, valid"):
        source(tmp_path, "val").read("set")
    with pytest.raises(UserError, match=r"no split 'all': .*; there are the folders train, valid"):
        source(tmp_path, "all").read("set")
    deeper = tmp_path.with_name(f"{tmp_path.name} deeper")
    shutil.copytree(tmp_path, deeper / "set 1")
    shutil.copytree(tmp_path, deeper / "set 2")
    inner = read(source(deeper, "set 2/valid"), "1 class without objects (first: cat)")
    assert list(content(inner)) == ["set 2/valid/a.png"]
    alone = read(source(tmp_path / "valid", "valid"))
    assert list(content(alone)) == ["a.png"]


def test_what_is_held_out_is_never_all(tmp_path: Path) -> None:
    lay_out(tmp_path)
    for split in ("test", "val"):
        with pytest.raises(UserError, match=f"no split '{split}': .*; SPLIT all takes all"):
            source(tmp_path, split).read("set")
    assert len(read(source(tmp_path, "all")).images) == 3


def test_images_without_annotations_are_counted_where_no_list_names_them(tmp_path: Path) -> None:
    put(lay_out(tmp_path, "train/{}.png", "train/{}.xml"), "train/d.png")
    reading = read(source(tmp_path), "1 image without an annotation file, left out (first: train/d")
    assert len(reading.images) == 3


def test_images_are_split_and_annotations_are_not(tmp_path: Path) -> None:
    lay_out(tmp_path, "images/train/{}.png", "annotations/{}.xml")
    put(tmp_path, "images/val/d.png", "images/train/e.png")
    put(tmp_path, "annotations/d.xml", content=xml("d.png"))
    found = read(source(tmp_path), "1 image without an annotation file, left out (first: train/e")
    assert list(content(found)) == ["train/a.png", "train/b.png", "train/c.png"]
    assert list(content(read(source(tmp_path, "val")))) == ["val/d.png"]
    with pytest.raises(UserError, match=r"no split 'all': .*; there are the folders train, val"):
        source(tmp_path, "all").read("set")


MARKED = "\ufeffa\nb\nc\n"
NESTED = "camera1/a\ncamera1/b\ncamera1/c\n"


@pytest.mark.parametrize(
    "lines, folder, encoding",
    [
        ("a.png 1\nb.png -1\nc.png 0\n", "", "utf-8"),  # VoTT: -1 is without the class, and listed
        ("a  1\nb -1\nc  0\n", "", "utf-8"),
        (MARKED, "", "utf-8"),
        (MARKED, "", "utf-16-le"),
        ("a\nb\nc\n", "", "utf-16-be"),
        ("a\r\nb\r\n\r\nc", "", "utf-8"),
        (NESTED, "camera1/", "utf-8"),
        (NESTED.replace("/", "\\"), "camera1/", "utf-8"),
        ("a\nb\nc\n", "camera1/", "utf-8"),
        ("/home/x/VOC2007/JPEGImages/a.jpg\n/home/x/b.jpg\nC:\\x\\c.jpg", "", "utf-8"),
        (
            "./JPEGImages/a.png ./Annotations/a.xml\nJPEGImages/b.png\nAnnotations/c.xml",
            "",
            "utf-8",
        ),
    ],
)
def test_lists(lines: str, folder: str, encoding: str, tmp_path: Path) -> None:
    lay_out(tmp_path, f"JPEGImages/{folder}{{}}.png", f"Annotations/{folder}{{}}.xml")
    put(tmp_path, "ImageSets/Main/train.txt", content=lines, encoding=encoding)
    found = content(read(source(tmp_path)))
    assert found == {f"{folder}{file}.png": list(BOXES) for file in FILES}


@pytest.mark.parametrize("place", ["ImageSets", "."])
def test_lists_in_other_places(place: str, tmp_path: Path) -> None:
    put(lay_out(tmp_path), f"{place}/train.txt", content="b\n")
    assert list(content(read(source(tmp_path)))) == ["b.png"]
    with pytest.raises(UserError, match=r"no split .*test\.txt; there are .*train\.txt"):
        source(tmp_path, "test").read("set")


def test_lists_of_classes_stand_for_that_of_the_split(tmp_path: Path) -> None:
    lay_out(tmp_path)
    put(tmp_path, "ImageSets/Main/cat_train.txt", content="a 1\nb -1\n")
    put(tmp_path, "ImageSets/Main/dog_train.txt", content="b 1\na 1\n")
    assert list(content(read(source(tmp_path), "1 split without a list of its own"))) == [
        "a.png",
        "b.png",
    ]
    put(tmp_path, "ImageSets/Main/dog_train.txt", content="c 1\n")
    with pytest.raises(UserError, match=r"such as cat_train\.txt, differ in their images; write"):
        source(tmp_path).read("set")


def test_a_folder_of_data_sets(tmp_path: Path) -> None:
    lay_out(tmp_path / "VOC2007", lists="a\nb\nc\n")
    assert len(read(source(tmp_path)).images) == 3
    lay_out(tmp_path / "VOC2012", lists="a\n")
    with pytest.raises(UserError, match="holds VOC2007, VOC2012; name one of them"):
        source(tmp_path).read("set")


def test_segmentations_are_no_images(tmp_path: Path) -> None:
    put(lay_out(tmp_path, lists="a\nb\n"), "SegmentationClass/a.png", "SegmentationObject/a.png")
    assert list(content(read(source(tmp_path)))) == ["a.png", "b.png"]


def test_hidden_files_are_no_annotations(tmp_path: Path) -> None:
    lay_out(tmp_path, "train/{}.png", "train/{}.xml")
    put(
        tmp_path, "train/._a.xml", "__MACOSX/train/a.xml", "train/.git/e.xml", content=b"\0\5\x16\7"
    )
    put(tmp_path, "train/.ipynb_checkpoints/a-checkpoint.png")
    put(tmp_path, "train/.ipynb_checkpoints/f.xml", content=xml(names=("bird", "cow")))
    reading = read(source(tmp_path))
    assert list(content(reading)) == [f"train/{file}.png" for file in FILES]
    assert [c["name"] for c in reading.categories] == list(NAMES)
    put(tmp_path, "ImageSets/Main/train.txt", content="a\n._a\n")
    assert len(read(source(tmp_path), "1 hidden file that is listed, left out").images) == 1


COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "Bär") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    "image, annotation, line, note",
    [
        (TAKEN_APART, COMPOSED, COMPOSED, "1 file found"),
        (COMPOSED, TAKEN_APART, COMPOSED, "2 files found"),
        (COMPOSED, COMPOSED, TAKEN_APART, "1 file found"),
        ("BILD", "Bild", "Bild", "1 file found"),
        ("Bild", "Bild", "bild.PNG", "1 file found"),
    ],
)
def test_names_in_another_spelling(
    image: str, annotation: str, line: str, note: str, tmp_path: Path
) -> None:
    put(tmp_path, f"JPEGImages/{image}.png")
    put(tmp_path, f"Annotations/{annotation}.xml", content=xml(f"{annotation}.png"))
    put(tmp_path, "ImageSets/Main/train.txt", content=line)
    reading = read(source(tmp_path), f"{note} under another spelling")
    assert content(reading) == {f"{image}.png": list(BOXES)}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda r: put(r, "JPEGImages/a.jpg"), "first: a.xml can be of a.jpg or a.png"),
        (lambda r: put(r, "JPEGImages/A.jpg", "JPEGImages/A.png"), ""),
        (lambda r: put(r, "Annotations/x/a.xml", content=xml("b.png")), ""),
        (
            lambda r: (
                put(r, "ImageSets/Main/train.txt", content="A\n")
                and put(r, "Annotations/á.xml", content=xml())
            ),
            "",
        ),
    ],
)
def test_several_files_of_a_name(
    change: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    """What the annotation or the list names exactly is meant; otherwise it cannot be told."""
    root = lay_out(tmp_path, lists="a\n")
    put(root, "Annotations/a.xml", content=xml("other.png"))
    change(root)
    if not message:
        assert list(content(source(root).read("set"))) == ["a.png"]
        return
    report = source(root).read("set").report
    assert f"1 name that no single file fits ({message}" in report.complaint()
    put(root, "Annotations/a.xml", content=xml("a.png"))
    assert list(content(read(source(root)))) == ["a.png"]


def test_a_line_that_two_annotations_fit(tmp_path: Path) -> None:
    for camera in ("1", "2"):
        put(tmp_path, f"JPEGImages/{camera}/a.png")
        put(tmp_path, f"Annotations/{camera}/a.xml", content=xml("a.png"))
    put(tmp_path, "ImageSets/Main/train.txt", content="a\n2/a")
    report = source(tmp_path).read("set").report
    assert "(first: a in " in report.complaint() and "1/a.xml or Annotations/2/a.xml" in str(
        report.complaint()
    )
    put(tmp_path, "ImageSets/Main/train.txt", content="1/a\n2/a")
    assert list(content(read(source(tmp_path)))) == ["1/a.png", "2/a.png"]


def test_the_image_of_another_annotation_is_not_taken(tmp_path: Path) -> None:
    root = put(lay_out(tmp_path, lists="a\nA\nb\nc"), "Annotations/A.xml", content=xml("A.png"))
    reading = source(root).read("set")
    assert "(first: A.xml and another are both of a.png)" in reading.report.complaint()
    assert list(content(reading)) == ["a.png", "b.png", "c.png"]


def test_images_that_the_annotation_names_by_another_name(tmp_path: Path) -> None:
    put(tmp_path, "images/1/x.PNG", "images/2/x.png", "images/2/b.jpg")
    for folder in ("1", "2"):
        put(tmp_path, f"annotations/{folder}/a.xml", content=xml("C:\\pictures\\x.png"))
    put(tmp_path, "annotations/2/b.xml", content=xml("x.png"))
    reading = read(source(tmp_path, "all"), "2 files found under another spelling")
    assert list(content(reading)) == ["1/x.PNG", "2/x.png", "2/b.jpg"]


def test_classes_that_may_be_one(tmp_path: Path) -> None:
    lay_out(tmp_path, lists="a\nb\nc\n")
    put(tmp_path, "Annotations/a.xml", content=xml("a.png", names=(TAKEN_APART, "Dog")))
    put(tmp_path, "Annotations/b.xml", content=xml("b.png", names=(COMPOSED, "big dog")))
    note = "2 classes whose names are others' but for case, spaces or the composition of accents"
    reading = read(source(tmp_path), f"{note} (first: '{TAKEN_APART}' and '{COMPOSED}')")
    assert len(reading.categories) == 6


def test_no_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no folder .*Annotations; a VOC folder holds"):
        source(put(tmp_path, "JPEGImages/a.png")).read("set")
    put(tmp_path, "Annotations/a.xml", content="<annotations><version>1.1</version></annotations>")
    with pytest.raises(UserError, match=r"1 malformed annotation file .*<annotations>, and not"):
        source(tmp_path).read("set")
