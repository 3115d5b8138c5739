"""The architecture registry: the one place that knows an architecture.

An entry says how to build the classifier, which of its modules end the stages res2..res5, and how
Detectron2 spells the same network. Everything else asks here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torchvision import models as tv
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from robust_det.errors import UserError, did_you_mean
from robust_det.models.narrow import NarrowResNet

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "ResNetLayout",
    "Stage",
    "get_architecture",
    "register",
]


@dataclass(frozen=True)
class Stage:
    """One feature stage: its Detectron2 name, the module that ends it, its width and stride."""

    name: str
    module: str
    channels: int
    stride: int


@dataclass(frozen=True)
class ResNetLayout:
    """What Detectron2 needs to build the same residual network.

    Args:
        blocks: residual blocks in res2..res5.
        bottleneck: bottleneck blocks if true, basic blocks otherwise.
        stem_channels: output channels of the stem.
        res2_channels: output channels of res2; doubled at each later stage.
        inner_channels: width of the 3x3 convolution of a bottleneck in res2; doubled likewise.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    stem_channels: int
    res2_channels: int
    inner_channels: int

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages res2..res5 with torchvision's module names."""
        return tuple(
            Stage(f"res{i + 2}", f"layer{i + 1}", self.res2_channels * 2**i, 4 * 2**i)
            for i in range(4)
        )


@dataclass(frozen=True)
class Architecture:
    """One registered architecture.

    Args:
        name: the registry name, as in the file names of the published checkpoints.
        build: ``num_classes -> nn.Module`` with torchvision's parameter names, randomly
            initialised; takes normalised images (N, 3, H, W), returns logits (N, num_classes).
        head: name of the linear layer that makes the logits.
        layout: how Detectron2 spells it.
    """

    name: str
    build: Callable[[int], nn.Module]
    head: str
    layout: ResNetLayout

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The feature stages, shallow to deep."""
        return self.layout.stages


ARCHITECTURES: dict[str, Architecture] = {}


def register(architecture: Architecture) -> Architecture:
    """Add an architecture; a name can be taken only once."""
    if architecture.name in ARCHITECTURES:
        raise ValueError(f"architecture {architecture.name} is registered already")
    ARCHITECTURES[architecture.name] = architecture
    return architecture


def get_architecture(name: str) -> Architecture:
    """Return the architecture of that name.

    Raises:
        UserError: the name is unknown; the nearest known one is suggested.
    """
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UserError(
            f"unknown architecture '{name}'{did_you_mean(name, ARCHITECTURES)} (known: {known})"
        )
    return ARCHITECTURES[name]


def _resnet(name: str, build: Callable[..., nn.Module], layout: ResNetLayout) -> None:
    register(Architecture(name, lambda classes: build(num_classes=classes), "fc", layout))


def _wide_resnet50_4(num_classes: int) -> nn.Module:
    """WideResNet-50-4 of the paper: ResNet-50 whose inner 3x3 convolutions are 4 times as wide."""
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes=num_classes, width_per_group=256)


def _narrow(num_classes: int) -> nn.Module:
    return NarrowResNet(BasicBlock, [1, 1, 1, 1], width=16, num_classes=num_classes)


_resnet("resnet18", tv.resnet18, ResNetLayout((2, 2, 2, 2), False, 64, 64, 64))
_resnet("resnet34", tv.resnet34, ResNetLayout((3, 4, 6, 3), False, 64, 64, 64))
_resnet("resnet50", tv.resnet50, ResNetLayout((3, 4, 6, 3), True, 64, 256, 64))
_resnet("resnet101", tv.resnet101, ResNetLayout((3, 4, 23, 3), True, 64, 256, 64))
_resnet("wide_resnet50_2", tv.wide_resnet50_2, ResNetLayout((3, 4, 6, 3), True, 64, 256, 128))
_resnet("wide_resnet50_4", _wide_resnet50_4, ResNetLayout((3, 4, 6, 3), True, 64, 256, 256))
# 0.3 million parameters: for tests and the demo, not for results
_resnet("resnet10_narrow", _narrow, ResNetLayout((1, 1, 1, 1), False, 16, 16, 16))
