"""The checkpoint of a pretrained classifier: it describes itself.

A dictionary with ``format``, ``meta`` (a :class:`ModelCard` as plain values), ``model`` (the
state dict in torchvision's names) and, while a run is under way, what resuming needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.errors import UserError
from robust_det.models import Classifier, build_classifier

__all__ = [
    "FORMAT",
    "ModelCard",
    "classifier_of",
    "load_state",
    "read_classifier",
    "read_pretrained",
]

FORMAT = "robust_det.pretrained/1"


@dataclass(frozen=True)
class ModelCard:
    """What is known about a classifier.

    Attributes:
        arch: registry name.
        norm, eps: threat model of its training; eps in [0, 1] pixel units, 0 is standard.
        mean, std: of the normalisation, RGB in [0, 1].
        image_size: side of the training crops in pixels.
        classes: class names in the order of the logits.
    """

    arch: str
    norm: str
    eps: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_size: int
    classes: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return the card as numbers, strings and lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_plain(cls, meta: Mapping[str, Any]) -> ModelCard:
        """Build a card from :meth:`plain`'s result.

        Raises:
            KeyError: a field is missing.
        """
        values: dict[str, Any] = {field.name: meta[field.name] for field in fields(cls)}
        for name in ("mean", "std", "classes"):
            values[name] = tuple(values[name])
        return cls(**values)


def read_pretrained(path: str | Path) -> tuple[ModelCard, dict[str, Any]]:
    """Read a checkpoint of ``tools/pretrain.py``.

    Returns:
        Its card and the whole content.

    Raises:
        UserError: not such a checkpoint.
    """
    content = load_checkpoint(path)
    return _card_of(content, path), content


def _card_of(content: Mapping[str, Any], source: str | Path) -> ModelCard:
    if content.get("format") != FORMAT or not isinstance(content.get("model"), dict):
        raise UserError(f"{source} is not a checkpoint of tools/pretrain.py")
    try:
        return ModelCard.from_plain(content["meta"])
    except (KeyError, TypeError) as error:
        raise UserError(f"checkpoint {source} has an incomplete description: {error}") from error


def load_state(module: torch.nn.Module, state: Mapping[str, Any], source: str) -> None:
    """Load a state dict strictly.

    Raises:
        UserError: keys or shapes are those of another network; says the first that differ.
    """
    own = module.state_dict()
    missing = sorted(set(own) - set(state))
    extra = sorted(set(state) - set(own))
    shapes = [k for k in own if k in state and getattr(state[k], "shape", None) != own[k].shape]
    if missing or extra or shapes:
        parts = [
            f"{len(names)} {what} (first: {names[0]})"
            for what, names in (
                ("missing", missing),
                ("unexpected", extra),
                ("of another shape", shapes),
            )
            if names
        ]
        raise UserError(
            f"{source} holds weights of another architecture: tensors {', '.join(parts)}"
        )
    module.load_state_dict(dict(state))


def read_classifier(path: str | Path) -> tuple[ModelCard, Classifier]:
    """Build the classifier of a checkpoint, in eval mode; the averaged weights if there are any.

    Raises:
        UserError: not a checkpoint of ``tools/pretrain.py``, or one that contradicts itself.
    """
    return classifier_of(load_checkpoint(path), path)


def classifier_of(content: Mapping[str, Any], source: str | Path) -> tuple[ModelCard, Classifier]:
    """Do what :func:`read_classifier` does, for a file that is loaded already.

    Args:
        content: what :func:`load_checkpoint` returned.
        source: the file, for messages.

    Raises:
        UserError: not a checkpoint of ``tools/pretrain.py``, or one that contradicts itself.
    """
    card = _card_of(content, source)
    model = build_classifier(card.arch, len(card.classes), card.mean, card.std)
    load_state(model.body, content.get("ema") or content["model"], str(source))
    return card, model.eval()
