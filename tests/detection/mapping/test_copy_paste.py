"""Copy-paste: what is pasted, what is left of what is below, and where the pixels come from."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances
from hypothesis import given, settings
from hypothesis import strategies as st

from robust_det.core.seeding import seeded
from robust_det.detection.mapping.copy_paste import CopyPaste, paste
from robust_det.detection.mapping.mapper import TrainingMapper, build_mapper

ALWAYS = {"PROB": 1.0, "OBJECTS": 1.0}


def objects_of(masks: Any, first_class: Any) -> Any:
    """Instances with these masks and classes counted from the first one."""
    instances = Instances((9, 11))
    instances.gt_masks = BitMasks(torch.from_numpy(masks))
    instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
    instances.gt_classes = torch.arange(first_class, first_class + len(masks))
    return instances


def scene(value: Any, instances: Any) -> dict[Any, Any]:
    """What a mapper gives of an image of one value."""
    return {
        "file_name": f"{value}.png",
        "image": torch.full((3, 9, 11), value, dtype=torch.uint8),
        "sem_seg": torch.full((9, 11), value),
        "instances": instances,
    }


def random_masks(seed: Any, count: Any) -> Any:
    """Rectangles of any size, so that some hide others wholly and some in part."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, 9, 11), bool)
    for mask in masks:
        top, left = rng.integers(0, (8, 10))
        mask[top : top + rng.integers(1, 9), left : left + rng.integers(1, 11)] = True
    return masks


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 6))
def test_what_pasting_leaves(seed: Any, below: Any, above: Any) -> None:
    under, over = random_masks(seed, below), random_masks(seed + 1, above)
    onto, source = scene(0, objects_of(under, 10)), scene(1, objects_of(over, 50))
    mixed = paste(onto, source, source["instances"])
    assert mixed.keys() == onto.keys() and mixed["file_name"] == "0.png"

    covered, result = over.any(0), mixed["instances"]
    np.testing.assert_array_equal(mixed["image"].numpy(), np.broadcast_to(covered, (3, 9, 11)))
    np.testing.assert_array_equal(mixed["sem_seg"].numpy(), covered)
    visible = [m & ~covered for m in under]
    masks = [m for m in visible if m.any()] + list(over)
    classes = [10 + i for i, m in enumerate(visible) if m.any()] + [50 + i for i in range(above)]
    np.testing.assert_array_equal(result.gt_masks.tensor.numpy(), np.stack(masks))
    assert result.gt_classes.tolist() == classes
    for mask, box in zip(masks, result.gt_boxes.tensor, strict=True):
        rows, columns = np.nonzero(mask)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    # nothing that was given has changed
    assert onto["image"].sum() == 0 and onto["instances"].gt_masks.tensor.sum() == under.sum()


def test_onto_an_image_without_objects() -> None:
    empty = Instances((9, 11))  # as Detectron2 makes it: without masks
    empty.gt_boxes, empty.gt_classes = Boxes(torch.zeros(0, 4)), torch.zeros(0, dtype=torch.int64)
    masks = random_masks(0, 2)
    mixed = paste(scene(0, empty), scene(1, objects_of(masks, 4)), objects_of(masks, 4))
    assert mixed["instances"].gt_classes.tolist() == [4, 5]


def test_objects_of_another_image_are_added(draw: Callable[..., Any], jitter: Any) -> None:
    alone, pasted = draw(LSJ=jitter), draw(LSJ=jitter, COPY_PASTE=ALWAYS)
    more = 0
    for before, after in zip(alone, pasted, strict=True):
        # the image below was drawn alike
        assert before["file_name"] == after["file_name"]
        changed = (before["image"] != after["image"]).any(dim=0)
        masks = after["instances"].gt_masks.tensor
        assert masks.flatten(1).any(dim=1).all()
        assert not (changed & ~masks.any(dim=0)).any()  # pixels come with their masks
        more += len(after["instances"]) > len(before["instances"])
        assert {"gt_boxes", "gt_classes", "gt_masks"} == set(after["instances"].get_fields())
    assert more > len(alone) / 2


def test_how_often_and_how_many(
    draw: Callable[..., Any], load: Callable[..., Any], jitter: Any
) -> None:
    alone = draw(LSJ=jitter)

    def changed(**keys: Any) -> Any:
        drawn = draw(LSJ=jitter, COPY_PASTE=keys)
        pairs = zip(alone, drawn, strict=True)
        return sum(not torch.equal(a["image"], b["image"]) for a, b in pairs)

    assert changed(PROB=1.0, OBJECTS=0.0) == 0
    assert changed(PROB=1.0, OBJECTS=1.0) > 20
    assert 5 < changed(PROB=0.5, OBJECTS=1.0) < 19
    cfg, images = load(LSJ=jitter, COPY_PASTE={"PROB": 0.0})
    assert type(build_mapper(cfg, images)) is TrainingMapper


def test_crowds_are_never_pasted(load: Callable[..., Any], run_lengths: Any, jitter: Any) -> None:
    cfg, images = load(["DATASETS.TRAIN", f"['{run_lengths}']"], LSJ=jitter, COPY_PASTE=ALWAYS)
    source = copy.deepcopy(images[0])
    for number, annotation in enumerate(source["annotations"]):
        annotation["iscrowd"], annotation["category_id"] = number % 2, 7 - number % 2
    below = {**images[1], "annotations": []}
    mapper = CopyPaste(TrainingMapper(cfg), [source], prob=1.0, share=1.0)
    classes = set()
    for seed in range(10):
        with seeded(seed):
            classes |= set(mapper(below)["instances"].gt_classes.tolist())
    assert classes == {7}  # as crowds would be of class 6


def test_from_an_image_without_objects(load: Callable[..., Any], jitter: Any) -> None:
    cfg, images = load(LSJ=jitter)
    mapper = TrainingMapper(cfg)
    pasting = CopyPaste(mapper, [{**images[0], "annotations": []}], prob=1.0, share=1.0)
    with seeded(4):
        after = pasting(images[1])
    with seeded(4):
        before = mapper(images[1])
    assert torch.equal(before["image"], after["image"])
    assert len(before["instances"]) == len(after["instances"])


def test_the_seed_decides(load: Callable[..., Any], jitter: Any) -> None:
    cfg, images = load(LSJ=jitter, COPY_PASTE={"PROB": 1.0})
    mapper, results = build_mapper(cfg, images), []
    for seed in (1, 1, 2):
        with seeded(seed):
            results.append(mapper(images[0]))
    one, again, other = results
    assert torch.equal(one["image"], again["image"])
    assert torch.equal(one["instances"].gt_masks.tensor, again["instances"].gt_masks.tensor)
    assert not torch.equal(one["image"], other["image"])


def test_the_data_set_stays_as_it_is(load: Callable[..., Any], jitter: Any) -> None:
    cfg, images = load(LSJ=jitter, COPY_PASTE=ALWAYS)
    before, mapper = copy.deepcopy(images), build_mapper(cfg, images)
    for image in images:
        mapper(image)
    assert images == before
