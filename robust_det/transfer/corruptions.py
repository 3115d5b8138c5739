"""Accuracy under common corruptions (Hendrycks & Dietterich 2019), made by ``imagecorruptions``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from robust_det.classification.validate import validate
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.data.classification.crops import Transform
from robust_det.data.classification.sources import Source
from robust_det.models import Classifier
from robust_det.training.world import World
from robust_det.transfer.sets import TransferSet

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupted_accuracy", "require_corruptions"]

# the 15 of ImageNet-C, without its four extra ones
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
SEVERITIES = range(1, 6)
_SMALLEST = 32  # pixels that the library asks for


def require_corruptions(cfg: CfgNode) -> None:
    """Refuse to begin what could not be measured in the end.

    Raises:
        UserError: the library is not there, or images are too small for it.
    """
    if cfg.TRANSFER.CORRUPTIONS:
        _corrupt()
        if cfg.DATA.IMAGE_SIZE < _SMALLEST:
            raise UserError(
                f"common corruptions are of images of {_SMALLEST} px or more, not of"
                f" DATA.IMAGE_SIZE {cfg.DATA.IMAGE_SIZE}; leave TRANSFER.CORRUPTIONS out"
            )


def corrupted_accuracy(
    cfg: CfgNode, classifier: Classifier, data: TransferSet, device: torch.device, world: World
) -> dict[str, float]:
    """Measure top-1 on the test images under 15 corruptions of 5 severities.

    What is corrupted is the crop that the network sees. Noise is drawn by the seed, the corruption
    and the image.

    Returns:
        ``corrupted_top1`` in percent, the mean over corruptions and severities; and
        ``corrupted_top1-NAME`` of each corruption, the mean over severities.

    Raises:
        UserError: see :func:`require_corruptions`.
    """
    corrupt = _corrupt()
    clean = cfg.clone()
    clean.defrost()
    clean.EVAL.EPS = 0.0
    images = data.images(cfg, "test")
    crop, found = images.transform, dict[str, float]()
    classifier = classifier.to(device)
    total = len(CORRUPTIONS) * len(SEVERITIES)
    with progress_bar(total, "corruptions", "set", world.is_main) as bar:
        for name in CORRUPTIONS:
            values = []
            for severity in SEVERITIES:
                images.transform = _Corrupted(crop, corrupt, name, severity)
                metrics = validate(clean, classifier, images, device, world)
                values.append(metrics["clean_top1"])
                bar.update()
            found[f"corrupted_top1-{name}"] = float(np.mean(values))
    return {"corrupted_top1": float(np.mean([*found.values()])), **found}


# a class, not a closure: workers that are spawned get it pickled
@dataclass
class _Corrupted:
    crop: Transform
    corrupt: Callable[..., Any]
    name: str
    severity: int

    def __call__(self, source: Source) -> torch.Tensor:
        pixels = self.crop(source).permute(1, 2, 0).numpy()
        # the library draws from numpy's own generator; torch's is seeded by the image
        before = np.random.get_state()
        np.random.seed(int(torch.randint(2**31, (1,))))
        try:
            corrupted = self.corrupt(pixels, corruption_name=self.name, severity=self.severity)
        finally:
            np.random.set_state(before)
        # a copy: of Pillow's images the array may not be written
        return torch.from_numpy(np.array(corrupted)).permute(2, 0, 1)


def _corrupt() -> Callable[..., Any]:
    try:
        from imagecorruptions import corrupt
    except ImportError as error:
        raise UserError(
            f"TRANSFER.CORRUPTIONS needs imagecorruptions, which is not there ({error})",
            "pip install --no-deps imagecorruptions-imaug, then pip install scikit-image numba",
        ) from error
    return corrupt  # type: ignore[no-any-return]
