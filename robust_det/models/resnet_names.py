"""How others spell torchvision's residual networks: each is a renaming, and no value changes."""

from __future__ import annotations

import re

from robust_det.models.other_names import OtherNames, by_rules

__all__ = ["RESNET"]


def _arranged(convolution: str, norm: str, *stages: str) -> OtherNames:
    """Return the names with the stem's two layers and the four stages called so."""
    rules = [(r"conv1\.(.*)", rf"{convolution}.\1"), (r"bn1\.(.*)", rf"{norm}.\1")]
    rules += [(rf"layer{i}\.(.*)", rf"{stage}.\1") for i, stage in enumerate(stages, 1)]
    return OtherNames(by_rules(*rules))


_hugging_face_ends = by_rules(
    (r"conv1\.(.*)", r"embedder.embedder.convolution.\1"),
    (r"bn1\.(.*)", r"embedder.embedder.normalization.\1"),
    (r"fc\.(.*)", r"classifier.1.\1"),
)


def _hugging_face(name: str) -> str:
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)\.(\w+)", name)
    if not match:
        return _hugging_face_ends(name)
    block = f"encoder.stages.{int(match[1]) - 1}.layers.{match[2]}"
    if match[3] == "downsample.":
        part = f"shortcut.{('convolution', 'normalization')[int(match[4])]}"
    else:
        kind = "convolution" if match[3] == "conv" else "normalization"
        part = f"layer.{int(match[4]) - 1}.{kind}"
    return f"{block}.{part}.{match[5]}"


_LAYERS = ("layer1", "layer2", "layer3", "layer4")
# without the prefix "resnet.", which recognition takes from the names that have it
RESNET = {
    "Hugging Face": OtherNames(_hugging_face),
    "NVIDIA": _arranged("conv1", "bn1", "layers.0", "layers.1", "layers.2", "layers.3"),
    "layer0.conv1": _arranged("layer0.conv1", "layer0.bn1", *_LAYERS),
    "layer0.0": _arranged("layer0.0", "layer0.1", *_LAYERS),
    "stem.conv1": _arranged("stem.conv1", "stem.bn1", *_LAYERS),
    "stem.conv": _arranged("stem.conv", "stem.bn", *_LAYERS),
    "stem.0": _arranged("stem.0", "stem.1", *_LAYERS),
    # a stem and the stages in one sequence
    "nested nn.Sequential": _arranged("0.0", "0.1", "1", "2", "3", "4"),
}
