"""Which bits DATA.EXACT_DECODE chooses: those of training, never those of validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from robust_det.classification.image_sets import image_sets
from robust_det.classification.settings import load_config, pretrain_defaults
from robust_det.data.classification.image_list import Corrupt, ImageList


def images_of(data: ImageList) -> list[torch.Tensor]:
    samples = [data[0, i] for i in range(len(data))]
    return [sample[0] for sample in samples if not isinstance(sample, Corrupt)]


def test_only_training_jpegs_depend_on_it(tiny: Path) -> None:
    sets = {}
    for exact in ("true", "false"):
        # a crop of this size is decoded at a half, which no rounding hides
        cfg = load_config(str(tiny), ["DATA.IMAGE_SIZE", "8", "DATA.EXACT_DECODE", exact])
        train, val = image_sets(cfg).train, image_sets(cfg).val
        sets[exact] = (images_of(train), images_of(val))
    jpeg = [train.path(i).endswith("jpg") for i in range(len(train))]
    same = [torch.equal(a, b) for a, b in zip(sets["true"][0], sets["false"][0], strict=True)]
    assert all(same[i] for i in range(len(train)) if not jpeg[i])
    assert np.mean([same[i] for i in range(len(train)) if jpeg[i]]) < 0.2
    assert all(torch.equal(a, b) for a, b in zip(sets["true"][1], sets["false"][1], strict=True))


def test_fast_is_the_default() -> None:
    assert pretrain_defaults().DATA.EXACT_DECODE is False
