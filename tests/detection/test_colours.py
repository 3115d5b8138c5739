"""The colour of an object says its class, in ground truth and predictions alike."""

from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data.catalog import Metadata
from detectron2.structures import Boxes, BoxMode, Instances

from robust_det.detection.colours import ClassVisualizer, class_colours

NAMES = Metadata(thing_classes=["a", "b", "c"])
BOX = [20, 30, 60, 70]
INSIDE = [[25, 35, 55, 35, 55, 65, 25, 65]]


@pytest.fixture
def dark() -> Any:
    return np.zeros((100, 100, 3), np.uint8)


def prediction(number: Any) -> Any:
    found = Instances((100, 100), pred_boxes=Boxes(torch.tensor([BOX]).float()))
    found.scores, found.pred_classes = torch.tensor([0.9]), torch.tensor([number])
    found.pred_masks = torch.zeros(1, 100, 100, dtype=torch.bool)
    found.pred_masks[0, 35:65, 25:55] = True
    return found


def truth(number: Any) -> dict[Any, Any]:
    thing = {"bbox": BOX, "bbox_mode": BoxMode.XYXY_ABS, "category_id": number}
    return {"annotations": [{**thing, "segmentation": INSIDE}]}


@pytest.mark.parametrize("number", range(3))
def test_ground_truth_and_predictions_have_the_colour_of_the_class(dark: Any, number: Any) -> None:
    drawn = [
        ClassVisualizer(dark, NAMES, 2.0).draw_instance_predictions(prediction(number)),
        ClassVisualizer(dark, NAMES, 2.0).draw_dataset_dict(truth(number)),
    ]
    for canvas in drawn:
        # of a mask at half opacity
        half = np.array(class_colours(3)[number]) / 2
        np.testing.assert_allclose(canvas.get_image()[110, 80], half, atol=2)


def test_colours_are_those_of_the_class_number_alone() -> None:
    few, many = class_colours(3), class_colours(20)
    assert many[:3] == few == [(255, 77, 77), (77, 129, 255), (181, 255, 77)]
    assert len(set(many)) == 20
    assert min(max(colour) for colour in many) == 255


def test_the_same_picture_twice(dark: Any) -> None:
    once, again = (
        ClassVisualizer(dark, NAMES, 2.0).draw_dataset_dict(truth(1)).get_image() for _ in range(2)
    )
    assert np.array_equal(once, again) and once.any()


@pytest.mark.parametrize("number", range(3))
def test_lines_are_seen_on_any_colour(number: int) -> None:
    """On a ground of the line's own colour its dark border shows, on black the line itself."""
    for ground in (class_colours(3)[number], (255, 255, 255), (0, 0, 0)):
        image = np.full((100, 100, 3), ground, np.uint8)
        bare = {k: v for k, v in truth(number)["annotations"][0].items() if k != "segmentation"}
        drawn = ClassVisualizer(image, NAMES, 4.0).draw_dataset_dict({"annotations": [bare]})
        across = drawn.get_image()[200, 60:100].astype(int)  # from left over the box's side at 80
        contrast = abs(across - np.array(ground)).max(axis=1)
        assert contrast.max() > 150
        assert contrast[0] == 0  # beside it nothing is drawn
