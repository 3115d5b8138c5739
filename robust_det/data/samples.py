"""Images on which networks are compared: random ones, and photographs that come along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

__all__ = ["photographs", "random_images"]

_PHOTOGRAPHS = Path(__file__).parent / "photographs"


def random_images(size: int = 128, seed: int = 0) -> torch.Tensor:
    """Return four RGB images (4, 3, size, size) in [0, 1]: two smooth ones, and plain noise."""
    noise = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(
        torch.rand(2, 3, 8, 8, generator=noise), size=(size, size), mode="bilinear"
    )
    return torch.cat([smooth, torch.rand(2, 3, size, size, generator=noise)])


def photographs() -> torch.Tensor:
    """Return three real RGB photographs (3, 3, 160, 160) in [0, 1]."""
    pixels = [np.asarray(Image.open(f).convert("RGB")) for f in sorted(_PHOTOGRAPHS.glob("*.jpg"))]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255
