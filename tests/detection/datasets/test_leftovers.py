"""Files that look as if they were meant to be of a data set, and are not, are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.yolo_folder import YoloSource
from robust_det.detection.datasets import prepare_dataset
from robust_det.detection.datasets.registration import source_of


def notes(name: Any) -> list[str]:
    lines = source_of(name).read(name).report.lines()
    return [line for line in lines if not line.startswith(" ")]


def convert(path: Path, suffix: str) -> Path:
    with Image.open(path) as image:
        image.convert("RGB").save(path.with_suffix(suffix))
    path.unlink()
    return path.with_suffix(suffix)


def test_yolo(yolo: Path, register_entry: Callable[..., Any]) -> None:
    one, two, *_ = sorted((yolo / "images/val").iterdir())
    one.rename(one.with_name(f"{one.stem} (1).png"))
    convert(two, ".gif")
    (yolo / "labels/val/classes.txt").write_text("cat\ndog\n")
    name = register_entry(YOLO=yolo, SPLIT="val")
    found = notes(name)
    assert "note: 2 label files without images (33.3 % of all label files)" in found
    assert "note: 1 image in a format that is not read (16.7 % of all image files)" in found
    report = source_of(name).read(name).report
    assert f"{yolo / 'labels/val' / one.stem}.txt" in "\n".join(report.lines())
    assert any("label files without images" in remark for remark in report.remarks)


def test_a_list_of_some_images_leaves_none_over(
    yolo: Path, register_entry: Callable[..., Any]
) -> None:
    """The labels of the other ones are those of another split."""
    images = sorted((yolo / "images/val").iterdir())
    images[0].rename(images[0].with_suffix(".PNG"))
    (yolo / "some.txt").write_text("\n".join(str(path) for path in images[1:3]))
    (yolo / "data.yaml").write_text("val: some.txt\nnames: [a, b, c, d, e, f, g, h]\n")
    found = notes(register_entry(YOLO=yolo, SPLIT="val"))
    assert not any("label" in line or "format" in line for line in found)


def test_labels_beside_images(yolo: Path, register_entry: Callable[..., Any]) -> None:
    folder = yolo / "beside"
    folder.mkdir()
    for path in [*(yolo / "images/val").iterdir(), *(yolo / "labels/val").iterdir()]:
        path.rename(folder / path.name)
    (folder / "train.txt").write_text("a.png\n")
    (folder / "lost.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (yolo / "data.yaml").write_text("val: beside\nnames: [a, b, c, d, e, f, g, h]\n")
    found = notes(register_entry(YOLO=yolo, SPLIT="val"))
    assert "note: 1 label file without an image (14.3 % of all label files)" in found


def test_nothing_that_is_read(yolo: Path, register_entry: Callable[..., Any]) -> None:
    for path in (yolo / "images/val").iterdir():
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(UserError, match=r"no image that is read .* 6 in other .*\.heic") as caught:
        prepare_dataset(register_entry(YOLO=yolo, SPLIT="val"))
    assert "convert them to one of .jpg" in str(caught.value)


def test_a_folder_above_is_not_hidden(yolo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (yolo / "images/val").iterdir():
        path.rename(path.with_suffix(".heic"))
    monkeypatch.chdir(yolo / "labels")
    with pytest.raises(UserError, match=r"no image that is read .* 6 in other formats below \.\."):
        YoloSource("..", "val").read("set")


def test_labels_that_are_all_left_over(yolo: Path, register_entry: Callable[..., Any]) -> None:
    for path in (yolo / "images/val").iterdir():
        path.rename(path.with_name(f"copy of {path.name}"))
    name = register_entry(YOLO=yolo, SPLIT="val")
    assert "note: 6 label files without images (100 % of all label files)" in notes(name)
    with pytest.raises(UserError, match="it has no objects; note: 6 label files without images"):
        prepare_dataset(name)


def test_a_missing_image_in_another_format(voc: Path, register_entry: Callable[..., Any]) -> None:
    made = convert(sorted((voc / "JPEGImages").iterdir())[0], ".gif")
    with pytest.raises(UserError, match=f"1 missing image .*; {made.name} is there, a format th"):
        prepare_dataset(register_entry(VOC=voc, SPLIT="test"))
