"""What a run would take without an error, and learn or score something else than was meant."""

import copy
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from PIL import Image
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.datasets import prepare_dataset
from robust_det.detection.datasets.registration import source_of
from tests.support import refused, run_tool

BOXES_ALONE = ("MODEL.MASK_ON", "False")


def notes(name: Any) -> list[str]:
    """What the checks say of a data set, without examples."""
    lines = source_of(name).read(name).report.lines()
    return [line for line in lines if not line.startswith(" ")]


def every(change: Callable[[Any], Any], step: int = 1) -> Callable[[Any], Any]:
    """Return what changes every so many of the objects of a document."""

    def make(document: Any) -> None:
        for thing in document["annotations"][::step]:
            thing.update(change(thing))

    return make


# the same object twice ---------------------------------------------------------------------------


def twice(shift: float, **other: Any) -> Callable[[Any], Any]:
    def make(document: Any) -> None:
        for number, thing in enumerate(copy.deepcopy(document["annotations"]), 1):
            box = [thing["bbox"][0] + shift, *thing["bbox"][1:]]
            document["annotations"].append({**thing, "id": number, "bbox": box, **other})

    return make


@pytest.mark.parametrize("shift", [0, 0.004, 0.4, -0.4])
def test_the_same_object_twice(
    shift: float, register: Callable[..., Any], document: dict[str, Any]
) -> None:
    name, count = register(twice(shift)), len(document["annotations"])
    with pytest.raises(UserError, match=rf"{count} objects annotated twice.*\(50 % of all obj"):
        prepare_dataset(name)
    assert prepare_dataset(name, lenient=True).annotations == count
    boxes = [a["bbox"] for r in DatasetCatalog.get(name) for a in r["annotations"]]
    assert sorted(boxes) == sorted(a["bbox"] for a in document["annotations"])


@pytest.mark.parametrize("shift, other", [(1.5, {}), (0, {"iscrowd": 1}), (0, {"category_id": 2})])
def test_objects_that_lie_close_are_no_repetition(
    shift: float, other: Any, register: Callable[..., Any], document: dict[str, Any]
) -> None:
    name = register(twice(shift, **other))
    found = [line for line in notes(name) if "annotated twice" in line]
    same = sum(a["category_id"] == other.get("category_id") for a in document["annotations"])
    assert len(found) == bool(same) and all(f" {same} object" in line for line in found)


def test_areas_that_are_not_of_their_objects_are_noted(register: Callable[..., Any]) -> None:
    def noted(area: float) -> list[str]:
        name = register(lambda d: d["annotations"][0].update(area=area, bbox=[2, 2, 20, 30]))
        return [line for line in notes(name) if "whose area" in line]

    assert noted(1000) and noted(0.2)
    assert not noted(650) and not noted(40)


def test_small_neighbours_are_told_apart(register: Callable[..., Any]) -> None:
    def tiny(document: Any) -> None:
        thing = {**document["annotations"][0], "segmentation": []}
        for n in range(20):
            box = [20 + 0.4 * n, 30, 2, 2]
            document["annotations"].append({**thing, "id": n + 1, "bbox": box, "area": 4})

    assert not any("twice" in line for line in notes(register(tiny)))


def test_published_data_keep_what_is_there_twice(
    tmp_path: Path, scenes: Path, document: dict[str, Any]
) -> None:
    twice(0)(document)
    (tmp_path / "twice.json").write_text(json.dumps(document))
    register_coco_instances("twice", {}, str(tmp_path / "twice.json"), str(scenes / "val"))
    assert prepare_dataset("twice").annotations == len(document["annotations"])
    assert any(line.startswith("note: 13 objects annotated twice") for line in notes("twice"))


# crowds that are brush masks ---------------------------------------------------------------------


