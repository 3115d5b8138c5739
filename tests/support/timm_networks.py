"""timm's own networks, which ours are compared with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

__all__ = ["features_of_timm", "unsettled"]

_STRIDES = {4: "res2", 8: "res3", 16: "res4", 32: "res5"}


def unsettled(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give vectors, as those of norms and layer scales are, values that matter."""
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.dim() == 1:
                low, high = (0.5, 1.5) if name.endswith(("weight", "var", "gamma")) else (-0.3, 0.3)
                tensor.uniform_(low, high, generator=noise)
            elif tensor.dim() and tensor.numel() == max(tensor.shape):  # GRN's, and gains
                tensor.uniform_(0.5, 1.5, generator=noise)
    return network.eval()


def features_of_timm(name: str, state: dict[str, torch.Tensor]) -> Any:
    """Return what computes res2 .. res5 by timm's ``features_only``, in eval mode.

    Args:
        name: timm's.
        state: of the classifier; its first tensors are those of the features, whose names timm
            changes for some.
    """
    timm = pytest.importorskip("timm")
    network = timm.create_model(name, features_only=True).eval()
    own = network.state_dict()
    # by order and shape; but for the end of a last stage, nothing comes between
    values = dict(zip(own, state.values(), strict=False))
    assert {n: t.shape for n, t in values.items()} == {n: t.shape for n, t in own.items()}
    network.load_state_dict(values)

    def features(images: torch.Tensor) -> dict[str, torch.Tensor]:
        stages = zip(network.feature_info.reduction(), network(images), strict=True)
        return {_STRIDES[stride]: stage for stride, stage in stages if stride in _STRIDES}

    return features
