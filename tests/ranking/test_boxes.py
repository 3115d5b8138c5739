from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.ranking.boxes import BACKGROUND, BoxSet, read_boxes

Write = Callable[..., Path]


def read(path: Path, images: int = 500, seed: int = 0, **options: Any) -> BoxSet:
    source = CocoSource(str(path), str(path.parent / "images"))
    return read_boxes({path.parent.name: source}, images=images, seed=seed, **options)


def objects_of(path: Path) -> Counter[tuple[str, tuple[float, ...]]]:
    document = json.loads(path.read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    found = Counter[tuple[str, tuple[float, ...]]]()
    for one in document["annotations"]:
        x, y, w, h = one["bbox"]
        found[names[one["category_id"]], (x, y, x + w, y + h)] += not one["iscrowd"]
    return +found


def in_set(boxes: BoxSet) -> Counter[tuple[str, tuple[float, ...]]]:
    return Counter(
        (boxes.classes[label], tuple(box))
        for image in boxes.images
        for label, box in zip(image.labels, image.boxes.tolist(), strict=True)
        if boxes.classes[label] != BACKGROUND
    )


def test_all_objects_and_as_many_boxes_of_background_at_most(write_coco_file: Write) -> None:
    path = write_coco_file()
    boxes = read(path)
    assert in_set(boxes) == objects_of(path)
    assert boxes.classes[-1] == BACKGROUND and len(boxes.classes) == 9
    for image in boxes.images:
        free = int((image.labels == 8).sum())
        assert free <= len(image.labels) - free
    task = boxes.task
    assert task.groups.tolist() == [n for n, i in enumerate(boxes.images) for _ in i.labels]
    assert task.labels.tolist() == [label for i in boxes.images for label in i.labels]
    assert boxes.notes == ()


def test_crowds_are_no_objects(write_coco_file: Write) -> None:
    def change(document: dict[str, Any]) -> None:
        for one in document["annotations"][::4]:
            one["iscrowd"] = 1

    path = write_coco_file(change)
    boxes = read(path)
    # without classes that one image has alone now
    objects = objects_of(path)
    assert in_set(boxes) == +Counter({k: n for k, n in objects.items() if k[0] in boxes.classes})
    assert sum(in_set(boxes).values()) > 20
    document = json.loads(path.read_text())
    crowds = {}
    for one in document["annotations"]:
        if one["iscrowd"]:
            x, y, w, h = one["bbox"]
            crowds.setdefault(one["image_id"], []).append((x, y, x + w, y + h))
    ids = {image["file_name"]: image["id"] for image in document["images"]}
    looked_at = 0
    for image in boxes.images:
        for x0, y0, x1, y1 in image.boxes[image.labels == len(boxes.classes) - 1]:
            for a, b, c, d in crowds.get(ids[Path(image.file).name], []):
                looked_at += 1
                assert x1 <= a or c <= x0 or y1 <= b or d <= y0
    assert looked_at > 10


def test_a_class_of_one_image_is_left_out_and_said(write_coco_file: Write) -> None:
    def change(document: dict[str, Any]) -> None:
        first = document["images"][0]["id"]
        document["categories"].append({"id": 90, "name": "rare"})
        for one in document["annotations"]:
            if one["image_id"] == first:
                one["category_id"] = 90

    boxes = read(write_coco_file(change))
    assert "rare" not in boxes.classes
    assert boxes.notes == ("1 class with boxes in a single image, such as 'rare', was left out.",)
    assert max(image.labels.max() for image in boxes.images) == len(boxes.classes) - 1


def test_a_draw_of_images_is_by_the_seed_and_said(write_coco_file: Write) -> None:
    path = write_coco_file()
    files = [[i.file for i in read(path, images=8, seed=seed).images] for seed in (0, 0, 1)]
    assert files[0] == files[1] != files[2] and len(files[0]) == 8
    total = len(read(path).images)
    note = f"8 of {total} images with objects were drawn, by seed 0; --images takes more."
    assert note in read(path, images=8).notes


def test_the_digest_is_of_the_boxes_and_the_images(write_coco_file: Write, tmp_path: Path) -> None:
    path = write_coco_file()
    first = read(path)
    before = first.digest
    assert read(path).digest == before
    assert read(path, seed=1).digest != before  # another background
    copy = tmp_path / "changed/copy"
    copy.mkdir()
    images = path.parent / "images"
    for file in images.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    images.unlink()
    copy.rename(images)
    assert read(path).digest == before
    changed = Path(first.images[0].file)
    changed.write_bytes(changed.read_bytes() + b" ")
    assert read(path).digest != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"].clear(), "no annotations|has no boxes|no objects"),
        (
            lambda d: [one.update(iscrowd=1) for one in d["annotations"]],
            r"has no boxes of objects, from which features could be taken",
        ),
    ],
)
def test_nothing_to_learn_is_refused(
    change: Callable[[dict[str, Any]], Any], message: str, write_coco_file: Write
) -> None:
    with pytest.raises(UserError, match=message):
        read(write_coco_file(change))


def test_unsound_data_are_refused_unless_lenient(write_coco_file: Write) -> None:
    def change(document: dict[str, Any]) -> None:
        document["annotations"][0]["bbox"][2] = -3.0

    path = write_coco_file(change)
    with pytest.raises(UserError, match=r"has 1 problem: .*; --lenient does that here"):
        read(path)
    kept = sum(in_set(read(path, lenient=True)).values())
    assert kept == len(json.loads(path.read_text())["annotations"]) - 1


def test_sets_of_other_classes_are_refused(write_coco_file: Write, scenes: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["categories"][0]["name"] = "other"

    path = write_coco_file(change)
    sources = {
        "one": CocoSource(str(scenes / "annotations/instances_train.json"), str(scenes / "train")),
        "two": CocoSource(str(path), str(path.parent / "images")),
    }
    with pytest.raises(UserError, match=r"data sets 'one' and 'two'"):
        read_boxes(sources, images=500, seed=0)


def test_of_crowded_images_some_objects_are_drawn(write_coco_file: Write) -> None:
    def change(document: dict[str, Any]) -> None:
        first = dict(document["annotations"][0])
        first.pop("segmentation", None)
        for number in range(150):
            box = [number % 80, number // 8, 9.0, 9.0]
            entry = {**first, "id": 50_000_000 + number, "bbox": [*map(float, box)], "area": 81.0}
            document["annotations"].append(entry)

    boxes = read(write_coco_file(change))
    most = max(int((image.labels < len(boxes.classes) - 1).sum()) for image in boxes.images)
    assert most == 100
    assert np.isfinite(boxes.images[0].boxes).all()
