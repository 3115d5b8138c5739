"""The features of a backbone's stages, averaged over positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from robust_det.core.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.classifier import Normalize
from robust_det.models.features import extract_features
from robust_det.representations.given_images import GivenImages
from robust_det.representations.outputs import Outputs, cached_outputs
from robust_det.transfer.features.network import FeatureNetwork
from robust_det.visualization.layers import require_layers
from robust_det.visualization.networks import ShownBackbone

__all__ = ["STEM", "check_grid", "grid_words", "known_layers", "stage_outputs", "stages_of"]

STEM = "stem"


def known_layers(backbone: ShownBackbone) -> tuple[str, ...]:
    """Return what can be asked for: the stem, and the stages.

    Raises:
        UserError: it has no stages.
    """
    architecture = get_architecture(backbone.model.arch)
    architecture.require_stages()
    return (STEM, *(stage.name for stage in architecture.stages))


def stages_of(backbone: ShownBackbone, layers: Sequence[str]) -> tuple[str, ...]:
    """Return the layers of a backbone that are compared, shallow to deep.

    Args:
        backbone: any.
        layers: those that are asked for; all stages if none is.

    Raises:
        UserError: it does not have one of them; names the nearest.
    """
    known = known_layers(backbone)
    require_layers(layers, known, backbone.name)
    return tuple(name for name in known if (name in layers if layers else name != STEM))


def check_grid(backbone: ShownBackbone, grid: int, size: int) -> None:
    """Refuse a grid that is finer than the deepest stage.

    Raises:
        UserError: says how fine it can be.
    """
    finest = max(size // backbone.stride, 1)
    if grid > finest:
        raise UserError(
            f"--grid {grid} asks for {grid} x {grid} cells, and the deepest stage of"
            f" {backbone.name} has {finest} x {finest} positions at {size} px; give {finest} or"
            " less, or a larger --size"
        )


class _Averaged(nn.Module):
    """Images in [0, 1] to the features of all layers, side by side."""

    def __init__(self, backbone: ShownBackbone, layers: Sequence[str], grid: int) -> None:
        super().__init__()
        model = backbone.model
        self.normalize = Normalize(model.mean, model.std)
        self.stages = extract_features(model.arch, model.body(), layers)
        self.layers, self.grid = tuple(layers), grid

    def parts(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return (N, C * grid^2) of each layer."""
        found = self.stages(self.normalize(images))
        return [F.adaptive_avg_pool2d(found[name], self.grid).flatten(1) for name in self.layers]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat(self.parts(images), 1)


@dataclass(frozen=True)
class _Stages:
    """A network, and how many features each of its layers has."""

    network: FeatureNetwork
    widths: Mapping[str, int]


def _network(backbone: ShownBackbone, layers: Sequence[str], grid: int, size: int) -> _Stages:
    module = _Averaged(backbone, layers, grid).eval().requires_grad_(False)
    with torch.no_grad():
        parts = module.parts(torch.zeros(1, 3, size, size))
    widths = {name: part.shape[1] for name, part in zip(layers, parts, strict=True)}
    network = FeatureNetwork(module, sum(widths.values()), backbone.model.arch)
    return _Stages(network, widths)


def stage_outputs(
    backbone: ShownBackbone,
    images: GivenImages,
    layers: Sequence[str],
    grid: int,
    *,
    device: torch.device,
    batch_size: int,
) -> tuple[Outputs, Mapping[str, torch.Tensor]]:
    """Return the features of layers, and all of them as they are kept.

    All stages are kept together, so that asking for other ones later extracts nothing.

    Args:
        backbone, images: of which.
        layers: see :func:`stages_of`.
        grid: how many cells a side the positions are averaged in; 1 is all of them.
        device, batch_size: see :func:`.cached_outputs`.

    Returns:
        What is kept, and of each layer (N, C * grid^2) float32.

    Raises:
        UserError: an image cannot be decoded, or features are not finite.
    """
    extracted = [name for name in known_layers(backbone) if name != STEM or STEM in layers]
    stages = _network(backbone, extracted, grid, images.size)
    what = {"averaged": extracted, "grid": grid}
    outputs = cached_outputs(
        backbone, images, what, lambda: stages.network, device=device, batch_size=batch_size
    )
    split = outputs.values.split(list(stages.widths.values()), 1)
    found = dict(zip(stages.widths, split, strict=True))
    return outputs, {name: found[name].contiguous() for name in layers}


def grid_words(grid: int) -> str:
    """Say what features are, in words that follow ``features``."""
    if grid == 1:
        return "averaged over all positions of a stage (global average pooling)"
    return f"averaged over {grid} x {grid} cells of a stage's positions, side by side"
