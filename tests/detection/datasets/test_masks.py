"""Folders of masks: pixels, boxes and areas are those that the files have."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from robust_det.commands.main import main
from robust_det.core.errors import UserError
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.prepared import check_and_pack
from robust_det.data.detection.source import Reading

Mask = NDArray[Any]
HEIGHT, WIDTH = 24, 40


def part(top: int, left: int, height: int, width: int) -> Mask:
    where = np.zeros((HEIGHT, WIDTH), bool)
    where[top : top + height, left : left + width] = True
    return where


# three that do not touch; the first is no rectangle
ONE, TWO, THREE = part(1, 1, 8, 10) & ~part(1, 1, 4, 4), part(2, 20, 5, 6), part(12, 5, 9, 30)


def save(path: Path, values: Mask, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    if palette:
        image = Image.frombytes("P", image.size, values.astype(np.uint8).tobytes())
        image.putpalette([v for n in range(256) for v in (n * 7 % 256, 255 - n, 3)])
    image.save(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg"):
        save(tmp_path / "images" / name, np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    return tmp_path / "images"


@pytest.fixture
def read(tmp_path: Path, images: Path) -> Callable[..., Reading]:
    def of(**entry: Any) -> Reading:
        own = {"NAME": "masks", "MASKS": str(tmp_path / "masks"), "IMAGES": str(images)}
        name, source = parse_entry({**own, **entry})
        return source.read(name)

    return of


def objects(reading: Reading) -> dict[str, list[tuple[str, Mask]]]:
    """By image class and mask of each object, whose box and area are checked on the way."""
    assert not reading.report.problems, reading.report.complaint()
    classes = {c["id"]: c["name"] for c in reading.canonical_classes()}
    found: dict[str, list[tuple[str, Mask]]] = {}
    for image, entries, _ in reading.images:
        own = found.setdefault(image["file_name"], [])
        for entry in entries:
            where = mask_util.decode(entry["segmentation"]).astype(bool)
            rows, columns = np.nonzero(where)
            left, top = columns.min(), rows.min()
            assert entry["area"] == where.sum()
            assert entry["bbox"] == [left, top, columns.max() + 1 - left, rows.max() + 1 - top]
            own.append((classes[entry["category_id"]], where))
    return found


def same(found: list[tuple[str, Mask]], expected: list[tuple[str, Mask]]) -> bool:
    return len(found) == len(expected) and all(
        a == b and np.array_equal(m, n) for (a, m), (b, n) in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("kind", ["8 bits", "16 bits", "palette", "grey as RGB"])
def test_a_number_for_each_object(kind: str, tmp_path: Path, read: Any) -> None:
    high = 300 if kind == "16 bits" else 3
    values = (ONE * 1 + TWO * 2 + THREE * high).astype(np.uint16)
    if kind != "16 bits":
        values = values.astype(np.uint8)
    if kind == "grey as RGB":
        values = np.repeat(values[..., None], 3, axis=2)
    save(tmp_path / "masks/a.png", values, kind == "palette")
    save(tmp_path / "masks/b.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    reading = read(KIND="instances", CLASSES=["cell"])
    found = objects(reading)
    assert same(found["a.jpg"], [("cell", ONE), ("cell", TWO), ("cell", THREE)])
    assert found["b.jpg"] == []
    (said,) = reading.report.remarks
    assert "each number but 0 is an object" in said and "COMPONENTS" not in said


def test_classes_by_folder(tmp_path: Path, read: Any) -> None:
    save(tmp_path / "masks/dog/a.png", (ONE * 1).astype(np.uint8))
    save(tmp_path / "masks/cat/a.png", (TWO * 1 + THREE * 2).astype(np.uint8))
    found = objects(read(KIND="instances"))
    assert same(found["a.jpg"], [("cat", TWO), ("cat", THREE), ("dog", ONE)])
    assert [c["name"] for c in read(KIND="instances", CLASSES=["dog", "cat"]).categories] == [
        "dog", "cat"
    ]  # fmt: skip
    assert read(KIND="instances", CLASSES=["dog"]).report.count("unknown_class") == 2


@pytest.mark.parametrize("names", [
    ("a_1", "a_2", "b_1"), ("a/1", "a/x", "b/2"), ("x/a-1", "x/a-2", "x/b"),
])  # fmt: skip
def test_a_file_for_each_object(names: tuple[str, ...], tmp_path: Path, read: Any) -> None:
    for name, where in zip(names, (ONE, TWO, THREE), strict=True):
        save(tmp_path / f"masks/{name}.png", where.astype(np.uint8) * 255)
    label = "x" if names[0].startswith("x/") else "thing"
    given = {} if label == "x" else {"CLASSES": ["thing"]}
    found = objects(read(KIND="objects", **given))
    assert same(found["a.jpg"], [(label, ONE), (label, TWO)])
    assert same(found["b.jpg"], [(label, THREE)])


def test_images_and_masks_in_one_tree(tmp_path: Path, read: Any) -> None:
    for image, parts in (("p", (ONE, TWO)), ("q", (THREE,))):
        root = tmp_path / "tree" / image
        save(root / f"images/{image}.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
        for number, where in enumerate(parts):
            save(root / f"masks/{number}f3.png", where)
    tree = str(tmp_path / "tree")
    found = objects(read(MASKS=tree, IMAGES=tree, KIND="objects", CLASSES=["nucleus"]))
    assert same(found["p/images/p.png"], [("nucleus", ONE), ("nucleus", TWO)])
    assert same(found["q/images/q.png"], [("nucleus", THREE)])


def test_trimaps_and_classes_by_value(tmp_path: Path, read: Any) -> None:
    # as those of pets: 1 is the animal, 2 the rest, 3 the border between them
    trimap = np.full((HEIGHT, WIDTH), 2, np.uint8)
    trimap[ONE] = 1
    trimap[TWO] = 3
    save(tmp_path / "masks/a.png", trimap)
    pets = {"KIND": "values", "VALUES": {1: "pet"}, "BACKGROUND": [2, 3]}
    assert same(objects(read(**pets))["a.jpg"], [("pet", ONE)])
    both = {**pets, "VALUES": {1: "pet", 3: "pet"}, "BACKGROUND": [2]}
    assert same(objects(read(**both))["a.jpg"], [("pet", ONE | TWO)])
    apart = objects(read(**both, COMPONENTS=True))["a.jpg"]
    assert sorted(int(m.sum()) for _, m in apart) == sorted([int(ONE.sum()), int(TWO.sum())])
    two = {"KIND": "values", "VALUES": {3: "edge", 1: "pet"}, "BACKGROUND": [2]}
    assert same(objects(read(**two))["a.jpg"], [("edge", TWO), ("pet", ONE)])
    assert [c["name"] for c in read(**two).categories] == ["edge", "pet"]
    with pytest.raises(UserError, match=r"a\.png has the value 3, which neither VALUES nor BACK"):
        read(KIND="values", VALUES={1: "pet"}, BACKGROUND=[2])


def test_an_ending_that_all_masks_have(tmp_path: Path, read: Any) -> None:
    for name in ("a", "b"):
        save(tmp_path / f"masks/{name}_mask.png", ONE.astype(np.uint8))
    reading = read(KIND="instances", CLASSES=["car"])
    assert len(objects(reading)) == 2
    (said,) = reading.report.remarks
    assert "called as images, with _mask behind" in said
    assert "no more than one on each mask" in said and "COMPONENTS True" in said


def test_what_is_left_out_is_said(tmp_path: Path, read: Any) -> None:
    save(tmp_path / "masks/a.png", ONE.astype(np.uint8))
    report = read(KIND="instances", CLASSES=["car"]).report
    assert not report.problems and report.count("unmasked_image") == 1
    save(tmp_path / "masks/c.png", ONE.astype(np.uint8))
    save(tmp_path / "masks/b.png", np.ones((HEIGHT, WIDTH - 1), np.uint8))
    complaint = read(KIND="instances", CLASSES=["car"]).report.complaint()
    assert "1 missing image (first: the one of mask" in complaint and "c.png" in complaint
    assert "1 mask of another size than its image" in complaint and "is 39 x 24" in complaint
    (tmp_path / "masks/b.png").write_bytes((tmp_path / "masks/a.png").read_bytes()[:60])
    assert "1 malformed annotation file" in read(KIND="instances", CLASSES=["x"]).report.complaint()


@pytest.mark.parametrize(
    ("values", "suffix", "entry", "words"),
    [
        (ONE, "jpg", {}, r"a\.jpg is stored with loss"),
        (np.dstack([ONE, TWO, THREE]), "png", {}, r"a\.png is in colours, .* grey or palette"),
        (np.dstack([ONE] * 3 + [TWO]), "png", {}, r"a\.png has transparency"),
        (
            ONE * 1 + TWO * 2,
            "png",
            {"KIND": "objects"},
            r"has 3 different values.*KIND inst",
        ),
        (ONE * 1 + TWO * 2 + THREE * 255, "png", {}, r"1 to 2, and 255, .* BACKGROUND \[0, 255\]"),
        (ONE, "png", {"CLASSES": []}, r"nothing says what is on the mask a\.png; give CLASSES"),
    ],
)
def test_masks_that_are_none(
    values: Mask, suffix: str, entry: dict[str, Any], words: str, tmp_path: Path, read: Any
) -> None:
    scale = 200 if values.ndim == 3 or suffix == "jpg" else 1
    save(tmp_path / f"masks/a.{suffix}", (values * scale).astype(np.uint8))
    with pytest.raises(UserError, match=words) as caught:
        read(**{"KIND": "instances", "CLASSES": ["c"], **entry})
    assert "\n" not in str(caught.value)


def test_borders_are_background_where_it_is_said(tmp_path: Path, read: Any) -> None:
    save(tmp_path / "masks/a.png", (ONE * 1 + TWO * 2 + THREE * 255).astype(np.uint8))
    own = {"KIND": "instances", "CLASSES": ["c"]}
    assert same(objects(read(**own, BACKGROUND=[0, 255]))["a.jpg"], [("c", ONE), ("c", TWO)])
    assert len(objects(read(**own, BACKGROUND=[0]))["a.jpg"]) == 3


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "needs NAME, MASKS, IMAGES, KIND .*KIND is missing"),
        ({"KIND": "objects", "SPLIT": "train"}, "SPLIT has no effect; got"),
        ({"KIND": 3}, "KIND is no text"),
        ({"KIND": "blobs"}, "it can be instances, objects, values"),
        ({"KIND": "instances", "VALUES": {1: "a"}}, "VALUES has no effect with KIND instances"),
        ({"KIND": "objects", "BACKGROUND": [0]}, "BACKGROUND has no effect with KIND objects"),
        ({"KIND": "objects", "COMPONENTS": True}, "COMPONENTS has no effect with KIND objects"),
        ({"KIND": "values", "VALUES": {1: "a"}, "CLASSES": ["a"]}, "CLASSES has no effect"),
        ({"KIND": "values"}, "needs VALUES, such as"),
        ({"KIND": "values", "VALUES": ["a"]}, "needs VALUES, such as"),
        ({"KIND": "values", "VALUES": {"a": 1}}, "needs VALUES, such as"),
        ({"KIND": "values", "VALUES": {1: ""}}, "have an empty or repeated name"),
        ({"KIND": "values", "VALUES": {0: "a"}}, "0 is in VALUES and in BACKGROUND"),
        ({"KIND": "values", "VALUES": {1: "a"}, "BACKGROUND": 0}, "needs a list of numbers"),
        ({"KIND": "values", "VALUES": {1: "a"}, "COMPONENTS": "yes"}, "True or False"),
    ],
)
def test_a_wrong_entry(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_entry({"NAME": "one", "MASKS": "a", "IMAGES": "b", **entry})


def test_a_config_converts_them_and_a_run_has_them(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "masks/a.png", (ONE * 1 + TWO * 2).astype(np.uint8))
    entry = {"NAME": "pets", "MASKS": "masks", "IMAGES": "images", "KIND": "values",
             "VALUES": {1: "cat", 2: "dog"}}  # fmt: skip
    raw = {"DATASETS": {"CUSTOM": [entry], "TRAIN": ["pets"]}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(raw))
    assert main(["convert-data", str(tmp_path / "a.yaml"), str(tmp_path / "out")]) == 0
    assert "1 image, 2 objects (masks as run lengths), 2 classes" in capsys.readouterr().out
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "out/instances_pets.json"))
    found = [coco.annToMask(a).astype(bool) for a in coco.anns.values()]
    assert np.array_equal(found[0], ONE) and np.array_equal(found[1], TWO)
    _, source = parse_entry({**entry, "MASKS": str(tmp_path / "masks"), "IMAGES": str(images)})
    prepared = check_and_pack("pets", source, False)
    assert (prepared.facts.masks, prepared.facts.classes) == ("rle", ("cat", "dog"))
