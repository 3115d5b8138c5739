"""The entries of the architecture registry."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn
from torchvision import models as tv
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from robust_det.models.conv_stem import CONV_STEMS, conv_stem_convnext
from robust_det.models.narrow import NarrowResNet
from robust_det.models.other_names import (
    CONV_STEM,
    CONVNEXT,
    HUGGING_FACE_CONVNEXT,
    MNASNET,
    MOBILENET_V2,
    OLD_DENSENET,
    ORIGINAL_CONVNEXT,
    SAME,
    VGG16,
)
from robust_det.models.registry import (
    FAMILIES,
    Architecture,
    Family,
    ResNetLayout,
    Stage,
    register,
)
from robust_det.models.resnet_names import RESNET
from robust_det.models.timm_networks import PREFIX, has_network, timm_architecture


def _resnet(
    name: str, build: Callable[..., nn.Module], layout: ResNetLayout, in_timm: bool = True
) -> None:
    register(
        Architecture(
            name,
            lambda classes: build(num_classes=classes),
            head="fc",
            stem="maxpool",
            stages=layout.stages,
            layout=layout,
            timm=SAME if in_timm else None,
            others=RESNET,
        )
    )


def _wide_resnet50_4(num_classes: int) -> nn.Module:
    """WideResNet-50-4 of the paper: ResNet-50 whose inner 3x3 convolutions are 4 times as wide."""
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes=num_classes, width_per_group=256)


def _narrow(num_classes: int) -> nn.Module:
    return NarrowResNet(BasicBlock, [1, 1, 1, 1], width=16, num_classes=num_classes)


def _other(
    name: str,
    head: str,
    stem: str,
    stages: tuple[tuple[str, int], ...],
    build: Callable[..., nn.Module] | None = None,
    **more: Any,
) -> None:
    """Register a network by the (node, channels) of its stages at strides 4..32.

    It is torchvision's of that name unless something else builds it."""
    build = build or getattr(tv, name)
    register(
        Architecture(
            name,
            lambda classes: build(num_classes=classes),
            head=head,
            stem=stem,
            stages=tuple(
                Stage(f"res{i + 2}", node, channels, 4 * 2**i)
                for i, (node, channels) in enumerate(stages)
            ),
            **more,
        )
    )


_resnet("resnet18", tv.resnet18, ResNetLayout((2, 2, 2, 2), False, 64, 64, 64))
_resnet("resnet34", tv.resnet34, ResNetLayout((3, 4, 6, 3), False, 64, 64, 64))
_resnet("resnet50", tv.resnet50, ResNetLayout((3, 4, 6, 3), True, 64, 256, 64))
_resnet("resnet101", tv.resnet101, ResNetLayout((3, 4, 23, 3), True, 64, 256, 64))
_resnet("resnet152", tv.resnet152, ResNetLayout((3, 8, 36, 3), True, 64, 256, 64))
_resnet("wide_resnet50_2", tv.wide_resnet50_2, ResNetLayout((3, 4, 6, 3), True, 64, 256, 128))
_resnet("wide_resnet50_4", _wide_resnet50_4, ResNetLayout((3, 4, 6, 3), True, 64, 256, 256), False)
_resnet("resnext50_32x4d", tv.resnext50_32x4d, ResNetLayout((3, 4, 6, 3), True, 64, 256, 128, 32))
# 0.3 million parameters: for tests and the demo, not for results
_resnet("resnet10_narrow", _narrow, ResNetLayout((1, 1, 1, 1), False, 16, 16, 16), False)

# the blocks of VGG end before their pooling, as in detectors since SSD; res5 is the last pooling
_other(
    "vgg16_bn",
    head="classifier.6",
    stem="features.13",
    stages=(("features.22", 256), ("features.32", 512), ("features.42", 512), ("features.43", 512)),
    timm=VGG16,
)
_other(
    "densenet161",
    head="classifier",
    stem="features.pool0",
    stages=(
        ("features.denseblock1", 384),
        ("features.denseblock2", 768),
        ("features.denseblock3", 2112),
        ("relu", 2208),
    ),
    timm=SAME,
    others={"old torchvision": OLD_DENSENET},
)
_other(
    "mobilenet_v2",
    head="classifier.1",
    stem="features.1",
    stages=(("features.3", 24), ("features.6", 32), ("features.13", 96), ("features.18", 1280)),
    timm=MOBILENET_V2,
)
_other(
    "mnasnet1_0",
    head="classifier.1",
    stem="layers.7",
    stages=(("layers.8", 24), ("layers.9", 40), ("layers.11", 96), ("layers.16", 1280)),
    timm=MNASNET,
)
# has no block at stride 4: the pooled stem is what there is
_other(
    "shufflenet_v2_x1_0",
    head="fc",
    stem="conv1",
    stages=(("maxpool", 24), ("stage2", 116), ("stage3", 232), ("conv5", 1024)),
)
for _name, _width in (("convnext_tiny", 96), ("convnext_small", 96), ("convnext_base", 128)):
    _parts: dict[str, Any] = {
        "head": "classifier.2",
        "stem": "features.0",
        "stages": tuple((f"features.{2 * i + 1}", _width * 2**i) for i in range(4)),
    }
    _other(
        _name,
        **_parts,
        timm=CONVNEXT,
        others={"ConvNeXt": ORIGINAL_CONVNEXT, "Hugging Face": HUGGING_FACE_CONVNEXT},
    )
    # published with robust weights by Singh et al. 2023, who do not normalise images
    _other(
        f"{_name}_convstem",
        **_parts,
        build=functools.partial(conv_stem_convnext, getattr(tv, _name), CONV_STEMS[_name]),
        others={"revisiting-at": CONV_STEM},
        unnormalised=True,
    )

FAMILIES[PREFIX] = Family(timm_architecture, has_network)
