"""Detectron2's weights that came from Caffe: torchvision's shapes, but not its networks."""

from __future__ import annotations

import torch

from robust_det.checkpoints.model import Model
from robust_det.core.errors import FileError

__all__ = ["refuse_caffe"]


def refuse_caffe(model: Model) -> None:
    """Refuse what Detectron2's model zoo was trained from, ``MSRA/R-50.pkl`` and the like.

    These ResNets stride in the 1x1 convolutions and take BGR images, which no tensor shows. What
    gives them away is that Caffe folds the statistics of its norms into their scale and shift:
    Detectron2 fills in means of 0 and variances of 1, which fine-tuning keeps at least in the
    stages that are frozen.

    Args:
        model: read from Detectron2's names.

    Raises:
        FileError: it is one.
    """
    for name, mean in model.state.items():
        norm, _, leaf = name.rpartition(".")
        if leaf != "running_mean" or mean.any():
            continue
        # 1, or less the norm's eps, which is added again
        if torch.isclose(model.state[f"{norm}.running_var"], torch.ones(()), atol=1e-4).all():
            raise FileError(
                f"holds a {model.arch} whose norm {norm} never saw an image, as in Detectron2's"
                " model zoo, which came from Caffe: it strides in the 1x1 convolutions and takes"
                " BGR images, unlike torchvision's",
                "take one that started from torchvision's weights",
            )
