from __future__ import annotations

import numpy as np
import torch
from torchvision.ops import box_iou

from robust_det.ranking.background import background_boxes, intersections

SIZE = (200, 100)
OBJECTS = np.array([[10.0, 10, 60, 60], [100, 20, 180, 90]])
CROWDS = np.array([[0.0, 70, 50, 100]])
SHARES = np.array([[0.1, 0.2], [0.25, 0.5], [0.02, 0.9]])
NONE = np.zeros((0, 4))


def test_background_overlaps_objects_little_and_crowds_not_at_all() -> None:
    found = background_boxes(SIZE, 40, SHARES, OBJECTS, CROWDS, np.random.default_rng(0))
    assert len(found) == 40
    overlaps = box_iou(torch.from_numpy(found), torch.from_numpy(OBJECTS))
    assert 0 < overlaps.max() < 0.3
    assert not intersections(found, CROWDS).any()
    assert found.min() >= 0 and (found[:, 2:] <= SIZE).all()


def test_background_has_the_sizes_of_objects() -> None:
    found = background_boxes(SIZE, 200, SHARES, NONE, NONE, np.random.default_rng(0))
    sizes = (found[:, 2:] - found[:, :2]) / SIZE
    counts = np.isclose(sizes[:, None], SHARES).all(2).sum(0)
    assert counts.sum() == 200 and counts.min() > 40


def test_an_image_full_of_objects_has_less_background() -> None:
    whole = np.array([[0.0, 0, *SIZE]])
    large = np.array([[0.9, 0.9]])
    assert background_boxes(SIZE, 5, large, whole, NONE, np.random.default_rng(0)).shape == (0, 4)


def test_intersections_are_torchvision_s() -> None:
    rng = np.random.default_rng(1)
    first, second = (np.sort(rng.random((n, 2, 2)), 1).reshape(n, 4) for n in (7, 5))
    union = [torch.from_numpy(b) for b in (first, second)]
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (first, second)]
    common = intersections(first, second)
    iou = common / (areas[0][:, None] + areas[1] - common)
    np.testing.assert_allclose(iou, box_iou(*union).numpy(), atol=1e-12)
