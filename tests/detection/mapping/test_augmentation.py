"""Large-scale jitter: one size, Detectron2's pixels, and boxes that bound what is left of masks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import transforms as T
from PIL import Image

from robust_det.core.seeding import seeded
from robust_det.detection.mapping.augmentation import large_scale_jitter
from robust_det.detection.mapping.mapper import build_mapper

NO_MASKS = ("MODEL.MASK_ON", "False")


def tight(mask: Any) -> list[Any]:
    rows, columns = np.nonzero(mask.numpy())
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_size_masks_and_boxes(draw: Callable[..., Any], jitter: Any) -> None:
    fewer, sides = 0, set()
    for mapped in draw(LSJ=jitter):
        instances = mapped["instances"]
        assert mapped["image"].shape == (3, 80, 80) and mapped["image"].dtype == torch.uint8
        assert instances.image_size == (80, 80)
        assert {"file_name", "image_id", "height", "width"} <= set(mapped)
        masks = instances.gt_masks.tensor
        assert masks.shape[1:] == (80, 80)
        for mask, box in zip(masks, instances.gt_boxes.tensor, strict=True):
            assert box.tolist() == tight(mask)
        # grey alone is padding, and no object reaches into it
        padding = (mapped["image"] == 128).all(dim=0)
        sides.add(int((~padding).any(dim=0).sum()))
        assert not masks.any() or not (masks.any(dim=0) & padding).float().mean() > 0.01
        fewer += len(instances) == 0
    assert len(sides) > 5 and min(sides) < 50 and max(sides) == 80
    assert fewer < 6


def test_pixels_are_those_of_detectron2s_transforms(load: Callable[..., Any], jitter: Any) -> None:
    cfg, images = load(NO_MASKS, LSJ=jitter)
    stock = T.AugmentationList(
        [T.ResizeScale(0.3, 2.0, 80, 80), T.FixedSizeCrop((80, 80)), T.RandomFlip()]
    )
    mapper = build_mapper(cfg, images)
    for seed, image in enumerate(images):
        with seeded(seed):
            mapped = mapper(image)
        with seeded(seed):
            inputs = T.AugInput(np.asarray(Image.open(image["file_name"]).convert("RGB")))
            stock(inputs)
        np.testing.assert_array_equal(mapped["image"].permute(1, 2, 0).numpy(), inputs.image)


def test_boxes_without_masks(draw: Callable[..., Any], jitter: Any) -> None:
    for mapped in draw(NO_MASKS, LSJ=jitter):
        boxes = mapped["instances"].gt_boxes.tensor
        assert not mapped["instances"].has("gt_masks")
        assert ((boxes >= 0) & (boxes <= 80)).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_the_flip_is_the_configs(load: Callable[..., Any], jitter: Any) -> None:
    for flip, kinds in (("none", []), ("vertical", ["vertical"])):
        cfg, _ = load(RANDOM_FLIP=flip, LSJ=jitter)
        flips = [a for a in large_scale_jitter(cfg) if isinstance(a, T.RandomFlip)]
        assert [("vertical" if f.vertical else "horizontal") for f in flips] == kinds


def test_run_lengths_are_cut_and_padded_like_polygons(
    load: Callable[..., Any], run_lengths: Any, jitter: Any
) -> None:
    """Detectron2's FixedSizeCrop makes the padding a part of such masks, from version 0.6 on."""
    drawn = []
    for overrides in ((), ["DATASETS.TRAIN", f"['{run_lengths}']"]):
        cfg, images = load(overrides, LSJ=jitter)
        mapper, results = build_mapper(cfg, images), {}
        for image in images:
            with seeded(image["image_id"]):
                results[image["image_id"]] = mapper(image)
        drawn.append(results)
    polygons, encoded = drawn
    compared = 0
    for mapped in encoded.values():
        masks = mapped["instances"].gt_masks.tensor
        known = polygons[mapped["image_id"]]["instances"]
        for mask, box in zip(masks, mapped["instances"].gt_boxes.tensor, strict=True):
            assert box.tolist() == tight(mask)
            if mask.sum() < 60:  # rounding is all there is to such small ones
                continue
            others = known.gt_masks.tensor
            overlap = (mask & others).flatten(1).sum(1) / (mask | others).flatten(1).sum(1)
            assert overlap.max() > 0.75
            compared += 1
    assert compared > 10


def test_self_crossing_polygons_keep_all_parts(load: Callable[..., Any], jitter: Any) -> None:
    cfg, images = load(LSJ={**jitter, "MIN_SCALE": 1.2, "MAX_SCALE": 1.2}, RANDOM_FLIP="none")
    image = images[0]
    # an hourglass
    image["annotations"] = [
        {
            **image["annotations"][0],
            "bbox": [30, 30, 30, 30],
            "segmentation": [[30.0, 30.0, 60.0, 30.0, 30.0, 60.0, 60.0, 60.0]],
            "iscrowd": 0,
        }
    ]
    (mask,) = build_mapper(cfg, images)(image)["instances"].gt_masks.tensor
    left, top, right, bottom = tight(mask)
    middle = (top + bottom) // 2
    upper, lower = mask[top:middle].sum(), mask[middle:bottom].sum()
    assert right - left == pytest.approx(30, abs=2)
    assert float(upper / lower) == pytest.approx(1, abs=0.25)


def test_padding_has_no_semantic_label(
    load: Callable[..., Any], jitter: Any, tmp_path: Path
) -> None:
    cfg, images = load(LSJ={**jitter, "MIN_SCALE": 0.5, "MAX_SCALE": 0.5})
    Image.new("L", (96, 96), 3).save(tmp_path / "labels.png")
    image = {**images[0], "sem_seg_file_name": str(tmp_path / "labels.png")}
    labels, counts = build_mapper(cfg, images)(image)["sem_seg"].unique(return_counts=True)
    assert (labels.tolist(), counts.tolist()) == ([3, 255], [1600, 4800])


@pytest.mark.parametrize("size", [(400, 3), (3, 400)])
def test_a_very_long_image(
    size: Any, load: Callable[..., Any], jitter: Any, tmp_path: Path
) -> None:
    cfg, images = load(NO_MASKS, LSJ={**jitter, "MIN_SCALE": 0.1, "MAX_SCALE": 0.1})
    Image.new("RGB", size, "white").save(tmp_path / "long.png")
    image = {
        **images[0],
        "file_name": str(tmp_path / "long.png"),
        "width": size[0],
        "height": size[1],
        "annotations": [],
    }
    mapped = build_mapper(cfg, images)(image)
    assert (mapped["image"] == 255).sum() == 3 * 8
    assert len(mapped["instances"]) == 0


def test_an_image_of_crowds_alone(load: Callable[..., Any], jitter: Any) -> None:
    cfg, images = load(LSJ=jitter)
    for annotation in images[0]["annotations"]:
        annotation["iscrowd"] = 1
    instances = build_mapper(cfg, images)(images[0])["instances"]
    assert len(instances) == 0 and instances.gt_boxes.tensor.shape == (0, 4)