def brush(thing: Any) -> Any:
    """Give an object as tools export a brush mask: run lengths with iscrowd 1."""
    encoded = mask_util.merge(mask_util.frPyObjects(thing["segmentation"], 96, 96))
    counts = encoded["counts"].decode()
    return {"iscrowd": 1, "segmentation": {"size": [96, 96], "counts": counts}}


def of_class(number: int, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda thing: change(thing) if thing["category_id"] == number else {}


def test_a_class_of_crowds_is_said_when_a_run_starts(
    register: Callable[..., Any],
    document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(logging.getLogger("robust_det"), "propagate", True)
    number = document["annotations"][0]["category_id"]
    label = next(c["name"] for c in document["categories"] if c["id"] == number)
    count = sum(a["category_id"] == number for a in document["annotations"])
    name = register(every(of_class(number, brush)))
    prepare_dataset(name)
    assert f"(first: {label}, {count} of {count})" in caplog.text
    share = 100 * count / len(document["annotations"])
    assert f"unless DATASETS.CROWD is objects ({share:.3g} % of all objects)" in caplog.text


def test_a_few_crowds_are_as_usual(register: Callable[..., Any]) -> None:
    def many(document: Any) -> None:
        thing = document["annotations"][0]
        for n in range(40):
            box = [2 * n, 40, 10, 10]
            document["annotations"].append({**thing, "id": n + 1, "bbox": box, "segmentation": []})
        document["annotations"][-1].update(iscrowd=1, segmentation=thing["segmentation"])

    assert not any("crowd" in line for line in notes(register(many)))


def test_crowds_alone_are_refused(
    register: Callable[..., Any], write_config: Callable[..., Path]
) -> None:
    name, config = register(every(brush)), str(write_config())
    assert any("set of crowds alone" in line for line in notes(name))
    with pytest.raises(UserError, match=r"nothing is left to score; .* DATASETS\.CROWD objects"):
        load_config(config, ["DATASETS.TEST", f"['{name}']"])


def test_crowds_taken_as_objects(
    register: Callable[..., Any], write_config: Callable[..., Path], document: dict[str, Any]
) -> None:
    name, config = register(every(brush)), str(write_config())
    given = ["DATASETS.TRAIN", f"['{name}']", "DATASETS.TEST", f"['{name}']"]
    load_config(config, [*given, "DATASETS.CROWD", "objects", "INPUT.MASK_FORMAT", "bitmask"])
    records = DatasetCatalog.get(name)
    assert sum(not a["iscrowd"] for r in records for a in r["annotations"]) == 13
    truth = COCO(MetadataCatalog.get(name).json_file)
    assert len(truth.getAnnIds(iscrowd=0)) == len(document["annotations"])
    # and back
    assert prepare_dataset(name).crowds_alone


@pytest.mark.parametrize(
    "value, message",
    [("objects", r"DATASETS\.CROWD objects has no effect"), ("object", "did you mean 'objects'")],
)
def test_a_key_that_does_nothing(
    value: str, message: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(UserError, match=message):
        load_config(str(write_config()), ["DATASETS.CROWD", value])


def test_inspection_takes_crowds_as_objects(
    tmp_path: Path, scenes: Path, document: dict[str, Any]
) -> None:
    every(brush)(document)
    (tmp_path / "a.json").write_text(json.dumps(document))
    given = ("--json", tmp_path / "a.json", "--images", scenes / "val")
    assert "13, 13 of them crowds" in run_tool("inspect_dataset", *given).out
    done = run_tool("inspect_dataset", *given, "--crowd", "objects")
    assert "13, 0 of them crowds" in done.out and done.code == 0
    assert "note: 13 crowds (iscrowd 1) taken as single objects (100 % of all ob" in done.out
    wrong = refused("inspect_dataset", "--yolo", "a", "--split", "b", "--crowd", "objects")
    assert "--crowd belongs to --json" in wrong


# boxes in parts of the image ---------------------------------------------------------------------


def parts(thing: Any) -> Any:
    return {"bbox": [value / 96 for value in thing["bbox"]], "segmentation": []}


def test_normalised_boxes(register: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"13 boxes below one pixel .*100 % of all obj") as caught:
        prepare_dataset(register(every(parts)))
    # which would leave nothing
    assert "by which to multiply them" in str(caught.value) and "LENIENT" not in str(caught.value)


def test_normalised_boxes_of_one_image(register: Callable[..., Any]) -> None:
    def change(document: Any) -> None:
        first = document["images"][0]["id"]
        every(lambda t: parts(t) if t["image_id"] == first else {})(document)

    with pytest.raises(UserError, match=r"below one pixel .* set DATASETS\.LENIENT True"):
        prepare_dataset(register(change))


def test_small_boxes_elsewhere_are_no_parts(register: Callable[..., Any]) -> None:
    small = register(lambda d: d["annotations"][0].update(bbox=[1.5, 0, 0.5, 0.5], area=0.25))
    assert prepare_dataset(small).images == 6


def test_normalised_corners_of_voc(voc: Path, register_entry: Callable[..., Any]) -> None:
    """Of which the reader takes the one that VOC counts from."""
    for path in (voc / "Annotations").iterdir():
        corners = zip(("xmin", "ymin", "xmax", "ymax"), (0.1, 0.2, 0.5, 0.9), strict=True)
        box = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
        path.write_text(re.sub("<bndbox>.*?</bndbox>", f"<bndbox>{box}</bndbox>", path.read_text()))
    with pytest.raises(UserError, match="boxes below one pixel"):
        prepare_dataset(register_entry(VOC=voc, SPLIT="test"))


@pytest.mark.parametrize("side, noted", [(400, True), (120, False)])
def test_boxes_in_percent(
    side: int, noted: bool, tmp_path: Path, document: dict[str, Any], register_entry: Any
) -> None:
    for image in document["images"]:
        image.update(width=side, height=side)
        Image.new("RGB", (side, side)).save(tmp_path / image["file_name"])
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = notes(register_entry(JSON=tmp_path / "a.json", IMAGES=tmp_path))
    assert any("as if in percent (100 % of all objects)" in line for line in found) == noted


# outlines ----------------------------------------------------------------------------------------

NOTHING: tuple[Any, ...] = ([[]], [], {}, None, "", [[], []])


@pytest.mark.parametrize("nothing", NOTHING, ids=str)
@pytest.mark.parametrize("lenient", [False, True])
def test_no_outline_is_none(
    nothing: Any, lenient: bool, register: Callable[..., Any], document: dict[str, Any]
) -> None:
    name = register(every(lambda thing: {"segmentation": nothing}))
    facts = prepare_dataset(name, lenient)
    assert (facts.masks, facts.annotations) == ("none", len(document["annotations"]))
    records = DatasetCatalog.get(name)
    assert sum(len(r["annotations"]) for r in records) == len(document["annotations"])
    assert not any("segmentation" in a for r in records for a in r["annotations"])


def test_empty_parts_of_an_outline_go(register: Callable[..., Any]) -> None:
    name = register(lambda d: d["annotations"][0]["segmentation"].append([]))
    prepare_dataset(name)
    outlines = [a["segmentation"] for r in DatasetCatalog.get(name) for a in r["annotations"]]
    assert all(polygon for outline in outlines for polygon in outline)


BAD: tuple[Any, ...] = ([[1, 2, 3, 4]], {"size": [95, 96], "counts": "abc"}, "abc")


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_outline_costs_no_object(
    bad: Any, register: Callable[..., Any], write_config: Callable[..., Path]
) -> None:
    name = register(lambda d: d["annotations"][0].update(segmentation=bad))
    config, given = str(write_config()), ["DATASETS.TEST", f"['{name}']"]
    with pytest.raises(UserError, match=r"1 m.* set DATASETS\.LENIENT True to go on without"):
        load_config(config, [*given, *BOXES_ALONE])
    lenient = [*given, "DATASETS.LENIENT", "True"]
    load_config(config, [*lenient, *BOXES_ALONE])
    assert sum(len(r["annotations"]) for r in DatasetCatalog.get(name)) == 13
    # a detector of masks has nothing to learn of it
    load_config(config, lenient)
    assert sum(len(r["annotations"]) for r in DatasetCatalog.get(name)) == 12


@pytest.mark.parametrize("crowd, words", [(0, "1 of 13 objects of"), (1, "1 crowds")])
def test_masks_of_all_but_one(
    crowd: int,
    words: str,
    register: Callable[..., Any],
    write_config: Callable[..., Path],
    document: dict[str, Any],
) -> None:
    """A crowd without an outline would make false positives of what is found in it."""
    name = register(lambda d: d["annotations"][0].update(segmentation=[], iscrowd=crowd))
    config, given = str(write_config()), ["DATASETS.TRAIN", f"['{name}']"]
    with pytest.raises(UserError, match=rf"{words}.* set MODEL\.MASK_ON False"):
        load_config(config, given)
    load_config(config, [*given, *BOXES_ALONE])
    load_config(config, [*given, "DATASETS.LENIENT", "True"])
    assert sum(len(r["annotations"]) for r in DatasetCatalog.get(name)) == 12


def scaled(thing: Any) -> Any:
    """An outline of a smaller copy of the image, that still touches the box."""
    return {"bbox": [20, 20, 40, 40], "segmentation": [[20, 20, 30, 20, 30, 30, 20, 30]]}


def as_runs(thing: Any) -> Any:
    (polygon,) = scaled(thing)["segmentation"]
    encoded = mask_util.frPyObjects([polygon], 96, 96)[0]
    runs = {"size": [96, 96], "counts": encoded["counts"].decode()}
    return {"bbox": [50, 50, 40, 40], "segmentation": runs}


@pytest.mark.parametrize(
    "change, words",
    [
        (scaled, "1 outline that hardly covers the box of its object"),
        (as_runs, "1 outline that does not touch the box of its object (7.69 % of all objects)"),
        (
            lambda t: {"bbox": [5, 5, 20, 20], "segmentation": [[50, 50, 70, 50, 70, 70]]},
            "1 outline that does not touch the box of its object (7.69 % of all objects)",
        ),
    ],
)
def test_outlines_that_disagree_with_boxes(
    change: Callable[[Any], Any], words: str, register: Callable[..., Any]
) -> None:
    found = notes(register(every(change, step=100)))
    assert any(line.startswith(f"note: {words}") for line in found)


def test_masks_are_not_learnt_from_outlines_elsewhere(
    register: Callable[..., Any], write_config: Callable[..., Path]
) -> None:
    def change(document: Any) -> None:
        for number, thing in enumerate(document["annotations"]):
            thing.update(bbox=[60 + number, 60, 20, 20], segmentation=[[1, 1, 20, 1, 20, 20]])

    name = register(change)
    with pytest.raises(UserError, match=r"those of 13 of 13 objects .* do not touch their boxes"):
        load_config(str(write_config()), ["DATASETS.TRAIN", f"['{name}']"])


def test_sound_outlines_are_where_their_boxes_are(register: Callable[..., Any]) -> None:
    assert not any("outline" in line for line in notes(register()))
    thin = {"bbox": [10, 10, 3, 5], "segmentation": [[10, 10, 12, 10, 12, 14]]}
    assert not any("outline" in n for n in notes(register(every(lambda t: thin, step=100))))


# words -------------------------------------------------------------------------------------------


def test_boxes_as_text(register: Callable[..., Any]) -> None:
    name = register(every(lambda t: {"bbox": [str(v) for v in t["bbox"]]}))
    with pytest.raises(UserError, match=r"has the box \['.*, in which numbers are text; write"):
        prepare_dataset(name)
