"""From a config to what is done to training images, and to batches of them."""

from __future__ import annotations

from robust_det.classification.methods import METHODS
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.data.classification.crops import Transform, train_transform
from robust_det.data.classification.further import further_steps
from robust_det.data.classification.mixing import Mixing

__all__ = ["augmentation", "check_augmentation", "mixing_of"]

_MAGNITUDES = 30  # torchvision's largest


def augmentation(cfg: CfgNode, downscale: int = 0) -> Transform:
    """Return the config's augmentation of an image; see :func:`.crops.train_transform`."""
    data = cfg.DATA
    low, high = data.CROP_SCALE
    operations, magnitude = data.RAND_AUGMENT
    return train_transform(
        data.IMAGE_SIZE,
        (low, high),
        data.FLIP,
        data.COLOR_JITTER,
        exact=data.EXACT_DECODE,
        downscale=downscale,
        further=further_steps((operations, magnitude), data.LIGHTING, data.RANDOM_ERASING),
    )


def mixing_of(cfg: CfgNode, classes: int) -> Mixing | None:
    """Return what mixes a batch, for a network of so many outputs; None where nothing does."""
    data = cfg.DATA
    if data.MIXUP == 0 and data.CUTMIX == 0:
        return None
    return Mixing(data.MIXUP, data.CUTMIX, classes)


def check_augmentation(cfg: CfgNode) -> None:
    """Refuse an augmentation that cannot be, or that the training makes no sense of.

    Raises:
        UserError: says which key.
    """
    data, batch = cfg.DATA, cfg.TRAIN.BATCH_SIZE
    scale, randomly = data.CROP_SCALE, data.RAND_AUGMENT
    if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
        raise UserError(f"DATA.CROP_SCALE needs two rising numbers in (0, 1], not {scale}")
    if len(randomly) != 2 or any(type(number) is not int for number in randomly):
        raise UserError(
            f"DATA.RAND_AUGMENT needs two whole numbers, operations and magnitude, not {randomly};"
            " the usual ones are [2, 9]"
        )
    operations, magnitude = randomly
    if operations < 0 or not 0 <= magnitude <= _MAGNITUDES:
        raise UserError(
            f"DATA.RAND_AUGMENT {randomly} needs operations from 0, and a magnitude from 0 to"
            f" {_MAGNITUDES}"
        )
    if operations == 0 and magnitude > 0:
        raise UserError(
            f"DATA.RAND_AUGMENT {randomly} has a magnitude and no operation; give [0, 0] for none,"
            f" or [2, {magnitude}]"
        )
    if data.RANDOM_ERASING > 1:
        raise UserError(
            f"DATA.RANDOM_ERASING is the probability that a part is erased, not"
            f" {data.RANDOM_ERASING:g}; give one from 0 to 1, such as 0.25"
        )
    if data.REPEATS > 1 and (batch % data.REPEATS or batch == data.REPEATS):
        raise UserError(
            f"TRAIN.BATCH_SIZE {batch} does not hold two or more images, each DATA.REPEATS"
            f" {data.REPEATS} times; give a multiple of {data.REPEATS} from {2 * data.REPEATS}"
        )
    for key in ("MIXUP", "CUTMIX"):
        if data[key] > 0 and cfg.ATTACK.EPS > 0:
            _check_soft(cfg, f"DATA.{key} {data[key]:g}")


def _check_soft(cfg: CfgNode, mixing: str) -> None:
    """Refuse what soft targets have no meaning for."""
    name, objective = cfg.TRAIN.METHOD, cfg.ATTACK.OBJECTIVE
    if name == "mart":
        raise UserError(
            f"{mixing} makes targets soft, and TRAIN.METHOD mart is defined on one true class an"
            " image; set it to 0, or take another method"
        )
    if objective != "cross_entropy" and "ATTACK.OBJECTIVE" not in METHODS[name].idle:
        raise UserError(
            f"{mixing} makes targets soft, and ATTACK.OBJECTIVE {objective} is of one true class an"
            " image; set it to 0, or ATTACK.OBJECTIVE to cross_entropy"
        )
