"""From a model that was read to a network whose output is what its last linear layer is given."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from robust_det.checkpoints.model import Model
from robust_det.core.errors import FileError, UserError, reason_of
from robust_det.models import Classifier, get_architecture
from robust_det.models.folding import FoldedNorms
from robust_det.models.heads import features_of_head
from robust_det.models.spelling import COUNTER

__all__ = ["FeatureNetwork", "feature_network"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureNetwork:
    """A frozen backbone up to its last linear layer.

    Attributes:
        module: RGB images (N, 3, H, W) in [0, 1] to features (N, width), in eval mode: batch norms
            have their running statistics, and dropout does nothing.
        width: of the features.
        arch: registry name.
    """

    module: nn.Module
    width: int
    arch: str

    @contextlib.contextmanager
    def running(self) -> Iterator[nn.Module]:
        """Yield what computes the same, its batch norms folded into convolutions, without
        parameter gradients.

        Values differ by rounding alone, so an architecture that cannot be traced, as some of timm
        cannot, runs as it is, and a warning says that it is slower.
        """
        try:
            folding = FoldedNorms(self.module)
        except UserError as error:
            logger.warning(
                f"{self.arch} runs with its batch norms as they are, which takes longer: it cannot"
                f" be traced to fold them ({reason_of(error.__cause__ or error)})"
            )
            yield self.module
            return
        with folding() as folded:
            yield folded


def feature_network(model: Model, where: str) -> FeatureNetwork:
    """Return the network up to what its last linear layer is given, sharing the model's tensors.

    That is what is pooled, 2048 features for ResNet-50; of a head of several layers the last hidden
    one, 4096 for VGG.

    Args:
        model: whose classes do not matter; it may lack that linear layer.
        where: it was read from, for messages.

    Raises:
        FileError: it lacks other layers of its head.
    """
    architecture, body = get_architecture(model.arch), model.body()
    head = architecture.head
    hidden = [n for n in body.state_dict() if architecture.in_head(n) and COUNTER not in n]
    lost = next((n for n in hidden if not n.startswith(f"{head}.") and n not in model.state), "")
    if lost:
        raise FileError(
            f"lacks {lost}, which is between the backbone of {model.arch} and its last linear"
            " layer",
            "give a file of these weights with their head",
            where,
        )
    width = features_of_head(body.get_submodule(head))
    assert width is not None
    parent, _, name = head.rpartition(".")
    setattr(body.get_submodule(parent), name, nn.Identity())
    network = Classifier(body, model.mean, model.std).eval().requires_grad_(False)
    return FeatureNetwork(network, width, model.arch)
