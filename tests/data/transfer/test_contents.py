"""Images that are not what one expects, and images that are there twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robust_det.core.errors import FileError, UserError
from robust_det.data.transfer.build import build_manifest
from robust_det.data.transfer.contents import look_at, oddities
from robust_det.data.transfer.manifest import Entry, Manifest
from robust_det.data.transfer.survey import survey
from tests.support.transfer_trees import folders, picture


def test_what_is_not_rgb_is_converted_and_counted(tmp_path: Path) -> None:
    names = {"a.png": "L", "b.png": "1", "c.jpg": "CMYK", "d.png": "P", "e.png": "RGBA"}
    for name, mode in names.items():
        picture(tmp_path / name, mode)
    picture(tmp_path / "f.png")
    assert oddities(look_at(tmp_path, [*sorted(names), "f.png"])) == [
        "images that are not RGB are converted: 1 of CMYK, 1 of RGBA, 1 of a palette, 2 of grey,"
        " such as a.png"
    ]


def test_a_gif_named_jpg_and_files_that_are_no_images(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", "P", "GIF")
    whole = picture(tmp_path / "b.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[:-40])
    (tmp_path / "empty.jpg").write_bytes(b"")
    names = ["a.jpg", "b.jpg", "cut.jpg", "empty.jpg", "gone.jpg"]
    quick = look_at(tmp_path, names)
    assert quick["gone.jpg"].missing and not quick["empty.jpg"].missing
    assert oddities(quick) == [
        "1 file cannot be read as images, such as empty.jpg, which is empty",
        "images that are not RGB are converted: 1 of a palette, such as a.jpg",
        "1 image of another format than the name says, read by content: a.jpg (GIF)",
    ]
    assert oddities(look_at(tmp_path, names, decode=True))[0].startswith(
        "2 files cannot be read as images, such as cut.jpg, which is truncated or damaged"
    )


def test_training_images_in_the_test_split_are_left_out(tmp_path: Path) -> None:
    counts = {f"{split}/{name}": 3 for split in ("train", "val", "test") for name in "ab"}
    root = folders(tmp_path, counts)
    shutil.copy(root / "test/a/00.png", root / "train/a/other.png")
    shutil.copy(root / "test/a/01.png", root / "train/b/odd.png")  # and of another class
    shutil.copy(root / "val/b/00.png", root / "train/b/more.png")
    shutil.copy(root / "test/b/02.png", root / "val/b/late.png")
    shutil.copy(root / "train/a/00.png", root / "train/a/again.png")
    manifest = build_manifest(survey("folder", root))
    assert manifest.sizes == {"train": 7, "val": 6, "test": 6}
    assert [entry.path for entry in manifest.left_out] == [
        "train/a/other.png",
        "train/b/odd.png",
        "train/b/more.png",
        "val/b/late.png",
    ]
    assert [*manifest.notes] == [
        "2 training images in the test split as well by content, 1 of them with another label, such"
        " as train/a/other.png, which is test/a/00.png: left out of training",
        "1 training image in the validation split as well by content, such as train/b/more.png,"
        " which is val/b/00.png: left out of training",
        "1 content more than once among the training images, such as train/a/00.png and"
        " train/a/again.png",
        "1 validation image in the test split as well by content, such as val/b/late.png, which is"
        " test/b/02.png: left out of validation",
    ]


def test_no_manifest_has_a_content_in_two_splits() -> None:
    one, two = Entry("a.png", "x", "0" * 64), Entry("b.png", "x", "0" * 64)
    for splits in (((one,), (), (two,)), ((one,), (two,), ()), ((), (one,), (two,))):
        with pytest.raises(FileError, match=r"one content in two splits: a\.png in .*, b\.png in"):
            Manifest("folder", ("x",), *splits)
    with pytest.raises(FileError, match=r"has a\.png of the class x, which is none"):
        Manifest("folder", ("y",), (one,), (), ())


def test_classes_that_cannot_be_learnt_or_measured(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train/a": 2, "train/b": 1, "test/a": 2, "test/c": 1})
    notes = build_manifest(survey("folder", root)).notes
    assert [*notes] == [
        "1 class, such as c, without training images, on which nothing is trained",
        "1 class, such as b, without test images: the per-class mean is of the others",
        "1 class, such as b, with a single training image",
    ]
    shutil.rmtree(root / "test")
    folders(root, {"test/a": 0})
    with pytest.raises(UserError, match="has no test images of folders of classes; expected"):
        build_manifest(survey("folder", root))


def test_why_nothing_is_left_to_train_on(tmp_path: Path) -> None:
    root = folders(tmp_path, {"test/a": 2, "test/b": 2})
    shutil.copytree(root / "test", root / "train")
    with pytest.raises(UserError, match=r"no training images .*; 4 training images in the test"):
        build_manifest(survey("folder", root))


def test_a_class_without_validation_images_is_named(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "test/a": 1, "test/b": 1})
    (note,) = build_manifest(survey("folder", root)).notes
    assert note.startswith("1 class, such as b, without validation images")


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (("Cat", "cat", "dog"), "'Cat' and 'cat'"),
        (("cat", "cat ", "dog"), "'cat' and 'cat '"),
        (("1", "1.0", "2"), "'1' and '1.0'"),
        (("caf\u00e9", "cafe\u0301", "dog"), "'cafe\u0301' and 'caf\u00e9'"),
        (("cat", "cats", "1", "10"), ""),
    ],
)
def test_names_that_may_mean_one_class(names: tuple[str, ...], shown: str, tmp_path: Path) -> None:
    root = folders(tmp_path, {f"{s}/{name}": 2 for s in ("train", "test") for name in names})
    notes = [n for n in build_manifest(survey("folder", root)).notes if "differ from others" in n]
    assert len(notes) == bool(shown) and all(shown in note for note in notes)


def test_classes_of_which_no_image_can_be_read(tmp_path: Path) -> None:
    root = folders(tmp_path, {f"{split}/{name}": 2 for split in ("train", "test") for name in "ab"})
    for path in (*(root / "train/a").iterdir(), *(root / "test/b").iterdir()):
        path.write_bytes(str(path).encode())
    *_, train, test = build_manifest(survey("folder", root)).notes
    assert train == "1 class, such as a, without a training image that can be read"
    assert test == "1 class, such as b, without a test image that can be read"


def test_integers_of_which_nothing_says_what_is_white_are_told_without_decoding(
    tmp_path: Path,
) -> None:
    Image.fromarray(np.arange(64, dtype=np.int32).reshape(8, 8) * 9000).save(tmp_path / "x.tiff")
    (note,) = oddities(look_at(tmp_path, ["x.tiff"]))
    assert "1 file cannot be read as images, such as x.tiff, which has 32-bit integers" in note
