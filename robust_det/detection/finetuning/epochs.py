"""How often a schedule sees each image, and how often is usual."""

from __future__ import annotations

from detectron2.config import CfgNode

__all__ = ["epochs_of", "usual_epochs"]

# COCO's training set, and its 1x schedule: what all else is measured by
_COCO, _EPOCHS_1X = 118_287, 12
# an image seen more often than this teaches nothing new
_MOST_EPOCHS = 100
# updates below which the heads, which start from noise, do not settle; and most of them, which are
# hours of a CPU and the 3x schedule of a GPU
_LEAST, _MOST = {"cpu": 400, "cuda": 1_000}, {"cpu": 20_000, "cuda": 270_000}


def epochs_of(cfg: CfgNode, images: int) -> float:
    """Return how often a run's schedule sees each of its training images."""
    return float(cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE / images)


def usual_epochs(images: int, device: str, batch: int) -> float:
    """Return how often to see each of so many images.

    On GPUs 12 epochs of COCO, and more of fewer images by the fourth root: 20 of VOC's 16,551, 40
    of 1,000; on CPUs 12 of any, or as many as make a least number of updates.

    Args:
        images: to train on, at least 1.
        device: ``cpu`` or ``cuda``.
        batch: images of an update.
    """
    if device == "cuda":
        epochs = _EPOCHS_1X * (_COCO / images) ** 0.25
    else:
        epochs = float(_EPOCHS_1X)
    epochs = min(max(epochs, _LEAST[device] * batch / images), _MOST_EPOCHS)
    return min(epochs, _MOST[device] * batch / images)
