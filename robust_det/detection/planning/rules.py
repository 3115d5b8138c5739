"""The rules by which a schedule is chosen, and their reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robust_det.core.errors import counted
from robust_det.detection.finetuning.epochs import usual_epochs
from robust_det.detection.planning.sizes import Sizes

__all__ = ["Choice", "Machine", "choose", "too_few"]

_CPU_BATCH = 4
# GiB of GPU memory that an image of 800 x 1333 takes, with a ResNet-50 and its gradients
_GIB_AN_IMAGE = 2.0
# what a detector of these configs finds well: the smallest of its anchors, in pixels
_SMALLEST = {"cpu": 16, "cuda": 32}
# images to test on, below which an AP means nothing, and below which its interval is wide
_NOTHING, _FEW = 10, 50


@dataclass(frozen=True)
class Machine:
    """What trains.

    Attributes:
        device: ``cpu`` or ``cuda``.
        gpus: how many processes share a batch.
        gib: memory of one GPU.
        bf16: whether it computes in bfloat16 by itself.
    """

    device: str = "cpu"
    gpus: int = 1
    gib: float = 0.0
    bf16: bool = False


@dataclass(frozen=True)
class Choice:
    """A config that was chosen.

    Attributes:
        base: the config that it stands on.
        keys: dotted, with what each is set to and why.
        epochs: how often each image is seen.
    """

    base: str
    keys: Mapping[str, tuple[Any, str]]
    epochs: float


def choose(
    sizes: Sizes, machine: Machine, given: Mapping[str, Any] | None = None, *, deep: bool = True
) -> Choice:
    """Choose model, image size, batch, learning rate and schedule.

    Args:
        sizes: of the training data.
        machine: that trains.
        given: dotted keys that somebody chose; the others follow from them.
        deep: whether the backbone has ResNet-50's bottleneck blocks or more.
    """
    given = given or {}
    cpu = machine.device == "cpu"
    batch = int(given.get("SOLVER.IMS_PER_BATCH", _batch(sizes, machine)))
    update = batch * int(given.get("SOLVER.ACCUMULATE", 1))
    short, scales, largest = _image_size(sizes, machine)
    iterations = int(
        given.get(
            "SOLVER.MAX_ITER",
            max(
                1, round(usual_epochs(sizes.images, machine.device, update) * sizes.images / update)
            ),
        )
    )
    epochs = iterations * update / sizes.images
    warm_up = min(50 if cpu else 1000, iterations // 10)
    # 0.02 for 16 images, linearly; base_small's small heads stand four times that, but for deep
    # backbones, which take half
    rate = 0.02 * update / 16 if not cpu else (0.0025 if deep else 0.005) * update
    masks = sizes.outlined == 1 and sizes.objects > 0
    steps = sorted({int(iterations * part) for part in (0.7, 0.9)} - {0, iterations})
    share = f"{sizes.outlined:.0%} of the objects have outlines, and all need one"
    why_masks = "all objects have outlines" if masks else share if sizes.outlined else "boxes alone"
    keys: dict[str, tuple[Any, str]] = {
        "MODEL.MASK_ON": (masks, why_masks),
        "INPUT.MIN_SIZE_TRAIN": (
            scales,
            f"shorter side in pixels; that of the images is {sizes.short:.0f} (median)",
        ),
        "INPUT.MAX_SIZE_TRAIN": (largest, "longer side at most, in pixels"),
        "INPUT.MIN_SIZE_TEST": (
            short,
            f"a quarter of the objects is below {sizes.object_side * short / sizes.short:.0f}"
            " pixels at this size",
        ),
        "INPUT.MAX_SIZE_TEST": (largest, "as in training"),
        "SOLVER.IMS_PER_BATCH": (batch, "images an iteration, over all processes"),
        "SOLVER.BASE_LR": (round(rate, 6), f"for {counted(update, 'image')} an update"),
        "SOLVER.MAX_ITER": (iterations, f"{epochs:.3g} epochs of {sizes.images} images"),
        "SOLVER.STEPS": (steps, "iterations at which the learning rate falls to a tenth"),
        "SOLVER.WARMUP_ITERS": (warm_up, "iterations in which the learning rate rises"),
        "SOLVER.CHECKPOINT_PERIOD": (max(iterations // 5, min(iterations, 50)), "iterations"),
        "SOLVER.PRECISION": (
            "bf16" if machine.bf16 else "fp32",
            "this machine computes in it" if machine.bf16 else "bf16 is not faster here",
        ),
        "SOLVER.FUSED": (True, "one call updates all weights"),
    }
    if cpu:
        keys["MODEL.CHANNELS_LAST"] = (True, "faster on CPUs")
    if masks:
        keys["INPUT.MASK_FORMAT"] = ("bitmask", "reads polygons and run-length masks alike")
    smallest = sizes.object_side * short / sizes.short
    if smallest < 0.75 * _SMALLEST[machine.device]:
        anchors = [[_SMALLEST[machine.device] * 2**level // 2] for level in range(5)]
        keys["MODEL.ANCHOR_GENERATOR.SIZES"] = (anchors, "half the usual, for small objects")
    base = "base_small.yaml" if cpu else "base_rcnn_fpn.yaml"
    return Choice(base, {k: v for k, v in keys.items() if k not in given}, epochs)


def too_few(images: int, objects: int) -> str:
    """Return what to say of a test set that tells little; empty if it is large enough."""
    if images >= _FEW:
        return ""
    tested = f"{counted(images, 'image')} with {counted(objects, 'object')}"
    if images < _NOTHING:
        return (
            f"AP over {tested} means nothing: which images they happen to be decides; annotate"
            " more, or test on a larger part (robust-det split --fraction 0.5)"
        )
    return (
        f"AP over {tested} is uncertain by several points; robust-det compare --significance gives"
        " its interval"
    )


def _batch(sizes: Sizes, machine: Machine) -> int:
    """Return the images of a batch: 16 as for COCO where memory holds them, few of a small set."""
    if machine.device == "cpu":
        return max(1, min(_CPU_BATCH, sizes.images // 4))
    fitting = max(1, int(machine.gib // _GIB_AN_IMAGE))
    each = max(1, min(fitting, 16 // machine.gpus, sizes.images // (4 * machine.gpus)))
    # a power of two, as every published schedule has
    return machine.gpus * 2 ** (each.bit_length() - 1)


def _image_size(sizes: Sizes, machine: Machine) -> tuple[int, list[int], int]:
    """Return the shorter side in tests, those in training, and the largest longer side.

    On a GPU 800, on a CPU 256; more where that leaves small objects below the smallest anchor, up
    to the images' own size on a CPU (480 at most) and to 1200 on a GPU; not more than twice the
    images' own, as enlarging adds no detail.
    """
    cpu = machine.device == "cpu"
    usual, most = (256, 480) if cpu else (800, 1200)
    wanted = _SMALLEST[machine.device] * sizes.short / max(sizes.object_side, 1.0)
    ceiling = max(usual, min(most, sizes.short if cpu else 2 * sizes.short))
    side = min(max(usual, wanted), ceiling, 2 * sizes.short)
    short = max(64, 32 * round(side / 32))
    least = 0.94 if cpu else 0.8  # as base_small and Detectron2 have it
    scales = list(range(32 * round(short * least / 32), short + 1, 32))
    if cpu:
        scales = sorted({int(short * least) // 16 * 16, short})
    shape = min(max(sizes.long / sizes.short, 5 / 3), 3.0)
    return short, scales, round(short * shape)
