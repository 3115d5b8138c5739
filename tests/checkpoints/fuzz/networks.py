"""Networks so narrow that their files are small."""

from __future__ import annotations

import torch
from torchvision.models.resnet import BasicBlock

from robust_det.models.narrow import NarrowResNet
from robust_det.models.registry import Architecture, ResNetLayout, register
from robust_det.models.spelling import COUNTER

TINY, SMALL = "fuzz_resnet4", "fuzz_resnet8"
CLASSES = 5


def register_networks() -> None:
    """Register the networks, in a registry that does not have them yet."""
    for name, width in ((TINY, 4), (SMALL, 8)):
        layout = ResNetLayout((1, 1, 1, 1), False, width, width, width)

        def build(classes: int, width: int = width) -> torch.nn.Module:
            return NarrowResNet(BasicBlock, [1, 1, 1, 1], width, classes)

        register(Architecture(name, build, "fc", "maxpool", layout.stages, layout))


def state_of(width: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = NarrowResNet(BasicBlock, [1, 1, 1, 1], width, CLASSES).state_dict()
    return {n: torch.tensor(7) if COUNTER in n else tensor for n, tensor in state.items()}


STATE = state_of(4)
