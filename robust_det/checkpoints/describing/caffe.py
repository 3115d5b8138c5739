"""Weights that came from Caffe: torchvision's shapes, but not its networks or its images.

These ResNets stride in the 1x1 convolutions and take BGR images of up to 255, which no tensor
shows, whatever library's names they have. What gives them away is what a file says of itself, the
statistics of norms, which Caffe folds into their scale and shift, and what a first norm saw.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import nn

from robust_det.checkpoints.describing.said import Said, Statement
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.words import words_of
from robust_det.core.errors import FileError
from robust_det.models.stages import empty_network

__all__ = ["refuse_caffe", "refuse_other_range"]

_RGB = "take a network of RGB images"
_COLOURS = words_of(
    "format input_format channel_order channels_order color_order colour_order color_mode"
    " colour_mode color_space input_space order"
)
_RANGES = words_of("input_range pixel_range image_range")
_IS_RGB = words_of("to_rgb bgr_to_rgb")
_IS_BGR = words_of("bgr is_bgr use_bgr to_bgr rgb_to_bgr")
# weights that training began with: OpenMMLab's and Detectron2's
_ORIGINS = re.compile(r"resnet\d+_caffe|ImageNetPretrained/(MSRA|FAIR)/|(^|/)R-(50|101)\.pkl$")
# how far what a norm saw may be beyond what images can make: averages lag behind the weights
_SLACK = 1.2
_NEXT_TO_NOTHING = 1e-3


def refuse_caffe(model: Model, said: Said) -> None:
    """Refuse a network that came from Caffe, by its own words or by its norms.

    Args:
        model: in torchvision's names, whatever they were in the file.
        said: by the file.

    Raises:
        FileError: it is one.
    """
    for statement in said.statements:
        words = _words_of_caffe(statement)
        if words:
            where = f"{statement.place}{statement.key} {_shown(statement.value)}"
            raise FileError(f"says of its {model.arch} that it {words} ({where})", _RGB)
    rgb = [bool(s.value) for s in said.statements if s.key in _IS_RGB and isinstance(s.value, bool)]
    if rgb and not any(rgb):
        raise FileError(f"says that its {model.arch} takes BGR images (no to_rgb)", _RGB)
    _refuse_large_pixels(model, said)
    for norm in _unseen(model):
        raise FileError(
            f"holds a {model.arch} whose norm {norm} never saw an image, as in weights that came"
            " from Caffe, Detectron2's model zoo and OpenMMLab's *_caffe: they stride in the 1x1"
            " convolutions and take BGR images, unlike torchvision's. An average of parameters"
            " without running statistics looks so as well",
            "take one that started from torchvision's weights",
        )


def _refuse_large_pixels(model: Model, said: Said) -> None:
    """Refuse images of up to 255 where no mean says what is done to them."""
    means = [s.value for s in said.statements if "mean" in s.key]
    if any(isinstance(mean, (list, tuple)) and _highest(mean) > 1 for mean in means):
        return
    for statement in said.statements:
        value = statement.value
        if statement.key in _RANGES and isinstance(value, (list, tuple)) and _highest(value) > 1:
            raise FileError(
                f"says that its {model.arch} takes images of up to {_highest(value):g}"
                f" ({statement.place}{statement.key}), and not which mean and std they have",
                "take one of images up to 1, or add their mean and std to the file",
            )


def _highest(values: Sequence[object]) -> float:
    return max((float(v) for v in values if isinstance(v, (int, float))), default=0.0)


def _words_of_caffe(statement: Statement) -> str:
    key, value = statement.key, statement.value
    if key == "style" and value == "caffe":
        return "has the strides of Caffe"
    if isinstance(value, str) and value.lower() == "caffe":
        return "is in the way of Caffe"
    if key == "stride_in_1x1" and value is True:
        return "strides in the 1x1 convolutions"
    if key in _COLOURS and isinstance(value, str) and value.lower() == "bgr":
        return "takes BGR images"
    if key in _IS_BGR and value is True:
        return "takes BGR images"
    if isinstance(value, str) and len(value) < 300 and _ORIGINS.search(value):
        return "came from Caffe"
    return ""


def _unseen(model: Model) -> Iterator[str]:
    """Yield norms with the statistics of a new network and the scale and shift of a trained one."""
    for name, mean in model.state.items():
        norm, _, leaf = name.rpartition(".")
        if leaf != "running_mean" or mean.any():
            continue
        # 1, or less the norm's eps, which is added again
        if not torch.isclose(model.state[f"{norm}.running_var"], torch.ones(()), atol=1e-4).all():
            continue
        scale, shift = (model.state.get(f"{norm}.{leaf}") for leaf in ("weight", "bias"))
        # of a new network all are 1, or 0 at the end of blocks
        fresh = (scale is None or bool((scale == scale[:1]).all())) and (
            shift is None or not shift.any()
        )
        if not fresh:
            yield norm


def refuse_other_range(model: Model) -> None:
    """Refuse a network whose first norm saw what images of its normalisation cannot make.

    A convolution of weights w makes at most B * sum|w| of images that are at most B once they are
    normalised, 2.64 with ImageNet's mean and std; so the mean of what its norm saw is at most that,
    and the variance at most its square. Images of up to 255 make a hundred times as much.

    Args:
        model: with the mean and std that are to be used.

    Raises:
        FileError: it took other images.
    """
    if (names := _first_norm(model.arch)) is None:
        return
    conv, norm = names
    weight, bias = model.state[f"{conv}.weight"], model.state.get(f"{conv}.bias", torch.zeros(()))
    bound = _largest(model.mean, model.std) * weight.abs().sum((1, 2, 3))
    mean, var = (model.state[f"{norm}.running_{leaf}"] for leaf in ("mean", "var"))
    saw = torch.maximum((mean - bias).abs(), var.clamp(min=0).sqrt())
    # pruned filters of zeros keep what their norm saw before
    excess = (saw / bound)[(bound > 0) & (saw > _NEXT_TO_NOTHING)]
    if not len(excess) or excess.max() <= _SLACK:
        return
    raise FileError(
        f"holds a {model.arch} whose norm {norm} saw {float(excess.max()):.3g} times what images of"
        f" mean {_shown(model.mean)} and std {_shown(model.std)} can make: it took images of"
        " another range, such as up to 255, as networks that came from Caffe do, which take BGR",
        "if it is of RGB images, give the --mean and --std that it was trained with, divided by"
        " 255: for a std of 1 that is 0.00392157",
    )


@functools.cache
def _first_norm(arch: str) -> tuple[str, str] | None:
    """Return the convolution that sees the image and the batch norm behind it, if it has one."""
    layers = [
        (name, module)
        for name, module in empty_network(arch, 1).named_modules()
        if isinstance(module, nn.BatchNorm2d) or not list(module.children())
    ]
    for (conv, first), (norm, second) in pairwise(layers):
        # not one that standardises its weights
        if type(first) is nn.Conv2d and first.in_channels == 3:
            return (conv, norm) if isinstance(second, nn.BatchNorm2d) else None
    return None


def _largest(mean: Sequence[float], std: Sequence[float]) -> float:
    return max(max(m, 1 - m) / s for m, s in zip(mean, std, strict=True))


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(f"{v:.3g}" for v in value)
    return str(value)[:60]
