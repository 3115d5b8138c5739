"""Packing keeps what is read of a document to the last digit, and knows what can be learnt."""

import copy
import random
from typing import Any

import numpy as np
import pytest

from robust_det.data.detection.canonical.entries import as_coco
from robust_det.data.detection.checking.checks import check_document
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Report


@pytest.fixture
def pack(scenes: Any) -> Any:
    """Return a function that packs a document."""

    def make(document: Any) -> Any:
        return check_document(document, str(scenes / "val"), Report("x", True), Depth.NAMES)

    return make


def canonical(document: Any) -> Any:
    """What a document of integers is to become."""
    images = sorted(document["images"], key=lambda i: i["id"])
    annotations: list[Any] = []
    for number, image in enumerate(images, 1):
        for a in document["annotations"]:
            if a["image_id"] == image["id"]:
                keys = ("category_id", "bbox", "area", "iscrowd", "segmentation")
                made = {"id": len(annotations) + 1, "image_id": number}
                annotations.append({**made, **{key: a[key] for key in keys}})
    return {
        "images": [{**image, "id": number} for number, image in enumerate(images, 1)],
        "annotations": annotations,
        "categories": [{"id": c["id"], "name": c["name"]} for c in document["categories"]],
    }


def test_the_document_comes_back(document: Any, pack: Any) -> None:
    # values that JSON has not, or that have no place in 64 bits
    document["annotations"][0].update(score=float("nan"), seen=10**30, note="\ud800")
    random.Random(0).shuffle(document["images"])
    random.Random(1).shuffle(document["annotations"])
    before = copy.deepcopy(document)
    packed = pack(document)
    expected, after = canonical(before), packed.document(document["categories"])
    for key in ("images", "annotations", "categories"):
        assert repr(after[key]) == repr(expected[key])
    ids = [entry.image["id"] for entry in packed]
    assert ids == [1, 2, 3, 4, 5, 6] and [entry.image for entry in packed[1:3]] == [
        packed[1].image,
        packed[-4].image,
    ]
    for image, objects, segments in packed:
        mine = [a for a in expected["annotations"] if a["image_id"] == image["id"]]
        assert repr(objects) == repr(mine) and segments is None
    assert [original for _, original in packed.heads()] == sorted(i["id"] for i in before["images"])
    with pytest.raises(IndexError):
        packed[6]


def test_what_can_be_learnt(document: Any, pack: Any) -> None:
    first, second, third, fourth, *_ = document["annotations"]
    first["iscrowd"] = 1
    second["segmentation"] = [[1, 2, 3, 4]]
    third["segmentation"] = {"size": [96, 96], "counts": [0, 96 * 96]}
    fourth.pop("segmentation")
    document["images"][2]["width"] = 97
    packed = pack(document)
    objects = [a for a in document["annotations"] if a not in (first, second)]
    ids = sorted(image["id"] for image in document["images"])
    for number, count, wide in zip(ids, packed.learnable, packed.wide, strict=True):
        assert count == sum(a["image_id"] == number for a in objects)
        assert wide == (number == document["images"][2]["id"])
    classes = [a["category_id"] for a in objects]
    assert packed.of_class == {c: classes.count(c) for c in classes}
    assert packed.masks == "none"


@pytest.mark.parametrize("changed, masks", [({}, "polygon"), ({"iscrowd": 1}, "polygon")])
def test_how_objects_are_outlined(changed: Any, masks: Any, document: Any, pack: Any) -> None:
    runs = {"size": [96, 96], "counts": [0, 96 * 96]}
    document["annotations"][0].update(changed)
    assert pack(document).masks == masks
    document["annotations"][0]["segmentation"] = runs
    # those of crowds do not count
    assert pack(document).masks == (masks if changed else "rle")


def test_images_with_segments(document: Any, pack: Any) -> None:
    packed = pack(document)
    ids = [entry.image["id"] for entry in packed]
    segments = {n: {"file_name": f"{n}.png", "segments_info": [{"id": n}]} for n in ids[1:4]}
    some = packed.with_segments(segments)
    assert [entry.segments for entry in some] == list(segments.values())
    assert [i["file_name"] for i, *_ in some] == [i["file_name"] for i, *_ in packed[1:4]]
    assert [i["id"] for i, *_ in some] == [1, 2, 3]
    assert np.array_equal(some.learnable, packed.learnable[1:4])
    assert sum(some.of_class.values()) == some.learnable.sum()
    left, kept = some.document([]), [original for _, original in packed.heads()][1:4]
    part = {key: [i for i in document["images"] if i["id"] in kept] for key in ("images",)}
    part["annotations"] = [a for a in document["annotations"] if a["image_id"] in kept]
    assert left == canonical({**part, "categories": []})


def test_difficult_objects_are_crowds_to_readers_of_coco(document: Any) -> None:
    first, second, *others = document["annotations"]
    first["difficult"], second["difficult"] = 1, 0
    made = as_coco(document)["annotations"]
    assert made[0] == {**{k: v for k, v in first.items() if k != "difficult"}, "iscrowd": 1}
    assert made[1:] == [second, *others] and first["iscrowd"] == 0
