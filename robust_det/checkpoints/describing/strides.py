"""What a file says of its network that changes what it computes, and none of its tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from robust_det.checkpoints.describing.said import Said
from robust_det.models import get_architecture

__all__ = ["other_strides"]


def _numbers(value: Any, count: int) -> bool:
    is_list = isinstance(value, (list, tuple)) and len(value) == count
    return is_list and all(isinstance(v, int) for v in value)


def _some(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(v is True for v in value)


def _named(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() not in ("", "none", "false"))


# of res2 to res5; others are those of decoders and of data
_DILATED = {(1, 2, 1, 1), (1, 2, 2, 1), (1, 1, 2, 2), (1, 1, 1, 2)}
# as OpenMMLab, torchvision, Detectron2, DETR, timm and re-identification say it
_STRIDES: dict[str, Callable[[Any], bool]] = {
    "strides": lambda v: _numbers(v, 4) and tuple(v) in _DILATED,
    "dilations": lambda v: _numbers(v, 4) and 1 < max(v) <= 4,
    "replace_stride_with_dilation": _some,
    "res5_dilation": lambda v: v == 2,
    "dilation": lambda v: v is True,
    "output_stride": lambda v: v in (8, 16),
    "last_stride": lambda v: v == 1 and v is not True,
}
_FILTERS = ("aa_layer", "antialias", "anti_alias", "antialiasing", "blurpool", "blur_pool")
_ACTIVATIONS = ("gelu", "silu", "swish", "mish", "elu", "leakyrelu", "leaky_relu", "prelu")


def other_strides(arch: str, said: Said) -> Iterator[str]:
    """Yield what a network by its own words does otherwise: strides, filters, activations.

    Args:
        arch: registry name of what its tensors are.
        said: by the file.
    """
    # those of other networks are torchvision's way, with other words
    is_residual = get_architecture(arch).layout is not None
    for statement in said.statements if is_residual else ():
        key, value = statement.key, statement.value
        if key in _STRIDES and _STRIDES[key](value):
            what = "has other strides or is dilated"
        elif key in _FILTERS and _named(value):
            what = "filters before it strides"
        elif key == "act_layer" and str(value).lower() in _ACTIVATIONS:
            what = f"has {value} in place of ReLU"
        else:
            continue
        yield f"{what} ({statement.place}{key} {str(value)[:60]})"
