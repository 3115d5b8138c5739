"""ConvNeXt with a stem of convolutions: the published networks, built of timm's."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robust_det.backbones.builders import build_backbone
from robust_det.checkpoints.model_file import read_model
from robust_det.models.spelling import spelling
from robust_det.models.stages import tensor_shapes
from tests.support.timm_networks import unsettled

timm = pytest.importorskip("timm")

# channels and strides of the stem's convolutions (Singh, Croce & Hein 2023)
STEMS = {
    "convnext_tiny": ((48, 2), (96, 2)),
    "convnext_small": ((48, 2), (96, 2)),
    "convnext_base": ((64, 2), (96, 2), (128, 1)),
}


class ChannelNorm(nn.Module):
    """Layer norm over the channels of (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = F.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.movedim(-1, 1)


def published(name: str) -> Any:
    network = timm.create_model(name, num_classes=10)
    layers: list[nn.Module] = []
    before = 3
    for width, stride in STEMS[name]:
        layers += [nn.Conv2d(before, width, 3, stride, 1), ChannelNorm(width), nn.GELU()]
        before = width
    network.stem = nn.Sequential()
    network.stem.add_module("stem", nn.Sequential(*layers))
    return network


@pytest.mark.parametrize("name", STEMS)
def test_the_published_names(name: str) -> None:
    with torch.device("meta"):
        theirs = {n: tuple(t.shape) for n, t in published(name).state_dict().items()}
    arch = f"{name}_convstem"
    names = spelling(arch, "revisiting-at").names
    assert set(names.values()) == set(theirs)
    for own, shape in tensor_shapes(arch).items():
        assert theirs[names[own]][1:] == shape[1 : len(theirs[names[own]])]  # but for the classes


def test_a_published_file_computes_the_same(tmp_path: Path) -> None:
    network = unsettled(published("convnext_tiny"))
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save(state, tmp_path / "weights_20.pt")
    model = read_model(tmp_path / "weights_20.pt")
    assert (model.arch, model.format) == (
        "convnext_tiny_convstem",
        "state dict in revisiting-at's names",
    )
    # they were trained on images as they are
    assert (model.mean, model.std) == ((0, 0, 0), (1, 1, 1))
    assert "mean 0 and std 1 are assumed" in model.assumed
    images = torch.rand(2, 3, 75, 101)
    backbone = build_backbone(model.arch).eval()
    backbone.load_state_dict({f"body.{n}": t for n, t in model.state.items()}, strict=False)
    ends = {f"res{i + 2}": f"stages.{i}" for i in range(4)}
    found = {}
    for stage, module in ends.items():
        network.get_submodule(module).register_forward_hook(
            lambda m, i, features, stage=stage: found.update({stage: features})
        )
    with torch.no_grad():
        assert torch.allclose(model.classifier()(images), network(images), atol=1e-4)
        for stage, features in backbone(images).items():
            assert (features - found[stage]).abs().max() < 1e-4 * found[stage].abs().max(), stage
