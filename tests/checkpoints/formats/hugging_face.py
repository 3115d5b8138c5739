"""Networks with the modules, and so the names, of Hugging Face's transformers."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn


def _layer(inside: int, outside: int, size: int, stride: int = 1, act: bool = True) -> nn.Module:
    """ResNetConvLayer; without an activation, its shortcut."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        convolution=nn.Conv2d(inside, outside, size, stride, size // 2, bias=False),
        normalization=nn.BatchNorm2d(outside),
    )
    if act:
        parts["activation"] = nn.ReLU()
    return nn.Sequential(parts)


class _Block(nn.Module):
    """ResNetBasicLayer, or ResNetBottleNeckLayer with its default downsample_in_bottleneck."""

    def __init__(self, inside: int, outside: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        if inside != outside or stride != 1:
            self.shortcut = _layer(inside, outside, 1, stride, act=False)
        else:
            self.shortcut = nn.Identity()
        reduced = outside // 4
        if bottleneck:
            self.layer = nn.Sequential(
                _layer(inside, reduced, 1),
                _layer(reduced, reduced, 3, stride),
                _layer(reduced, outside, 1, act=False),
            )
        else:
            self.layer = nn.Sequential(
                _layer(inside, outside, 3, stride), _layer(outside, outside, 3, act=False)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.layer(x) + self.shortcut(x)).relu()


def _stage(inside: int, outside: int, depth: int, stride: int, bottleneck: bool) -> nn.Module:
    blocks = [_Block(inside, outside, stride, bottleneck)]
    blocks += [_Block(outside, outside, 1, bottleneck) for _ in range(depth - 1)]
    return nn.ModuleDict({"layers": nn.Sequential(*blocks)})


class ResNet(nn.Module):
    """ResNetForImageClassification."""

    def __init__(
        self, stem: int, widths: list[int], depths: list[int], bottleneck: bool, classes: int
    ) -> None:
        super().__init__()
        sizes = zip([stem, *widths], widths, depths, (1, 2, 2, 2), strict=False)
        stages = [_stage(a, b, depth, stride, bottleneck) for a, b, depth, stride in sizes]
        embedder = nn.ModuleDict({"embedder": _layer(3, stem, 7, 2)})
        encoder = nn.ModuleDict({"stages": nn.ModuleList(stages)})
        self.resnet = nn.ModuleDict({"embedder": embedder, "encoder": encoder})
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1], classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.resnet["embedder"]["embedder"](x), 3, 2, 1)
        for stage in self.resnet["encoder"]["stages"]:
            x = stage["layers"](x)
        return self.classifier(x.mean((2, 3)))


class _ChannelsFirst(nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _ConvNextLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer_scale_parameter = nn.Parameter(torch.full((width,), 0.3))
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.layernorm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.layernorm(self.dwconv(x).permute(0, 2, 3, 1))
        inner = self.pwconv2(nn.functional.gelu(self.pwconv1(inner)))
        return x + (self.layer_scale_parameter * inner).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """ConvNextForImageClassification, tiny."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths, stages = (96, 192, 384, 768), []
        embeddings = nn.ModuleDict(
            {
                "patch_embeddings": nn.Conv2d(3, 96, 4, 4),
                "layernorm": _ChannelsFirst(96, eps=1e-6),
            }
        )
        for before, width, depth in zip((0, *widths), widths, (3, 3, 9, 3), strict=False):
            stage = nn.ModuleDict()
            if before:
                norm = _ChannelsFirst(before, eps=1e-6)
                stage["downsampling_layer"] = nn.Sequential(norm, nn.Conv2d(before, width, 2, 2))
            stage["layers"] = nn.Sequential(*(_ConvNextLayer(width) for _ in range(depth)))
            stages.append(stage)
        encoder = nn.ModuleDict({"stages": nn.ModuleList(stages)})
        last = nn.LayerNorm(768, eps=1e-6)
        self.convnext = nn.ModuleDict(
            {"embeddings": embeddings, "encoder": encoder, "layernorm": last}
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        embeddings = self.convnext["embeddings"]
        x = embeddings["layernorm"](embeddings["patch_embeddings"](x))
        for stage in self.convnext["encoder"]["stages"]:
            if "downsampling_layer" in stage:
                x = stage["downsampling_layer"](x)
            x = stage["layers"](x)
        return self.classifier(self.convnext["layernorm"](x.mean((2, 3))))
