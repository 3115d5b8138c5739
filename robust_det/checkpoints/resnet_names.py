"""ResNet parameter names: torchvision's <-> Detectron2's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

__all__ = ["to_detectron2"]

_RULES = (
    (re.compile(r"conv1\.(.*)"), r"stem.conv1.\1"),
    (re.compile(r"bn1\.(.*)"), r"stem.conv1.norm.\1"),
    (re.compile(r"layer(\d)\.(\d+)\.conv(\d)\.(.*)"), r"res{stage}.\2.conv\3.\4"),
    (re.compile(r"layer(\d)\.(\d+)\.bn(\d)\.(.*)"), r"res{stage}.\2.conv\3.norm.\4"),
    (re.compile(r"layer(\d)\.(\d+)\.downsample\.0\.(.*)"), r"res{stage}.\2.shortcut.\3"),
    (re.compile(r"layer(\d)\.(\d+)\.downsample\.1\.(.*)"), r"res{stage}.\2.shortcut.norm.\3"),
)


def _renamed(name: str) -> str | None:
    for pattern, target in _RULES:
        if match := pattern.fullmatch(name):
            # torchvision counts the stages from 1, Detectron2 by their stride, from res2
            stage = str(int(match[1]) + 1) if "{stage}" in target else ""
            return match.expand(target.replace("{stage}", stage))
    return None


def to_detectron2(state: Mapping[str, torch.Tensor], head: str) -> dict[str, torch.Tensor]:
    """Rename the tensors of a torchvision ResNet to Detectron2's names.

    Args:
        state: a state dict in torchvision's names.
        head: name of the classification layer, which a backbone does not have.

    Returns:
        The same tensors under Detectron2's names, without the head and without batch-norm step
        counters, which a frozen norm does not have.

    Raises:
        KeyError: a tensor that a ResNet does not have.
    """
    out: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if name.startswith(f"{head}.") or name.endswith("num_batches_tracked"):
            continue
        renamed = _renamed(name)
        if renamed is None:
            raise KeyError(name)
        out[renamed] = tensor
    return out
