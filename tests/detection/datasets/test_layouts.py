"""What data are in a file or a folder is told from what is there, and read as it was told."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.layouts import recognise


def read(entry: Mapping[str, Any]) -> tuple[set[str], int]:
    """The names of the images of an entry, and how many objects are on them."""
    name, source = parse_entry(entry)
    reading = source.read(name)
    assert not reading.report.problems, reading.report.complaint()
    return {Path(i["file_name"]).name for i, _ in reading.images.heads()}, reading.images.objects


def names(document: Mapping[str, Any]) -> set[str]:
    return {image["file_name"] for image in document["images"]}


def test_coco_files_with_their_images(scenes: Path, document: dict[str, Any]) -> None:
    layout = recognise(scenes)
    assert layout.form == "COCO" and list(layout.entries) == ["train", "val"]
    assert layout.entries["val"]["IMAGES"] == str(scenes / "val")
    assert read(layout.entries["val"]) == (names(document), len(document["annotations"]))
    # one file: that of the other part beside it is taken, and said
    by_file = recognise(scenes / "annotations/instances_train.json")
    assert [e["JSON"] for e in by_file.entries.values()] == [
        e["JSON"] for e in layout.entries.values()
    ]
    assert len(by_file.notes) == 1 and "instances_val.json" in by_file.notes[0]
    # who names the other part means it alone
    assert list(recognise(scenes / "annotations/instances_val.json").entries) == ["all"]


def test_one_file_a_folder_of_each_split(
    scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    for folder, part in (("train", "train"), ("valid", "val")):
        shutil.copytree(scenes / part, tmp_path / "set" / folder)
        file = scenes / f"annotations/instances_{part}.json"
        shutil.copy(file, tmp_path / "set" / folder / "_annotations.coco.json")
    layout = recognise(tmp_path / "set")
    assert list(layout.entries) == ["train", "val"]
    assert read(layout.entries["val"])[0] == names(document)
    alone = recognise(tmp_path / "set/train/_annotations.coco.json")
    assert list(alone.entries) == ["train", "val"]


def test_a_file_in_the_folder_of_its_images_is_all_there_is(
    scenes: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(scenes / "val", tmp_path / "set")
    shutil.copy(scenes / "annotations/instances_val.json", tmp_path / "set/labels.json")
    layout = recognise(tmp_path / "set")
    assert list(layout.entries) == ["all"] and layout.entries["all"]["NAME"] == "set_all"
    assert read(layout.entries["all"]) == (names(document), len(document["annotations"]))
    (tmp_path / "set/more.json").write_bytes((tmp_path / "set/labels.json").read_bytes())
    with pytest.raises(UserError, match=r"labels\.json, .*more\.json; give one of them"):
        recognise(tmp_path / "set")


def test_voc_by_its_lists_and_folders(voc: Path, document: dict[str, Any], tmp_path: Path) -> None:
    (voc / "ImageSets/Main/val.txt").write_text("")
    stems = [Path(i["file_name"]).stem for i in document["images"]]
    (voc / "ImageSets/Main/test.txt").write_text("\n".join(stems[2:]))
    layout = recognise(voc)
    assert layout.form == "VOC" and "split val" in layout.notes[0]
    assert {role: e["SPLIT"] for role, e in layout.entries.items()} == {
        "train": "train", "test": "test"
    }  # fmt: skip
    assert len(read(layout.entries["train"])[0]) == 2
    assert recognise(voc / "Annotations").entries == layout.entries
    shutil.rmtree(voc / "ImageSets")
    whole = recognise(voc)
    assert {role: e["SPLIT"] for role, e in whole.entries.items()} == {"all": "all"}
    assert read(whole.entries["all"]) == (names(document), len(document["annotations"]))
    # Roboflow's: annotations and images together, in a folder for each split
    for folder in ("train", "valid"):
        (tmp_path / "flow" / folder).mkdir(parents=True)
        for stem in stems[:2] if folder == "train" else stems[2:]:
            shutil.copy(voc / f"Annotations/{stem}.xml", tmp_path / "flow" / folder)
            shutil.copy(voc / f"JPEGImages/{stem}.png", tmp_path / "flow" / folder)
    flow = recognise(tmp_path / "flow")
    assert {r: len(read(e)[0]) for r, e in flow.entries.items()} == {
        "train": 2, "val": len(stems) - 2
    }  # fmt: skip


def test_yolo_by_its_file_and_folders(yolo: Path, document: dict[str, Any]) -> None:
    # what is trained on as well measures nothing
    layout = recognise(yolo)
    assert layout.form == "YOLO" and list(layout.entries) == ["all"]
    assert "is left out" in layout.notes[0]
    assert read(layout.entries["all"]) == (names(document), len(document["annotations"]))
    first = sorted(names(document))[0]
    (yolo / "images/train").mkdir()
    shutil.move(yolo / "images/val" / first, yolo / "images/train")
    (yolo / "labels/train").mkdir()
    shutil.move(yolo / f"labels/val/{Path(first).stem}.txt", yolo / "labels/train")
    raw = {**yaml.safe_load((yolo / "data.yaml").read_text()), "train": "images/train"}
    (yolo / "images/nothing").mkdir()
    for test, why in (
        ("images/gone", "has no images at "),
        ("images/nothing", "it has no images"),
    ):
        (yolo / "data.yaml").write_text(yaml.safe_dump({**raw, "test": test}))
        (note,) = recognise(yolo).notes
        assert note.startswith(f"split test of {yolo} is left out: ") and why in note
    for place in (yolo, yolo / "data.yaml"):
        found = recognise(place)
        assert {r: read(e)[0] for r, e in found.entries.items()} == {
            "train": {first}, "val": names(document) - {first}
        }  # fmt: skip
    (yolo / "data.yaml").unlink()
    (yolo / "classes.txt").write_text("\n".join(raw["names"][n] for n in sorted(raw["names"])))
    assert recognise(yolo).entries.keys() == {"train", "val"}


def _picture(path: Path, number: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number, 0, 0)).save(path)


def test_what_is_something_else_is_named(voc: Path, scenes: Path, tmp_path: Path) -> None:
    shutil.copy(scenes / "annotations/instances_val.json", voc / "more.json")
    for name in ("cat", "dog"):
        _picture(tmp_path / "classes/train" / name / "1.png")
    _picture(tmp_path / "pictures/1.png")
    _picture(tmp_path / "masked/images/1.png")
    _picture(tmp_path / "masked/masks/1.png")
    _picture(tmp_path / "labelme/1.png")
    (tmp_path / "labelme/1.json").write_text('{"shapes": [], "imagePath": "1.png"}')
    for folder in ("empty", "labels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "labels/1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/a.zip").write_bytes(b"PK")
    detections = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]
    (tmp_path / "found.json").write_text(json.dumps(detections))
    for place, words in (
        (voc, r"several formats: COCO JSON and VOC XML; give .*more\.json or .*Annotations"),
        (tmp_path / "classes", r"look like classes: cat, dog.*robust-det pretrain"),
        (tmp_path / "pictures", r"1 images .* and no annotations"),
        (tmp_path / "masked", r"masks, and nothing says what their values mean"),
        (tmp_path / "labelme", r"1\.json is in LabelMe's format, which is not read; export COCO"),
        (tmp_path / "empty", r"holds no images and no annotations"),
        (tmp_path / "labels", r"holds YOLO's labels, and no images; put the images beside them"),
        (tmp_path / "archive", r"unpack"),
        (tmp_path / "archive/a.zip", r"is an archive; unpack it"),
        (tmp_path / "found.json", r"holds detections of a model, and no annotations"),
        (tmp_path / "pictures/1.png", r"is one file of a data set; give the folder"),
        (tmp_path / "picturs", r"no file or folder .*picturs; did you mean 'pictures'"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            recognise(place)
        assert "\n" not in str(caught.value)
    # images elsewhere
    (tmp_path / "lonely").mkdir()
    shutil.copy(scenes / "annotations/instances_val.json", tmp_path / "lonely/a.json")
    with pytest.raises(UserError, match=r"such as .*png, are in none of .*IMAGES of an entry"):
        recognise(tmp_path / "lonely")
