"""Detectron2's weights that came from Caffe: torchvision's shapes, but not its networks."""

from __future__ import annotations

import torch

from robust_det.checkpoints.model import Model
from robust_det.errors import UserError

__all__ = ["refuse_caffe"]


def refuse_caffe(model: Model, source: str) -> None:
    """Refuse what Detectron2's model zoo was trained from, ``MSRA/R-50.pkl`` and the like.

    These ResNets stride in the 1x1 convolutions and take BGR images, which no tensor shows. What
    gives them away is that Caffe folds the statistics of its norms into their scale and shift:
    Detectron2's FrozenBatchNorm2d fills in means of 0 and variances of 1, and fine-tuning keeps
    them.

    Args:
        model: read from Detectron2's names.
        source: the file, for messages.

    Raises:
        UserError: it is one.
    """
    means = [t for name, t in model.state.items() if name.endswith(".running_mean")]
    variances = [t for name, t in model.state.items() if name.endswith(".running_var")]
    # 1, or less the norm's eps, which is added again
    filled_in = all(not mean.any() for mean in means) and all(
        bool(torch.isclose(var, torch.ones(()), atol=1e-4).all()) for var in variances
    )
    if means and filled_in:
        raise UserError(
            f"{source} holds a {model.arch} whose norms never saw an image, as those of"
            " Detectron2's model zoo, which came from Caffe: it strides in the 1x1 convolutions"
            " and takes BGR images, unlike torchvision's; take one that started from torchvision's"
            " weights"
        )
