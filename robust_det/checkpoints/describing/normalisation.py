"""The normalisation that a file holds beside its network."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from robust_det.checkpoints.describing.said import Said
from robust_det.checkpoints.reading import LazyTensor, load_tensor
from robust_det.checkpoints.recognising.choice import Found
from robust_det.core.errors import FileError
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, get_architecture

__all__ = ["Normalisation", "find_normalisation"]

# how a mean and its std are called; the first by the robustness library
_PAIRS = (
    ("new_mean", "new_std"),
    ("mean", "std"),
    ("means", "stds"),
    ("means", "sds"),
    ("mu", "sigma"),
    ("mu", "std"),
    ("_mean", "_std"),
    ("pixel_mean", "pixel_std"),
    ("image_mean", "image_std"),
    ("img_mean", "img_std"),
    ("norm_mean", "norm_std"),
)
# modules and dictionaries whose mean and std are of anything but images
_NOT_PIXELS = re.compile(
    r"(^|[._])(target|label|output|loss|box|bbox|coord|depth|action|reward|state|metric)s?"
    r"(_?(encoder|coder|norm\w*|scaler|transform))?[._]|(^|[._])scaler[._]"
)
_PIXELS = re.compile(r"image|img|pixel|input")
_NAMES = frozenset(name for pair in _PAIRS for name in pair)


@dataclass(frozen=True)
class Normalisation:
    """What is done to images before the network.

    Attributes:
        mean, std: RGB in [0, 1].
        name: of the mean in the file; empty where they are assumed.
        note: what was assumed or changed, if anything, in a sentence.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    name: str = ""
    note: str = ""


def find_normalisation(found: Found, value: Any, said: Said) -> Normalisation:
    """Return the normalisation in a file, or the usual one, with a note that it is assumed: that is
    ImageNet's, or none of networks that were published without.

    Args:
        found: the network; modules beside it and around it are looked at, the nearest first.
        value: all of the file, which may have a mean and a std beside its state dict.
        said: what it says of itself, where they are looked for last.

    Raises:
        FileError: there is one, which cannot be that of images.
    """
    odd = ""
    for place, values in _places(found, value, said):
        if _NOT_PIXELS.search(place.lower()) and not _PIXELS.search(place.lower()):
            continue
        for names in _PAIRS:
            mean, std = (_three_numbers(values.get(n), place, n) for n in names)
            if mean and std:
                return _in_unit_range(place + names[0], mean, std)
        odd = odd or f"{place}{next(iter(values))}"
    mean, std, assumed = IMAGENET_MEAN, IMAGENET_STD, "ImageNet's mean and std are assumed"
    if get_architecture(found.arch).unnormalised:
        mean, std = (0.0,) * 3, (1.0,) * 3
        assumed = "mean 0 and std 1 are assumed, as of the published weights of this network"
    note = f"the file does not say its normalisation; {assumed}"
    if said.unread:
        where, kind = said.unread[0]
        note = (
            f"the file may say its normalisation in '{where}', an object of class {kind}, which was"
            f" not read; {assumed}; give --mean and --std if they are others"
        )
    if odd:
        note = f"the file has '{odd}', which was not understood; {assumed}; give --mean and --std"
    return Normalisation(mean, std, "", note)


def _places(found: Found, value: Any, said: Said) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield where a normalisation could be, and what is called like a part of one there.

    The robustness library keeps it in ``normalizer``, RobustBench in ``normalize``; others number
    the two modules, and others save it outside of the state dict.
    """
    modules: dict[str, dict[str, Any]] = defaultdict(dict)
    for name, tensor in found.beside.items():
        module, _, leaf = name.rpartition(".")
        if leaf in _NAMES:
            modules[module][leaf] = tensor
    parts = found.prefix.split(".")[:-1]
    around = {".".join(parts[:depth]): depth for depth in range(len(parts) + 1)}

    def nearness(module: str) -> int:
        return around.get(module, around.get(module.rpartition(".")[0], -1))

    for module in sorted(modules, key=nearness, reverse=True):
        if nearness(module) >= 0:
            yield f"{module}." if module else "", modules[module]
    if isinstance(value, dict) and (values := {n: value[n] for n in value if n in _NAMES}):
        yield "", values
    stated: dict[str, dict[str, Any]] = defaultdict(dict)
    for statement in said.statements:
        if not statement.place or statement.key not in _NAMES:
            continue
        # a config that is kept as text is one place, with the std of initialisations in it
        known = stated[statement.place]
        if not isinstance(known.get(statement.key), (list, tuple)):
            is_list = isinstance(statement.value, (list, tuple))
            if is_list or statement.key not in known:
                known[statement.key] = statement.value
    yield from stated.items()


def _three_numbers(value: Any, place: str, name: str) -> tuple[float, ...]:
    """Return a number for each channel, or nothing.

    One may stand for all, but only in a module that normalises by its name, or has a number for
    one: a metric has a mean and a std as well.
    """
    if isinstance(value, LazyTensor) and math.prod(value.shape) in (1, 3):
        value = load_tensor(value, place + name).real.double().flatten().tolist()
    normalises = re.search(r"(^|\.)(\d+\.|\w*norm\w*\.|pixel_)[^.]+$", (place + name).lower())
    counts = (1, 3) if normalises else (3,)
    if not isinstance(value, (list, tuple)) or len(value) not in counts:
        return ()
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        return ()
    if not all(map(math.isfinite, value)):
        raise FileError(f"is damaged: {place}{name}, of its normalisation, is NaN or Inf")
    return tuple(value) if len(value) == 3 else (value[0],) * 3


def _in_unit_range(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Normalisation:
    """Check a normalisation, and bring that of images in [0, 255] to [0, 1]."""
    if min(std) <= 0:
        raise FileError(f"has a normalisation that divides by {min(std)}")
    note, unit = "", 1
    if min(std) > 1:  # pixels in [0, 1] spread less
        unit = 255
        note = f"'{name}' and its std are those of images in [0, 255] and were divided by 255"
    if not all(0 <= m <= unit and s <= unit for m, s in zip(mean, std, strict=True)):
        raise FileError(
            f"has a normalisation, '{name}', with mean {_shown(mean)} and std {_shown(std)}, which"
            " is not that of RGB images in [0, 1]",
            "correct it in the file",
        )
    mean, std = (tuple(round(v / unit, 7) for v in values) for values in (mean, std))
    if all(abs(m - other) < 0.01 for m, other in zip(mean, IMAGENET_MEAN[::-1], strict=True)):
        raise FileError(
            f"has a normalisation, '{name}', of BGR images", "take a network of RGB images"
        )
    return Normalisation(mean, std, name, note)


def _shown(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
