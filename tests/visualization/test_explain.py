"""Maps of boxes against captum's, and the boxes against what the detector itself finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from captum.attr import LayerGradCam, Saliency

from robust_det.attacks import frozen
from robust_det.detection.mapping.decoding import read_image
from robust_det.visualization.box_scores import box_scores
from robust_det.visualization.cam import grad_cam, on_image, share_inside
from robust_det.visualization.detectors import ShownDetector, load_detectors
from robust_det.visualization.explain import OWN, Found, _objects, explain_boxes, find_boxes


def load(config: Path) -> ShownDetector:
    (detector,) = load_detectors([str(config)], torch.device("cpu"))
    return detector


def image_of(scenes: Path, detector: ShownDetector) -> torch.Tensor:
    pixels = read_image(str(min((scenes / "val").glob("*"))), detector.detector.cfg.INPUT.FORMAT)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def scores_of(detector: ShownDetector, image: torch.Tensor) -> Any:
    images = detector.batch(image)
    return box_scores(detector.model, images, detector.features(images))


@pytest.fixture(scope="module", params=["mask", "retinanet", "cascade", "c4"])
def detector(request: pytest.FixtureRequest, make_detector: Callable[..., Path]) -> ShownDetector:
    return load(make_detector(request.param))


def test_each_box_has_the_maps_of_its_own_score(detector: ShownDetector, scenes: Path) -> None:
    image = image_of(scenes, detector)
    wanted = list(detector.stages)[-1:] + [OWN] * bool(detector.levels)
    boxes = explain_boxes(detector, image, find_boxes(detector, image, 0.0)[:3], wanted)
    assert len(boxes) == 3
    height, width = image.shape[1:]
    with torch.no_grad():
        model = detector.model
        found = model([{"image": image, "height": height, "width": width}])[0]["instances"]
        rows = scores_of(detector, image.float())
    for n, box in enumerate(boxes):
        assert torch.equal(box.found.box, found.pred_boxes.tensor[n])
        label = int(found.pred_classes[n])
        assert box.found.label == detector.classes[label]
        assert box.found.score == float(found.scores[n])
        row = rows.row_of(found.pred_boxes.tensor[n], label, box.found.score)

        def logit(x: torch.Tensor, row: int = row, label: int = label) -> torch.Tensor:
            return scores_of(detector, x[0]).logits[row, label][None]

        with frozen(model):
            x = image[None].float().requires_grad_(True)
            gradient = 255 * Saliency(logit).attribute(x, abs=False)[0]
        if detector.detector.cfg.INPUT.FORMAT == "BGR":
            gradient = gradient.flip(0)
        torch.testing.assert_close(box.gradient, gradient, rtol=1e-4, atol=1e-7)
        padded = tuple(detector.batch(image.float()).tensor.shape[2:])
        for name, own in box.maps.items():
            layer = module_of(model, name)
            if layer is None:
                continue
            with frozen(model):
                cam = LayerGradCam(logit, layer).attribute(x, relu_attributions=True)
            expected = on_image(cam.detach()[0, 0], padded, (height, width))
            torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-8)
    # one map for all boxes is what others give
    assert not torch.equal(boxes[0].gradient, boxes[1].gradient)


def module_of(model: Any, name: str) -> Any:
    """Return the module whose output is a layer."""
    backbone = model.backbone
    if name.startswith("res"):
        return backbone.get_submodule(
            f"bottom_up.{name}" if hasattr(backbone, "bottom_up") else name
        )
    return getattr(backbone, f"fpn_output{name[1:]}", None)


def test_a_score_comes_from_one_level_of_the_pyramid(
    make_detector: Callable[..., Path], scenes: Path
) -> None:
    detector = load(make_detector("mask"))
    image = image_of(scenes, detector)
    levels = [name for name in detector.levels if name != "p6"]
    found = find_boxes(detector, image, 0.0)[:3]
    for box in explain_boxes(detector, image, found, levels):
        assert box.own in levels
        # a box is pooled from one level alone
        assert all(not box.maps[name].any() for name in levels if name != box.own)


def test_grad_cam_by_hand() -> None:
    features = torch.tensor([[[1.0, 2.0]], [[4.0, -1.0]]])
    gradient = torch.tensor([[[2.0, 0.0]], [[-1.0, 0.0]]])
    # weights 1 and -0.5: 1 - 2, 2 + 0.5
    assert torch.equal(grad_cam(features, gradient), torch.tensor([[0.0, 2.5]]))


def test_the_share_in_a_box_counts_pixels_whose_centre_is_in_it() -> None:
    values = torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 10.0]])
    assert share_inside(values, torch.tensor([0.0, 0.0, 2.0, 2.0])) == 0.5
    assert share_inside(values, torch.tensor([0.6, 0.0, 3.0, 1.4])) == 0.1
    assert share_inside(torch.zeros(2, 3), torch.tensor([0.0, 0.0, 2.0, 2.0])) is None


def test_an_object_has_the_boxes_of_all_detectors_that_find_it() -> None:
    def box(x: float, score: float, label: str = "cat") -> Found:
        corners = torch.tensor([x, 0.0, x + 0.2, 0.2])
        return Found(100 * corners, corners, 0, label, score)

    found = {
        "a": [box(0.0, 0.9), box(0.3, 0.8), box(0.61, 0.7)],
        # its surest is the third of the other, and what that finds first is its third
        "b": [box(0.6, 0.9), box(0.3, 0.8, "dog"), box(0.01, 0.6)],
    }
    objects = _objects(found, 2)
    assert [one.label for one in objects] == ["cat", "cat", "cat", "dog"]
    assert [one.places for one in objects] == [
        {"a": 0, "b": 2},
        {"a": 1},
        {"b": 0, "a": 2},
        {"b": 1},
    ]
