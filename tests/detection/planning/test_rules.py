"""The rules of a plan, over sizes of data and machines."""

import itertools
from dataclasses import replace

import pytest

from robust_det.detection.finetuning.epochs import usual_epochs
from robust_det.detection.planning.rules import Machine, choose, too_few
from robust_det.detection.planning.sizes import Sizes

CPU = Machine("cpu", bf16=True)
H100 = Machine("cuda", 8, 80.0, True)
SMALL_GPU = Machine("cuda", 1, 8.0, False)


def sizes(images: int, **other: float) -> Sizes:
    return replace(Sizes(images, 10 * images, 480.0, 640.0, 60.0), **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("images", "machine"),
    list(itertools.product([1, 2, 7, 50, 364, 5_000, 118_287, 10**6], [CPU, H100, SMALL_GPU])),
)
def test_every_plan_is_sound(images: int, machine: Machine) -> None:
    choice = choose(sizes(images), machine)
    keys = {key: value for key, (value, _) in choice.keys.items()}
    batch, iterations = keys["SOLVER.IMS_PER_BATCH"], keys["SOLVER.MAX_ITER"]
    assert batch % machine.gpus == 0 and 1 <= batch <= 16
    assert choice.epochs == pytest.approx(iterations * batch / images)
    # far from what is warned of; a batch on eight GPUs may be more images than there are
    assert choice.epochs <= 101 or images < machine.gpus
    assert all(0 < step < iterations for step in keys["SOLVER.STEPS"])
    assert keys["SOLVER.STEPS"] == sorted(set(keys["SOLVER.STEPS"]))
    assert 0 <= keys["SOLVER.WARMUP_ITERS"] < iterations
    assert 0 < keys["SOLVER.CHECKPOINT_PERIOD"] <= max(iterations, 1)
    assert 0 < keys["SOLVER.BASE_LR"] <= 0.02
    assert keys["INPUT.MIN_SIZE_TEST"] <= keys["INPUT.MAX_SIZE_TEST"]
    assert max(keys["INPUT.MIN_SIZE_TRAIN"]) == keys["INPUT.MIN_SIZE_TEST"]


def test_coco_on_eight_gpus_is_its_1x_schedule() -> None:
    choice = choose(sizes(118_287, outlined=1.0), H100)
    keys = {key: value for key, (value, _) in choice.keys.items()}
    # Detectron2's: 90,000 iterations of 16 images at 0.02, 640 to 800 pixels
    assert keys["SOLVER.MAX_ITER"] == pytest.approx(90_000, rel=0.02)
    assert (keys["SOLVER.IMS_PER_BATCH"], keys["SOLVER.BASE_LR"]) == (16, 0.02)
    assert keys["INPUT.MIN_SIZE_TRAIN"] == [640, 672, 704, 736, 768, 800]
    assert (keys["INPUT.MIN_SIZE_TEST"], keys["INPUT.MAX_SIZE_TEST"]) == (800, 1333)
    assert keys["MODEL.MASK_ON"] is True and choice.base == "base_rcnn_fpn.yaml"


def test_voc_is_seen_about_as_often_as_published() -> None:
    # 18,000 iterations of 16 of its 16,551 images
    assert usual_epochs(16_551, "cuda", 16) == pytest.approx(18_000 * 16 / 16_551, rel=0.15)


def test_the_more_images_the_more_iterations_and_the_fewer_epochs() -> None:
    for device, batch in (("cpu", 4), ("cuda", 16)):
        epochs = [usual_epochs(n, device, batch) for n in range(1, 200_000, 997)]
        assert epochs == sorted(epochs, reverse=True)
        counts = [e * n for e, n in zip(epochs, range(1, 200_000, 997), strict=True)]
        assert all(b >= a - 1e-6 for a, b in itertools.pairwise(counts))


def test_small_sets_take_minutes_on_a_cpu() -> None:
    for images in (50, 364):
        assert choose(sizes(images), CPU).keys["SOLVER.MAX_ITER"][0] <= 1100


def test_small_objects_get_larger_images_and_smaller_anchors() -> None:
    usual, small = (choose(sizes(1000, object_side=side), CPU) for side in (60.0, 12.0))
    size = "INPUT.MIN_SIZE_TEST"
    assert (usual.keys[size][0], small.keys[size][0]) == (256, 480)
    tiny = choose(sizes(1000, object_side=6.0), CPU)
    anchors = "MODEL.ANCHOR_GENERATOR.SIZES"
    assert tiny.keys[anchors][0][0] == [8] and anchors not in usual.keys


def test_small_images_are_not_blown_up() -> None:
    for machine in (CPU, H100):
        keys = choose(sizes(1000, short=48.0, long=64.0, object_side=12.0), machine).keys
        assert keys["INPUT.MIN_SIZE_TEST"][0] <= 96


def test_what_is_given_moves_what_follows_from_it() -> None:
    choice = choose(sizes(1000), CPU, {"SOLVER.IMS_PER_BATCH": 2, "SOLVER.ACCUMULATE": 4})
    assert "SOLVER.IMS_PER_BATCH" not in choice.keys
    # eight images an update: twice the usual rate, and half the iterations
    usual = choose(sizes(1000), CPU)
    assert choice.keys["SOLVER.BASE_LR"][0] == 2 * usual.keys["SOLVER.BASE_LR"][0]
    assert choice.keys["SOLVER.MAX_ITER"][0] * 2 == usual.keys["SOLVER.MAX_ITER"][0]
    short = choose(sizes(1000), CPU, {"SOLVER.MAX_ITER": 10})
    assert short.keys["SOLVER.STEPS"][0] == [7, 9] and short.keys["SOLVER.WARMUP_ITERS"][0] == 1


def test_masks_are_learnt_where_every_object_has_one() -> None:
    for share, masks in ((0.0, False), (0.95, False), (1.0, True)):
        choice = choose(sizes(100, outlined=share), CPU)
        assert choice.keys["MODEL.MASK_ON"][0] is masks
    assert "95%" in choose(sizes(100, outlined=0.95), CPU).keys["MODEL.MASK_ON"][1]


def test_a_test_set_that_tells_little_is_warned_of() -> None:
    assert "AP over 5 images with 8 objects means nothing" in too_few(5, 8)
    assert "AP over 1 image with 1 object means nothing" in too_few(1, 1)
    assert "AP over 32 images with 58 objects is uncertain" in too_few(32, 58)
    assert too_few(50, 60) == ""
