"""The accuracy of a transferred classifier on the test images, clean and under attack."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from robust_det.classification.per_class.tally import ClassTally
from robust_det.classification.pretrain_record import attack_evaluator
from robust_det.classification.validate import validate
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.models import Classifier
from robust_det.records.pretrain import AttackEvaluator
from robust_det.training.world import World
from robust_det.transfer.sets import TransferSet

__all__ = ["attack_evaluators", "measured", "require_agreement"]

# points of top-1 by which the classifier's file and the head on cached features may differ: folded
# norms and other batches round differently, and turn an image or two in a thousand, in half
# precision one or two in a hundred; and images that may turn however few there are
_ROUNDING, _HALF_ROUNDING, _IMAGES = 0.5, 2.0, 3


def measured(
    cfg: CfgNode, classifier: Classifier, data: TransferSet, device: torch.device, world: World
) -> dict[str, float]:
    """Measure a classifier on all test images, under the config's attack if it has one.

    Returns:
        ``top1`` and ``mean_per_class`` in percent; with an attack ``adversarial_top1`` and
        ``adversarial_mean_per_class``; and ``val_images``, ``attacked_images``, ``corrupt``.
    """
    images = data.images(cfg, "test")
    tally = ClassTally(len(data.classes), device)
    values = validate(cfg, classifier.to(device), images, device, world, tally=tally)
    return {"top1" if name == "clean_top1" else name: value for name, value in values.items()}


def attack_evaluators(cfg: CfgNode, values: Mapping[str, float]) -> list[AttackEvaluator]:
    """Return what the record says of the attack of an evaluation; nothing if there was none."""
    if "adversarial_top1" not in values:
        return []
    return [attack_evaluator(cfg, values)]


def require_agreement(of_file: float, of_features: float, images: float, half: bool) -> None:
    """Refuse a classifier that is not the head which was found.

    Args:
        of_file, of_features: top-1 in percent.
        images: that these are of.
        half: whether passes are in half precision.

    Raises:
        UserError: they differ by more than rounding does.
    """
    rounding = max(_HALF_ROUNDING if half else _ROUNDING, 100 * _IMAGES / images)
    if abs(of_file - of_features) > rounding:
        raise UserError(
            f"the classifier has a top-1 of {of_file:.2f}, and the head on the cached features"
            f" {of_features:.2f}: these are of other images or weights",
            "delete the folder features in the cache, and report it if that does not help",
        )
