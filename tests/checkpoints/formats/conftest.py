"""Files of any size, and networks whose every tensor matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.models import Classifier


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where to put a file of any size: pytest would keep it for three runs."""
    yield tmp_path / "source"
    for left in tmp_path.rglob("*"):
        if left.is_file():
            left.unlink()


@pytest.fixture
def unsettle(randomise: Callable[..., Classifier]) -> Callable[..., Any]:
    """Return a function after which a network has no tensor that its logits do not show."""

    @torch.no_grad()
    def change(network: Any, seed: int = 0) -> Any:
        noise = torch.Generator().manual_seed(seed)
        for name, value in randomise(network, seed).named_parameters():
            # ConvNeXt's, which start so small that its blocks do next to nothing
            if name.endswith(("layer_scale", "gamma")):
                nn.init.uniform_(value, 0.1, 0.5, generator=noise)
            elif value.dim() == 1:
                value.add_(torch.empty_like(value).uniform_(-0.1, 0.1, generator=noise))
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        momenta = [m.momentum for m in norms]
        # statistics near the true ones: with any others, deep networks say the same to all images
        for norm in norms:
            norm.momentum = 1.0
        network.train()(torch.randn(4, 3, 64, 64, generator=noise))
        for i, (norm, momentum) in enumerate(zip(norms, momenta, strict=True)):
            norm.momentum = momentum
            mean, var = norm.running_mean, norm.running_var
            assert mean is not None and var is not None
            mean.add_(var.sqrt() * torch.empty_like(mean).uniform_(-0.2, 0.2, generator=noise))
            var.mul_(torch.empty_like(var).uniform_(0.7, 1.4, generator=noise))
            norm.num_batches_tracked.fill_(100 + i)
        return network.eval()

    return change
