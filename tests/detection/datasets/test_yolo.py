"""YOLO folders become the same data as their COCO JSON; what is wrong in them is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from detectron2.data import DatasetCatalog

from robust_det.core.errors import UserError
from robust_det.data.detection.prepared import check_and_pack
from robust_det.data.detection.readers.yolo_folder import YoloSource
from robust_det.detection.datasets import describe_dataset, prepare_dataset


def boxes(name: Any) -> dict[Any, Any]:
    """For each image its name, and class and box of each object."""
    prepare_dataset(name)
    return {
        Path(r["file_name"]).name: [(t["category_id"], *t["bbox"]) for t in r["annotations"]]
        for r in DatasetCatalog.get(name)
    }


def edit(yolo: Any, **keys: Any) -> None:
    """Change the YAML file; None takes a key out."""
    path = yolo / "data.yaml"
    raw = {**yaml.safe_load(path.read_text()), **keys}
    path.write_text(yaml.safe_dump({k: v for k, v in raw.items() if v is not None}))


def append(yolo: Any, line: Any) -> None:
    path = sorted((yolo / "labels/val").iterdir())[0]
    path.write_text(f"{path.read_text()}\n{line}\n")


def test_the_same_boxes_as_through_coco_json(
    register: Callable[..., Any],
    register_entry: Callable[..., Any],
    yolo: Path,
    document: dict[str, Any],
) -> None:
    own = register_entry(YOLO=yolo / "data.yaml", SPLIT="val")
    expected = boxes(register())
    assert list(boxes(own)) == list(expected)
    for image, things in boxes(own).items():
        # six digits of an image of 96 pixels
        flat = [value for thing in things for value in thing]
        assert flat == pytest.approx([v for t in expected[image] for v in t], abs=2e-4)
    facts = describe_dataset(own)
    assert facts.classes == tuple(c["name"] for c in document["categories"])
    assert (facts.annotations, facts.masks) == (len(document["annotations"]), "none")


def test_polygons_become_masks(register_entry: Callable[..., Any], yolo: Path) -> None:
    for path in (yolo / "labels/val").iterdir():
        path.write_text("2 0.25 0.25 0.75 0.25 0.75 0.5\n")
    own = register_entry(YOLO=yolo, SPLIT="val")
    facts = describe_dataset(own)
    assert facts.masks == "polygon" and facts.annotations == 6
    (thing,) = DatasetCatalog.get(own)[0]["annotations"]
    assert thing["segmentation"] == [[24, 24, 72, 24, 72, 48]]
    assert (thing["category_id"], thing["bbox"]) == (2, [24, 24, 48, 24])


def test_where_images_may_be(
    register_entry: Callable[..., Any], yolo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = boxes(register_entry(YOLO=yolo, SPLIT="val"))
    # without a path, and with one of another machine
    for path in (None, "/nowhere/of/another/machine", "."):
        edit(yolo, path=path)
        assert boxes(register_entry(YOLO=yolo, SPLIT="val")) == expected
    # as some exports write what lies beside the file
    edit(yolo, val="../images/val")
    assert boxes(register_entry(YOLO=yolo, SPLIT="val")) == expected
    # a list of images, of folders and lists, and "validation"
    names = sorted(path.name for path in (yolo / "images/val").iterdir())
    (yolo / "list.txt").write_text("".join(f"./images/val/{name}\n" for name in names[:2]))
    (yolo / "images/more").mkdir()
    (yolo / "labels/more").mkdir()
    for name in names[2:]:
        shutil.move(yolo / "images/val" / name, yolo / "images/more")
        label = Path(name).with_suffix(".txt")
        shutil.move(yolo / "labels/val" / label, yolo / "labels/more")
    edit(yolo, val=None, validation=["list.txt", "images/more"])
    assert boxes(register_entry(YOLO=yolo, SPLIT="val")) == expected
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert boxes(register_entry(YOLO="yolo/data.yaml", SPLIT="val")) == expected


def test_without_yaml(
    register_entry: Callable[..., Any], yolo: Path, document: dict[str, Any]
) -> None:
    names = [c["name"] for c in document["categories"]]
    expected = boxes(register_entry(YOLO=yolo, SPLIT="val"))
    (yolo / "data.yaml").unlink()
    with pytest.raises(UserError, match=r"into classes\.txt .* or give CLASSES or data\.yaml"):
        describe_dataset(register_entry(YOLO=yolo, SPLIT="val"))
    assert boxes(register_entry(YOLO=yolo, SPLIT="val", CLASSES=names)) == expected
    (yolo / "classes.txt").write_text("\n".join(names))
    assert boxes(register_entry(YOLO=yolo, SPLIT="val")) == expected
    with pytest.raises(UserError, match="holds neither"):
        describe_dataset(register_entry(YOLO=yolo, SPLIT="train"))


def test_images_without_labels_show_nothing(register_entry: Callable[..., Any], yolo: Path) -> None:
    first, second = sorted((yolo / "labels/val").iterdir())[:2]
    first.unlink()
    second.write_text("\n")
    found = boxes(register_entry(YOLO=yolo, SPLIT="val"))
    assert [len(things) for things in found.values()][:2] == [0, 0] and len(found) == 6


@pytest.mark.parametrize(
    "line, message",
    [
        ("0 0.5 0.5 0.1", "1 malformed object (first: line "),
        ("0 0.5 0.5 0.1 x", "could not convert string to float: 'x'"),
        ("0 0.5 0.5 0.1 nan", "a number is not finite"),
        ("0 0.1 0.1 0.2 0.2 0.3", "6 numbers, not class and box or class and polygon"),
        ("8 0.5 0.5 0.1 0.1", "1 object of a class it does not list (first: class 8 in line "),
        ("-1 0.5 0.5 0.1 0.1", "1 object of a class it does not list"),
        ("0.5 0.5 0.5 0.1 0.1", "1 object of a class it does not list"),
        ("0 1.0 0.5 0.3 0.1", "1 box partly outside its image"),
        ("0 1.5 0.5 0.3 0.1", "1 box outside its image"),
        ("0 0.5 0.5 0 0.1", "1 box without area"),
        ("0 0.5 0.5 -0.1 0.1", "1 negative or infinite box"),
        ("0 0.5 0.5 0.9 0.5 0.9 1.2", "1 mask partly outside its image"),
        # pixels instead of parts
        ("0 48 48 10 10", "1 object with numbers far above 1, where those of YOLO are parts of"),
        ("0 1.6 0.5 0.1 0.1", "1 box outside its image"),
    ],
)
def test_faults_in_a_line(
    line: str, message: str, register_entry: Callable[..., Any], yolo: Path
) -> None:
    append(yolo, line)
    with pytest.raises(UserError) as caught:
        describe_dataset(register_entry(YOLO=yolo, SPLIT="val"))
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"val": None}, "names no images for 'val', only for train"),
        ({"val": "images/nowhere"}, "has no images at "),
        ({"val": 5}, "names no images for 'val'"),
        ({"names": None}, "needs names"),
        ({"names": {1: "a", 2: "b"}}, "need the numbers from 0 on"),
        ({"names": "circle"}, "needs names"),
        ({"kpt_shape": [17, 3]}, "describes poses"),
    ],
)
def test_faults_in_the_yaml_file(
    keys: Any, message: str, register_entry: Callable[..., Any], yolo: Path
) -> None:
    edit(yolo, **keys)
    with pytest.raises(UserError, match=message):
        describe_dataset(register_entry(YOLO=yolo, SPLIT="val"))


def test_faults_in_a_folder(register_entry: Callable[..., Any], yolo: Path) -> None:
    images = sorted((yolo / "images/val").iterdir())
    lines = [str(path) for path in images] + [str(images[2])]
    (yolo / "list.txt").write_text("\n".join(lines))
    images[0].unlink()
    images[1].write_bytes(images[1].read_bytes()[:30])
    (yolo / "labels/val" / images[3].with_suffix(".txt").name).write_bytes(b"\xff\xfe\x00")
    edit(yolo, val="list.txt")
    with pytest.raises(UserError) as caught:
        describe_dataset(register_entry(YOLO=yolo, SPLIT="val"))
    for part in (
        f"1 missing image (first: {images[0]})",
        f"1 unreadable image (first: {images[1]}: ",
        f"1 image listed twice (first: {images[2]})",
        "1 malformed annotation file (first: ",
    ):
        assert part in str(caught.value)
    for image in (yolo / "images/val").iterdir():
        image.unlink()
    edit(yolo, val="images/val")
    with pytest.raises(UserError, match="empty split: it lists no images"):
        describe_dataset(register_entry(YOLO=yolo, SPLIT="val"))
    with pytest.raises(UserError, match=r"has no .*nowhere\.yaml; set DETECTRON2_DATASETS"):
        describe_dataset(register_entry(YOLO=yolo / "nowhere.yaml", SPLIT="val"))
    (yolo / "data.yaml").write_text("a: [")
    with pytest.raises(UserError, match="is not plain YAML"):
        describe_dataset(register_entry(YOLO=yolo, SPLIT="val"))


def test_the_json_is_another_one_for_other_names(yolo: Path) -> None:
    for first in ("disc", "ring", "disc"):
        names = (first, *"bcdefgh")
        source = YoloSource(str(yolo / "data.yaml"), "val", names)
        prepared = check_and_pack("renamed", source, lenient=False)
        made = json.loads(Path(prepared.json_file).read_bytes())
        assert [c["name"] for c in made["categories"]] == list(names)


def _first(name: str) -> list[dict[str, Any]]:
    prepare_dataset(name)
    return DatasetCatalog.get(name)[0]["annotations"]


def relabel(yolo: Path, lines: list[str]) -> None:
    """Give the images these lines, one each."""
    for path, line in zip(sorted((yolo / "labels/val").iterdir()), lines, strict=True):
        path.write_text(f"{line}\n")


@pytest.mark.parametrize("count", [1, 2, 17])
@pytest.mark.parametrize("marks", [" 2", ""])
def test_poses_are_no_polygons(
    register_entry: Callable[..., Any], yolo: Path, count: int, marks: str
) -> None:
    points = "".join(f" 0.{45 + n % 10} 0.{55 - n % 10}{marks}" for n in range(count))
    line = f"1 0.5 0.5 0.4 0.3{points}"
    hidden = f"1 0.5 0.5 0.4 0.3{' 0 0 0' * count}" if marks else line
    relabel(yolo, [line, hidden, "", *["\n".join([line, line, line])] * 3])
    with pytest.raises(UserError, match=f"look like poses, each a box and {count} keypoints"):
        check_and_pack("own", YoloSource(str(yolo), "val"), False)


def test_polygons_that_touch_the_edges_are_no_poses(
    register_entry: Callable[..., Any], yolo: Path
) -> None:
    # the numbers at the places of marks are 0 or 1
    edges = "0 0 0 0.5 0 0.5 0.5 0 0.5 0 0"
    slanted = "1 0.4 0.4 0.3 0.9 0.2 0.8 0 0.7 0.1 1"
    relabel(yolo, [edges, slanted, edges, slanted, "", ""])
    assert describe_dataset(register_entry(YOLO=yolo, SPLIT="val")).annotations == 4


def test_oriented_boxes_are_noted(register_entry: Callable[..., Any], yolo: Path) -> None:
    def noted() -> int:
        return YoloSource(str(yolo), "val").read("own").report.count("oriented_box")

    upright = "1 0.2 0.2 0.6 0.2 0.6 0.5 0.2 0.5"
    # of images of 96 x 96
    turned = "1 0.5 0.2 0.8 0.5 0.6 0.7 0.3 0.4"
    relabel(yolo, [turned, turned, turned, upright, "1 0.5 0.5 0.2 0.2", ""])
    assert noted() == 3
    (thing,) = _first(register_entry(YOLO=yolo, SPLIT="val"))
    assert thing["bbox"] == pytest.approx([28.8, 19.2, 48, 48])
    # a few among others, and what is no rectangle
    relabel(yolo, [turned, upright, upright, "1 0.5 0.2 0.9 0.5 0.6 0.7 0.3 0.4", "", ""])
    assert noted() == 0


def test_images_that_share_a_label_file_are_noted(yolo: Path) -> None:
    first = sorted((yolo / "images/val").iterdir())[0]
    shutil.copy(first, first.with_suffix(".bmp"))
    report = YoloSource(str(yolo), "val").read("own").report
    assert report.count("shared_label") == 2 and not report.problems
