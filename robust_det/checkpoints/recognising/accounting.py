"""What a file holds beside the network that was found, and whether that may be."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from robust_det.checkpoints.reading import LazyTensor
from robust_det.checkpoints.recognising.choice import Found
from robust_det.checkpoints.recognising.dictionaries import dictionaries
from robust_det.checkpoints.recognising.parts import Part
from robust_det.checkpoints.use import LeftOut, Use, shown_share
from robust_det.checkpoints.words import words_in, words_of
from robust_det.core.errors import FileError
from robust_det.models.spelling import COUNTER, spelling

__all__ = ["Beside", "account"]

# of training, not of a network
_TRAINING = re.compile(r"optim|sched|rng|scaler$|loops|grad|momentum_buffer|exp_avg")
# a normalisation of images, which is read, or of anything else
_NUMBERS = re.compile(r"(^|\.)((new|pixel|image|img|norm)?_?(means?|stds?)|sds|mu|sigma)$")
# a network that another one is measured by, taught by or judged by
_JUDGES = words_of("teacher loss losses perceptual percep criterion lpips discriminator critic fid")
# heads that are built on stages without strides: atrous and pyramid pooling of segmentation
_DILATED = re.compile(
    r"(^|\.)(\w*aspp\w*|psp\w*|ppm\w*|\w*deeplab\w*)\.|\.convs\.\d+\.\d+\.weight$"
)
# heads that pool so as well, on stages that do have strides
_PYRAMIDS = re.compile(r"lateral|fpn|uper")
_LEAST_NETWORK = 4  # layers


@dataclass(frozen=True)
class Beside:
    """A network that was found, and all else that the file holds.

    Attributes:
        use: what was used, and what was not.
        averages: places of averages that are no whole network.
    """

    found: Found
    use: Use
    parts: tuple[Part, ...]

    @property
    def averages(self) -> tuple[str, ...]:
        """Places that say they are averaged weights, which are no network that can be read."""
        return tuple(p.place for p in self.parts if p.is_average and p.size > self._size / 2)

    @property
    def _size(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.found.tensors.values())

    def check(self) -> None:
        """Refuse a network that need not be the one that the file is about, or not all of it.

        Raises:
            FileError: says why, and how to choose it nevertheless.
        """
        found, place = self.found, self.use.place
        choose = f"if it is the one that you mean, say so with --prefix '{place}'"
        left = ", ".join(f"'{p.place}' ({shown_share(p.share)})" for p in self.use.left_out[:4])
        judges = sorted(words_in(place) & _JUDGES)
        others = sum(part.share for part in self.use.left_out)
        if judges and others > 0.01 and not found.is_own_teacher:
            raise FileError(
                f"holds a {found.arch} at '{place}', a {judges[0]} beside what the file is about:"
                f" {left} of its parameters",
                choose,
            )
        self._refuse_dilated()
        within = [
            part
            for part in self.parts
            if part.sees_images or (part.below and part.may_be_within(found))
        ]
        if within:
            raise FileError(
                f"has '{within[0].place}'{_more(within)} beside the stages of a {found.arch}: what"
                " computes between them or before them makes another network",
                f"if nothing of the features depends on it, say so with --prefix '{place}'",
            )
        foreign = [part for part in self.parts if not part.is_accounted_for]
        # a bank of features, or a table, is no network
        is_network = sum(part.matrices for part in foreign) >= _LEAST_NETWORK
        if is_network and sum(part.size for part in foreign) > self._size:
            raise FileError(
                f"holds a {found.arch} at '{place}', and more than that of another network: {left}"
                " of its parameters",
                choose,
            )

    def _refuse_dilated(self) -> None:
        tensors = [tensor for part in self.parts for tensor in part.tensors]
        if any(_PYRAMIDS.search(name) for name, _ in tensors):
            return
        heads = {part.own_name: part.tensors[0][0] for part in self.parts}
        # OpenMMLab's segmentation, but for those that the pyramids are of
        first = heads["decode_head"] if heads.keys() >= {"decode_head", "auxiliary_head"} else None
        for name, tensor in tensors:
            # torchvision's FCN has no such name, but convolutions where classifiers are linear
            plain = re.search(r"classifier\.0\.weight$", name) and len(tensor.shape) == 4
            dense = plain and tensor.shape[2:] == (3, 3)
            if dense or name == first or _DILATED.search(name):
                raise FileError(
                    f"is a {self.found.arch} for segmentation ({name}): res4 and res5 of such"
                    " networks are dilated, which no tensor shows, and a detector's are not",
                    "take one of classification or detection, or have it without dilation, with"
                    f" --prefix '{self.use.place}'",
                )


def account(found: Found, value: Any) -> Beside:
    """Tell which of a file's tensors belong to the network that was found.

    Not counted are what training needs, counters, the normalisation, and copies of the network.

    Args:
        found: what :func:`recognise` returned.
        value: what it was found in.
    """
    # a copy's own head may be another one: all below its place is its own
    own = [(f.container, f.prefix, _first_parts(f)) for f in (found, *found.copies)]
    parts: dict[tuple[str, str, bool], dict[Any, tuple[str, LazyTensor]]] = defaultdict(dict)
    network = {tensor.identity for tensor in found.tensors.values()}
    network |= {t.identity for copy in found.copies for t in copy.tensors.values()}
    seen = set()
    for container, name, tensor in _parameters(value):
        if tensor.identity in seen or tensor.identity in network:
            continue
        if any(
            container == place
            and name.startswith(prefix)
            and name.removeprefix(prefix).partition(".")[0] in names
            for place, prefix, names in own
        ):
            continue
        seen.add(tensor.identity)
        first, below = _first(found, container, name)
        parts[container, first, below][name] = (name, tensor)
    used = sum(math.prod(tensor.shape) for tensor in found.tensors.values())
    listed = tuple(
        Part(container, first, below, tuple(tensors.values()))
        for (container, first, below), tensors in parts.items()
    )
    whole = max(used + sum(part.size for part in listed), 1)
    left_out = sorted((LeftOut(p.place, p.size / whole) for p in listed), key=lambda p: -p.share)
    return Beside(found, Use(found.place, used / whole, tuple(left_out)), listed)


def _parameters(value: Any) -> Iterator[tuple[str, str, LazyTensor]]:
    """Yield the tensors that could be of a network: dictionary, name, tensor."""
    for container, tensors in dictionaries(value, LazyTensor):
        if _TRAINING.search(container.lower()):
            continue
        for name, tensor in tensors.items():
            counts = not tensor.dtype.is_floating_point or not tensor.shape
            if not counts and COUNTER not in name and not _NUMBERS.search(name.lower()):
                yield container, name, tensor
    for place, items in _lists(value):
        for at, tensor in enumerate(items):
            yield place, str(at), tensor


def _lists(value: Any) -> Iterator[tuple[str, list[LazyTensor]]]:
    """Yield lists of tensors, in which some classes keep averages of parameters."""
    queue: list[tuple[str, Any]] = [("", value)]
    seen: set[int] = set()
    for place, node in queue:  # grows while it is walked
        if not isinstance(node, dict) or id(node) in seen or place.count(".") > 3:
            continue
        seen.add(id(node))
        for key, inner in node.items():
            if not isinstance(key, str) or _TRAINING.search(key.lower()):
                continue
            below = f"{place}.{key}" if place else key
            if isinstance(inner, (list, tuple)) and id(inner) not in seen:
                seen.add(id(inner))
                floats = [t for t in inner if isinstance(t, LazyTensor)]
                floats = [t for t in floats if t.dtype.is_floating_point]
                if len(floats) > 1:
                    yield below, floats
            elif isinstance(inner, dict):
                queue.append((below, inner))


def _first_parts(found: Found) -> frozenset[str]:
    """Return how the names of a network's parts begin, its head's too."""
    names = spelling(found.arch, found.library).names.values()
    return frozenset(name.partition(".")[0] for name in names)


def _first(found: Found, container: str, name: str) -> tuple[str, bool]:
    """Return the beginning of a name up to where it leaves the network's prefix."""
    parts = name.split(".")
    if container != found.container:
        return "" if container else parts[0], False
    prefix = found.prefix.split(".")[:-1]
    common = 0
    while common < min(len(prefix), len(parts) - 1) and prefix[common] == parts[common]:
        common += 1
    return ".".join(parts[: common + 1]), common == len(prefix)


def _more(parts: list[Part]) -> str:
    return f" and {len(parts) - 1} more" if len(parts) > 1 else ""
