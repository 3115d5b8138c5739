"""Pictures of a report: which images are drawn, and what is counted in them, by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from detectron2.structures import Boxes, BoxMode, Instances

from robust_det.detection.evaluation.picture_choice import choose_images, found_and_false


def image(name: str, *classes: int) -> dict[str, Any]:
    return {"file_name": name, "annotations": [{"category_id": c} for c in classes]}


def test_each_class_is_seen_and_the_order_of_the_data_makes_no_difference() -> None:
    dicts = [
        image("a", 0, 0, 0),
        image("b", 0),
        image("c", 0, 1, 1),
        image("d"),
        image("e", 2),
        image("f", 2, 3),
    ]
    chosen = [d["file_name"] for d in choose_images(dicts, 2)]
    assert chosen == ["f", "c"]  # two classes in two objects, then the other two
    assert [d["file_name"] for d in choose_images(dicts[::-1], 2)] == chosen
    # then anew: of the images left none has more than one class
    assert [d["file_name"] for d in choose_images(dicts, 9)] == ["f", "c", "b", "e", "a"]
    assert [d["file_name"] for d in choose_images([image("y"), image("x")], 1)] == ["x"]
    stuff = [{"file_name": "2"}, {"file_name": "1"}]
    assert [d["file_name"] for d in choose_images(stuff, 5)] == ["1", "2"]


def thing(x: float, category: int = 0, **marks: int) -> dict[str, Any]:
    return {
        "bbox": [x, 0, 10, 10],
        "bbox_mode": BoxMode.XYWH_ABS,
        "category_id": category,
        **marks,
    }


def detections(*found: tuple[float, int, float]) -> Instances:
    boxes = [[x, 0, x + 10, 10] for x, _, _ in found]
    return Instances(
        (100, 100),
        pred_boxes=Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)),
        pred_classes=torch.tensor([c for _, c, _ in found], dtype=torch.int64),
        scores=torch.tensor([s for _, _, s in found]),
    )


@pytest.mark.parametrize(
    ("things", "found", "counts"),
    [
        ([thing(0), thing(50)], [(0, 0, 0.9)], (2, 1, 0)),
        ([thing(0)], [(0, 1, 0.9)], (1, 0, 1)),  # of another class
        ([thing(0)], [(3, 0, 0.9), (0, 0, 0.8)], (1, 1, 1)),  # IoU 0.54, and one too many
        ([thing(0)], [(4, 0, 0.9)], (1, 0, 1)),  # IoU 0.43
        ([thing(0, iscrowd=1)], [(0, 0, 0.9)], (0, 0, 0)),
        ([thing(0, difficult=1), thing(50)], [(0, 0, 0.9), (1, 0, 0.8)], (1, 0, 0)),
        ([thing(0)], [], (1, 0, 0)),
        ([], [(0, 0, 0.6)], (0, 0, 1)),
    ],
)
def test_found_and_false_by_hand(
    things: list[Any], found: list[Any], counts: tuple[int, int, int]
) -> None:
    assert found_and_false(things, detections(*found)) == counts
