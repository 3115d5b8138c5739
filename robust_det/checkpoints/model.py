"""A model that was read: its tensors in torchvision's names, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from robust_det.checkpoints.pretrained import Validated
from robust_det.checkpoints.state_dicts import load_state
from robust_det.checkpoints.use import Use
from robust_det.core.errors import UserError
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, Classifier, ModelCard, get_architecture
from robust_det.models.spelling import COUNTER
from robust_det.models.stages import empty_network

__all__ = ["Model"]

_IMAGE_SIZE = 224  # of ImageNet's crops, where a file does not say


@dataclass(frozen=True)
class Model:
    """A network that was read.

    Attributes:
        arch: registry name.
        state: its tensors in torchvision's names, float32; without a head if the file has none.
        format: what kind of file it was, for people.
        norm, eps: threat model of its training, eps in [0, 1] pixel units, 0 for standard
            training; empty and None if the file does not say.
        mean, std: of the normalisation, RGB in [0, 1].
        image_size: side of the training crops in pixels.
        classes: their names, empty if unknown.
        notes: what was assumed or changed, one sentence each.
        assumed: that of the notes which says so of mean and std; empty if the file states them.
        head_note: that of the notes which is of the head; empty if there is nothing to say of it.
        described: whether the file carries a card of this project, so that nothing was guessed.
        source_sha256: of the file that it was converted from, if it is a conversion.
        validated: the images that its training was validated on; None if the file does not say.
        use: where in the file the tensors are, and what else it holds.
    """

    arch: str
    state: Mapping[str, torch.Tensor]
    format: str
    norm: str = ""
    eps: float | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    image_size: int = _IMAGE_SIZE
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: str = ""
    head_note: str = ""
    described: bool = False
    source_sha256: str = ""
    validated: Validated | None = None
    use: Use = field(default_factory=Use)

    @property
    def num_classes(self) -> int:
        """The width of the classification head; 0 without one."""
        head = self.state.get(f"{get_architecture(self.arch).head}.weight")
        return 0 if head is None else len(head)

    @property
    def card(self) -> ModelCard:
        """What is known about it, without its tensors."""
        return ModelCard(
            self.arch, self.norm, self.eps, self.mean, self.std, self.image_size, self.classes
        )

    @property
    def no_head(self) -> str:
        """How a message says that there is none, and why."""
        why = f": {self.head_note}" if self.head_note else ""
        return f"no classification head ({self.format}){why}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Its notes, and what else of the file was left out."""
        return (*self.notes, *filter(None, [self.use.remainder]))

    def body(self) -> nn.Module:
        """Return torchvision's network in eval mode, sharing memory with :attr:`state`.

        Without a head in the file, the network's is on the meta device and cannot run.
        """
        body = empty_network(self.arch, self.num_classes or 1)
        own, state = body.state_dict(), dict(self.state)
        for name in own.keys() - state.keys():
            if COUNTER in name:
                state[name] = torch.zeros((), dtype=torch.int64)
            elif not self.num_classes and get_architecture(self.arch).in_head(name):
                state[name] = own[name]
        load_state(body, state, "the file", assign=True)
        return body.eval()

    def classifier(self) -> Classifier:
        """Return the classifier, images in [0, 1] in and logits out, in eval mode.

        Raises:
            UserError: the file has no classification head.
        """
        if not self.num_classes:
            raise UserError(
                f"these weights of {self.arch} have {self.no_head}",
                "they can be a backbone, but not a classifier",
            )
        classifier = Classifier(self.body(), self.mean, self.std).eval()
        classifier.card = self.card
        return classifier
