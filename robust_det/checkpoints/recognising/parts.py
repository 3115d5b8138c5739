"""The parts of a file that are beside a network, and what their names say of them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from robust_det.checkpoints.reading import LazyTensor
from robust_det.checkpoints.recognising.choice import Found
from robust_det.checkpoints.words import words_in, words_of
from robust_det.models import get_architecture

__all__ = ["Part"]

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
    " latlayer toplayer smooth dec outc outconv loc conf"
)
# what stands in its midst, whatever else it is called
_WITHIN = re.compile(r"att(n|ention)?|gates?|c?bam|se|sam|eca|stn|adapters?|dyn|film")
_ACTIVATIONS = words_of("relu prelu act activation")
_AVERAGES = re.compile(r"(^|[^a-z])(ema|averaged?|avg|swa|shadow|polyak)([^a-z]|$)")


@dataclass(frozen=True)
class Part:
    """Tensors beside a network whose names begin alike.

    Attributes:
        container: path of their dictionary.
        name: how their names begin, up to where they leave the network's; may be empty.
        below: whether that is below the network's own prefix.
        tensors: by name.
    """

    container: str
    name: str
    below: bool
    tensors: tuple[tuple[str, LazyTensor], ...]

    @property
    def place(self) -> str:
        """Where it is, as ``--prefix`` names places."""
        return "/".join(filter(None, (self.container, self.name)))

    @property
    def own_name(self) -> str:
        """Its name without what it is a part of."""
        return (self.name or self.container).rpartition(".")[2]

    @property
    def size(self) -> int:
        """The number of its parameters."""
        return sum(math.prod(tensor.shape) for _, tensor in self.tensors)

    @property
    def matrices(self) -> int:
        """The number of its layers."""
        return sum(len(tensor.shape) > 1 for _, tensor in self.tensors)

    @property
    def sees_images(self) -> bool:
        """Whether it has a batch norm of three channels: images pass it before the network."""
        return not self.is_accounted_for and any(
            name.endswith("running_mean") and tensor.shape == (3,) for name, tensor in self.tensors
        )

    @property
    def is_average(self) -> bool:
        """Whether it says that it holds averaged weights."""
        return bool(_AVERAGES.search(self.place.lower()))

    @property
    def is_accounted_for(self) -> bool:
        """Whether it is named as what stands behind a network, or is a copy of it."""
        return self.is_average or bool(words_in(self.name or self.container) & _BEHIND)

    def may_be_within(self, found: Found) -> bool:
        """Whether features could depend on it, where it is named beside the stages."""
        words = words_in(self.own_name)
        # a layer, or a vector as wide as images or features
        widths = {3, *(shape[0] for shape in found.shapes.values() if shape)}
        shapes = [tensor.shape for _, tensor in self.tensors]
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
        channels = [stage.channels for stage in get_architecture(found.arch).stages]
        is_head = (
            bool(weights)
            and all(len(shape) == 2 for shape in weights)
            and weights[0][1] in channels[-1:]
            and weights[-1][0] not in channels
        )
        return not is_head
