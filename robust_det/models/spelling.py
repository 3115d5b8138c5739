"""How torchvision, timm, Detectron2 and others spell the same tensors.

torchvision's names are the project's own, and timm's are of networks that are timm's. Each other
spelling is a function of them, so that the way back is a lookup and cannot disagree.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from robust_det.core.errors import UserError
from robust_det.models import get_architecture
from robust_det.models.stages import module_stages, tensor_shapes

__all__ = ["AUXILIARY", "COUNTER", "Spelling", "distinct_spellings", "spelling", "spellings"]

# a step count of batch norm: older files lack it, and a frozen norm does
COUNTER = "num_batches_tracked"
# what some tools leave within a network and evaluation does not use: timm's norms of the other
# splits of a batch, and a profiler's counts
AUXILIARY = re.compile(r"(^|\.)(aux_bn\.\d+\.\w+|total_ops|total_params)$")

_DETECTRON2 = (
    (re.compile(r"conv1\.(.*)"), r"stem.conv1.\1"),
    (re.compile(r"bn1\.(.*)"), r"stem.conv1.norm.\1"),
    (re.compile(r"layer(\d)\.(\d+)\.conv(\d)\.(.*)"), r"res{stage}.\2.conv\3.\4"),
    (re.compile(r"layer(\d)\.(\d+)\.bn(\d)\.(.*)"), r"res{stage}.\2.conv\3.norm.\4"),
    (re.compile(r"layer(\d)\.(\d+)\.downsample\.0\.(.*)"), r"res{stage}.\2.shortcut.\3"),
    (re.compile(r"layer(\d)\.(\d+)\.downsample\.1\.(.*)"), r"res{stage}.\2.shortcut.norm.\3"),
    # Detectron2's own conversion of torchvision's file leaves the head in the stem
    (re.compile(r"fc\.(.*)"), r"stem.fc.\1"),
)


def _detectron2_resnet(name: str) -> str:
    for pattern, target in _DETECTRON2:
        if match := pattern.fullmatch(name):
            # torchvision counts the stages from 1, Detectron2 by their stride, from res2
            stage = str(int(match[1]) + 1) if "{stage}" in target else ""
            return match.expand(target.replace("{stage}", stage))
    raise KeyError(name)


@dataclass(frozen=True)
class Spelling:
    """The tensors of one architecture in one library's names.

    Attributes:
        library: ``torchvision``, ``timm``, ``detectron2``, ``nn.Sequential``, or one of the
            architecture's others.
        names: the network's own name -> this library's.
        shapes: the network's own name -> the shape here, with 1000 classes.
    """

    library: str
    names: Mapping[str, str]
    shapes: Mapping[str, tuple[int, ...]]

    def write(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Respell a state dict in the network's own names; no value changes."""
        out = {}
        for name, tensor in state.items():
            shape = self.shapes[name]
            # but for the head's width, which is the tensor's own
            out[self.names[name]] = tensor.reshape(-1, *shape[1:]) if shape else tensor
        return out


def spelling(arch: str, library: str) -> Spelling:
    """Return an architecture's tensors in a library's names.

    Raises:
        UserError: the library does not have it.
    """
    if library not in spellings(arch):
        own = get_architecture(arch).library
        raise UserError(f"no names of {library} are known for {arch}; use --to {own}")
    return spellings(arch)[library]


@functools.cache
def distinct_spellings(arch: str) -> tuple[Spelling, ...]:
    """Return the spellings that differ; timm has many of torchvision's networks as they are."""
    own, *others = spellings(arch).values()
    return (own, *(other for other in others if other.names != own.names))


@functools.cache
def spellings(arch: str) -> Mapping[str, Spelling]:
    """Return the spellings of an architecture by library."""
    architecture, shapes = get_architecture(arch), tensor_shapes(arch)
    own = architecture.library
    out = {own: Spelling(own, {name: name for name in shapes}, shapes)}
    timm = {} if architecture.timm is None else {"timm": architecture.timm}
    for library, other in {**timm, **architecture.others}.items():
        names = {name: other.rename(name) for name in shapes}
        their_shapes = {name: other.reshape(name, shape) for name, shape in shapes.items()}
        out[library] = Spelling(library, names, their_shapes)
    # other than a residual network, Detectron2 has it inside of the wrapper
    rename = _detectron2_resnet if architecture.layout else "body.{}".format
    names = {name: rename(name) for name in shapes}
    out["detectron2"] = Spelling("detectron2", names, shapes)
    # nn.Sequential(*network.children()) numbers them
    children = [name for name in module_stages(arch) if name and "." not in name]
    numbers = {child: str(number) for number, child in enumerate(children)}
    names = {name: _with_first(name, numbers) for name in shapes}
    out["nn.Sequential"] = Spelling("nn.Sequential", names, shapes)
    return out


def _with_first(name: str, numbers: Mapping[str, str]) -> str:
    first, dot, rest = name.partition(".")
    return numbers.get(first, first) + dot + rest
