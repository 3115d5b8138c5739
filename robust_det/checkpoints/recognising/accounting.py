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
from robust_det.checkpoints.recognising.said import words_of
from robust_det.checkpoints.use import LeftOut, Use, shown_share
from robust_det.core.errors import FileError
from robust_det.models import get_architecture
from robust_det.models.spelling import COUNTER, spelling

__all__ = ["Beside", "account"]

# of training, not of a network
_TRAINING = re.compile(r"optim|sched|rng|scaler$|loops|grad|momentum_buffer|exp_avg")
# a normalisation of images, which is read, or of anything else
_NUMBERS = re.compile(r"(^|\.)((new|pixel|image|img|norm)?_?(means?|stds?)|sds|mu|sigma)$")
# a network that another one is measured by, taught by or judged by
_JUDGES = words_of("teacher loss losses perceptual percep criterion lpips discriminator critic fid")
# what stands behind a network: nothing of its features depends on it
_BEHIND = words_of(
    "head heads neck necks fpn rpn roi rois bbox box boxes mask masks proposal classifier"
    " classifiers classification cls class fc fcs linear logit logits projector projectors"
    " projection proj predictor predictors prediction predictions prototypes prototype queue aux"
    " auxiliary decoder decoders decode deconv final output outputs out last lateral laterals"
    " embedding embeddings embed embedder bottleneck bnneck pool pooling avgpool gap attnpool"
    " dropout transformer query queries center centers loss losses criterion metric metrics acc"
    " accuracy hm wh reg regression regressor heatmap offset keypoint keypoints rot top seg"
    " segmentation sem panoptic up upsample arcface margin mlp memory bank temperature scale"
    " score scores rnn lstm gru momentum fusion anchor anchors extra extras normalize"
    " normalizer"
)
# what stands in its midst, whatever else it is called
_WITHIN = re.compile(r"att(n|ention)?|gates?|c?bam|se|sam|eca|stn|adapters?|dyn|film")
_ACTIVATIONS = words_of("relu prelu act activation")
# heads that are built on stages without strides: atrous and pyramid pooling of segmentation
_DILATED = re.compile(
    r"(^|\.)(\w*aspp\w*|psp\w*|ppm\w*|\w*deeplab\w*)\.|\.convs\.\d+\.\d+\.weight$"
)
# heads that pool so as well, on stages that do have strides
_PYRAMIDS = re.compile(r"lateral|fpn|uper")
_LEAST_NETWORK = 4  # layers
_AVERAGES = re.compile(r"(^|[^a-z])(ema|averaged?|avg|swa|shadow|polyak)([^a-z]|$)")


@dataclass(frozen=True)
class _Part:
    """Tensors outside of the network whose names begin alike."""

    container: str
    name: str  # of the first part of their names
    below: bool  # the network's own prefix
    tensors: tuple[tuple[str, LazyTensor], ...]

    @property
    def place(self) -> str:
        return f"{self.container}/{self.name}" if self.container and self.name else (
            self.name or self.container
        )  # fmt: skip

    @property
    def size(self) -> int:
        return sum(math.prod(tensor.shape) for _, tensor in self.tensors)

    @property
    def matrices(self) -> int:
        return sum(len(tensor.shape) > 1 for _, tensor in self.tensors)

    @property
    def sees_images(self) -> bool:
        """Whether it has a batch norm of three channels: images pass it before the network."""
        return not self.is_accounted_for and any(
            name.endswith("running_mean") and tensor.shape == (3,) for name, tensor in self.tensors
        )

    @property
    def is_average(self) -> bool:
        return bool(_AVERAGES.search(self.place.lower()))

    @property
    def is_accounted_for(self) -> bool:
        return self.is_average or bool(_words(self.place) & _BEHIND)


