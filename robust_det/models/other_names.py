"""How timm and others spell the networks that torchvision has too, where the names differ.

Each function turns one of torchvision's tensor names into theirs. The way back is a lookup in what
the function makes of all names of the network. timm itself is not needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = [
    "CONVNEXT",
    "CONV_STEM",
    "HUGGING_FACE_CONVNEXT",
    "MNASNET",
    "MOBILENET_V2",
    "OLD_DENSENET",
    "ORIGINAL_CONVNEXT",
    "SAME",
    "VGG16",
    "OtherNames",
    "by_rules",
]

Shape = tuple[int, ...]


def _same_shape(name: str, shape: Shape) -> Shape:
    return shape


@dataclass(frozen=True)
class OtherNames:
    """One network in another spelling.

    Args:
        rename: torchvision's tensor name -> the other.
        reshape: (torchvision's tensor name, its shape) -> the other shape, of as many elements.
    """

    rename: Callable[[str], str]
    reshape: Callable[[str, Shape], Shape] = _same_shape


SAME = OtherNames(lambda name: name)


def by_rules(*rules: tuple[str, str]) -> Callable[[str], str]:
    """Return what renames by the first pattern that is all of a name; others stay as they are."""
    compiled = [(re.compile(pattern), target) for pattern, target in rules]

    def rename(name: str) -> str:
        for pattern, target in compiled:
            if match := pattern.fullmatch(name):
                return match.expand(target)
        return name

    return rename


# the fully connected layers are convolutions in timm
_VGG_SHAPES = {"classifier.0.weight": (512, 7, 7), "classifier.3.weight": (4096, 1, 1)}
VGG16 = OtherNames(
    by_rules(
        (r"classifier\.0\.(.*)", r"pre_logits.fc1.\1"),
        (r"classifier\.3\.(.*)", r"pre_logits.fc2.\1"),
        (r"classifier\.6\.(.*)", r"head.fc.\1"),
    ),
    lambda name, shape: (shape[0], *_VGG_SHAPES[name]) if name in _VGG_SHAPES else shape,
)

_convnext_parts = by_rules(
    (r"features\.0\.(.*)", r"stem.\1"),
    (r"classifier\.0\.(.*)", r"head.norm.\1"),
    (r"classifier\.2\.(.*)", r"head.fc.\1"),
)
_CONVNEXT_BLOCK = {"0": "conv_dw", "2": "norm", "3": "mlp.fc1", "5": "mlp.fc2"}


def _convnext(name: str) -> str:
    if match := re.fullmatch(r"features\.([1357])\.(\d+)\.layer_scale", name):
        return f"stages.{int(match[1]) // 2}.blocks.{match[2]}.gamma"
    if match := re.fullmatch(r"features\.([1357])\.(\d+)\.block\.(\d)\.(\w+)", name):
        part = _CONVNEXT_BLOCK[match[3]]
        return f"stages.{int(match[1]) // 2}.blocks.{match[2]}.{part}.{match[4]}"
    if match := re.fullmatch(r"features\.([246])\.(\d)\.(\w+)", name):
        return f"stages.{int(match[1]) // 2}.downsample.{match[2]}.{match[3]}"
    return _convnext_parts(name)


def _flat_scale(name: str, shape: Shape) -> Shape:
    return shape[:1] if name.endswith(".layer_scale") else shape


CONVNEXT = OtherNames(_convnext, _flat_scale)

_original_convnext = by_rules(
    (r"stem\.(.*)", r"downsample_layers.0.\1"),
    (r"stages\.(\d)\.downsample\.(.*)", r"downsample_layers.\1.\2"),
    (r"(stages\.\d)\.blocks\.(\d+)\.conv_dw\.(.*)", r"\1.\2.dwconv.\3"),
    (r"(stages\.\d)\.blocks\.(\d+)\.mlp\.fc(.*)", r"\1.\2.pwconv\3"),
    (r"(stages\.\d)\.blocks\.(.*)", r"\1.\2"),
    (r"head\.norm\.(.*)", r"norm.\1"),
    (r"head\.fc\.(.*)", r"head.\1"),
)
# of the code that came with the paper
ORIGINAL_CONVNEXT = OtherNames(lambda name: _original_convnext(_convnext(name)), _flat_scale)

_hugging_face_convnext = by_rules(
    (r"stem\.0\.(.*)", r"embeddings.patch_embeddings.\1"),
    (r"stem\.1\.(.*)", r"embeddings.layernorm.\1"),
    (r"stages\.(\d)\.downsample\.(.*)", r"encoder.stages.\1.downsampling_layer.\2"),
    (r"(stages\.\d)\.blocks\.(\d+)\.conv_dw\.(.*)", r"encoder.\1.layers.\2.dwconv.\3"),
    (r"(stages\.\d)\.blocks\.(\d+)\.norm\.(.*)", r"encoder.\1.layers.\2.layernorm.\3"),
    (r"(stages\.\d)\.blocks\.(\d+)\.mlp\.fc(.*)", r"encoder.\1.layers.\2.pwconv\3"),
    (r"(stages\.\d)\.blocks\.(\d+)\.gamma", r"encoder.\1.layers.\2.layer_scale_parameter"),
    (r"head\.norm\.(.*)", r"layernorm.\1"),
    (r"head\.fc\.(.*)", r"classifier.\1"),
)
HUGGING_FACE_CONVNEXT = OtherNames(
    lambda name: _hugging_face_convnext(_convnext(name)), _flat_scale
)

_conv_stem = by_rules((r"stem\.(.*)", r"stem.stem.\1"))
# timm's ConvNeXt with another stem, as Singh et al. 2023 published it
CONV_STEM = OtherNames(lambda name: _conv_stem(_convnext(name)), _flat_scale)

# of torchvision's own file of 2017
OLD_DENSENET = OtherNames(by_rules((r"(.*\.denselayer\d+\.(?:norm|conv))([12]\..*)", r"\1.\2")))

_INVERTED = {"0": "conv_pw", "1": "bn1", "2": "conv_dw", "3": "bn2", "4": "conv_pwl", "5": "bn3"}
_SEPARABLE = {"0": "conv_dw", "1": "bn1", "2": "conv_pw", "3": "bn2"}


def _block(index: int, lengths: Sequence[int]) -> str:
    """Return ``stage.block`` of a block that is counted through all stages."""
    ends = list(accumulate(lengths))
    stage = next(i for i, end in enumerate(ends) if index < end)
    return f"{stage}.{index - (ends[stage] - lengths[stage])}"


_mobilenet_ends = by_rules(
    (r"features\.0\.0\.(.*)", r"conv_stem.\1"),
    (r"features\.0\.1\.(.*)", r"bn1.\1"),
    (r"features\.18\.0\.(.*)", r"conv_head.\1"),
    (r"features\.18\.1\.(.*)", r"bn2.\1"),
    (r"classifier\.1\.(.*)", r"classifier.\1"),
)
# torchvision numbers what timm names: convolution and norm of a pair are i.0 and i.1, but the last
# pair of a block is not nested
_MOBILENET_PARTS = {"0.0": "0", "0.1": "1", "1.0": "2", "1.1": "3", "2": "4", "3": "5"}
_MOBILENET_FIRST = {"0.0": "0", "0.1": "1", "1": "2", "2": "3"}


def _mobilenet_v2(name: str) -> str:
    match = re.fullmatch(r"features\.(\d+)\.conv\.(\d(?:\.\d)?)\.(\w+)", name)
    if not match:
        return _mobilenet_ends(name)
    index = int(match[1]) - 1
    if index == 0:
        part = _SEPARABLE[_MOBILENET_FIRST[match[2]]]
    else:
        part = _INVERTED[_MOBILENET_PARTS[match[2]]]
    return f"blocks.{_block(index, (1, 2, 3, 4, 3, 3, 1))}.{part}.{match[3]}"


MOBILENET_V2 = OtherNames(_mobilenet_v2)

_mnasnet_ends = by_rules(
    (r"layers\.0\.(.*)", r"conv_stem.\1"),
    (r"layers\.1\.(.*)", r"bn1.\1"),
    (r"layers\.14\.(.*)", r"conv_head.\1"),
    (r"layers\.15\.(.*)", r"bn2.\1"),
    (r"classifier\.1\.(.*)", r"classifier.\1"),
)
# positions in torchvision's sequences, between which there are activations
_MNASNET_FIRST = {"3": "0", "4": "1", "6": "2", "7": "3"}
_MNASNET_PARTS = {"0": "0", "1": "1", "3": "2", "4": "3", "6": "4", "7": "5"}


def _mnasnet(name: str) -> str:
    if match := re.fullmatch(r"layers\.([3467])\.(\w+)", name):
        return f"blocks.0.0.{_SEPARABLE[_MNASNET_FIRST[match[1]]]}.{match[2]}"
    if match := re.fullmatch(r"layers\.(\d+)\.(\d+)\.layers\.(\d)\.(\w+)", name):
        part = _INVERTED[_MNASNET_PARTS[match[3]]]
        return f"blocks.{int(match[1]) - 7}.{match[2]}.{part}.{match[4]}"
    return _mnasnet_ends(name)


MNASNET = OtherNames(_mnasnet)