@dataclass(frozen=True)
class Beside:
    """A network that was found, and all else that the file holds.

    Attributes:
        use: what was used, and what was not.
        averages: places of averages that are no whole network.
    """

    found: Found
    use: Use
    parts: tuple[_Part, ...]

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
        judges = sorted(_words(place) & _JUDGES)
        others = sum(part.share for part in self.use.left_out)
        if judges and others > 0.01 and not found.is_own_teacher:
            raise FileError(
                f"holds a {found.arch} at '{place}', a {judges[0]} beside what the file is about:"
                f" {left} of its parameters",
                choose,
            )
        for part in self.parts:
            self._refuse_dilated(part)
        within = [
            part
            for part in self.parts
            if part.sees_images or (part.below and self._may_be_within(part))
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

    def _refuse_dilated(self, part: _Part) -> None:
        if any(_PYRAMIDS.search(name) for name, _ in part.tensors):
            return
        for name, tensor in part.tensors:
            # torchvision's FCN has no such name, but convolutions where classifiers are linear
            plain = re.search(r"classifier\.0\.weight$", name) and len(tensor.shape) == 4
            dense = plain and tensor.shape[2:] == (3, 3)
            if dense or _DILATED.search(name):
                raise FileError(
                    f"is a {self.found.arch} for segmentation ({name}): res4 and res5 of such"
                    " networks are dilated, which no tensor shows, and a detector's are not",
                    "take one of classification or detection, or have it without dilation, with"
                    f" --prefix '{self.use.place}'",
                )

    def _may_be_within(self, part: _Part) -> bool:
        """Whether features could depend on a part that is named beside the stages."""
        words = _words(part.name)
        # a layer, or a vector as wide as images or features
        widths = {3, *(shape[0] for shape in self.found.shapes.values() if shape)}
        shapes = [tensor.shape for _, tensor in part.tensors]
        if words & _ACTIVATIONS:
            return True
        if not any(len(shape) > 1 or set(shape) <= widths for shape in shapes):
            return False
        if any(map(_WITHIN.fullmatch, words)):
            return not words & {"head", "heads", "pool", "pooling"}
        if words & _BEHIND:
            return False
        # linear layers that end in something else than features are a head of any name
        weights = [shape for shape in shapes if len(shape) > 1]
        stages = get_architecture(self.found.arch).stages
        is_head = (
            bool(weights)
            and all(len(shape) == 2 for shape in weights)
            and weights[0][1] == stages[-1].channels
            and weights[-1][0] not in {stage.channels for stage in stages}
        )
        return not is_head


def account(found: Found, value: Any) -> Beside:
    """Tell which of a file's tensors belong to the network that was found.

    Not counted are what training needs, counters, the normalisation, and copies of the network.

    Args:
        found: what :func:`recognise` returned.
        value: what it was found in.
    """
    # a copy's own head may be another one: all below its place is its own
    own = [(found.container, found.prefix)]
    copies = [(copy.container, copy.prefix) for copy in found.copies]
    parts: dict[tuple[str, str, bool], dict[Any, tuple[str, LazyTensor]]] = defaultdict(dict)
    network = {tensor.identity for tensor in found.tensors.values()}
    network |= {t.identity for copy in found.copies for t in copy.tensors.values()}
    seen = set()
    for container, name, tensor in _parameters(value):
        if tensor.identity in seen or tensor.identity in network:
            continue
        if any(_is_own(found, at, container, name) for at in (*own, *copies)):
            continue
        seen.add(tensor.identity)
        first, below = _first(found, container, name)
        parts[container, first, below][name] = (name, tensor)
    used = sum(math.prod(tensor.shape) for tensor in found.tensors.values())
    listed = tuple(
        _Part(container, first, below, tuple(tensors.values()))
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


def _lists(value: Any, place: str = "", depth: int = 0) -> Iterator[tuple[str, list[LazyTensor]]]:
    """Yield lists of tensors, in which some classes keep averages of parameters."""
    if not isinstance(value, dict) or depth > 3:
        return
    for key, inner in value.items():
        if not isinstance(key, str) or _TRAINING.search(key.lower()):
            continue
        below = f"{place}.{key}" if place else key
        if isinstance(inner, (list, tuple)):
            tensors = [t for t in inner if isinstance(t, LazyTensor) and t.dtype.is_floating_point]
            if len(tensors) > 1:
                yield below, tensors
        else:
            yield from _lists(inner, below, depth + 1)


def _is_own(found: Found, at: tuple[str, str], container: str, name: str) -> bool:
    """Whether a tensor below a network's place has the name of one of its parts or of its head."""
    if container != at[0] or not name.startswith(at[1]):
        return False
    names = spelling(found.arch, found.library).names.values()
    return name.removeprefix(at[1]).partition(".")[0] in {n.partition(".")[0] for n in names}


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


def _words(text: str) -> set[str]:
    """Return the words of a place, also those of camelCase."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower()
    return set(words_of(re.sub(r"[^a-z]", " ", apart)))


def _more(parts: list[_Part]) -> str:
    return f" and {len(parts) - 1} more" if len(parts) > 1 else ""
