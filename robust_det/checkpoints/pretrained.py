"""The checkpoint of a pretrained classifier: it describes itself.

A dictionary with ``format``, ``meta`` (a :class:`ModelCard` as plain values), ``model`` (the
state dict in torchvision's names) and, while a run is under way, what resuming needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robust_det.core.errors import FileError
from robust_det.models import ModelCard

__all__ = [
    "FORMAT",
    "PRETRAINING",
    "card_of_pretraining",
    "require_format",
]

FORMAT = "robust_det.pretrained/1"
# what people are told such a file is
PRETRAINING = "checkpoint of tools/pretrain.py"


def require_format(content: Mapping[str, Any]) -> None:
    """Refuse what is no checkpoint of ``tools/pretrain.py``.

    Raises:
        FileError: it is not one.
    """
    if content.get("format") != FORMAT or not isinstance(content.get("model"), dict):
        raise FileError(f"is not a {PRETRAINING}")


def card_of_pretraining(content: Mapping[str, Any]) -> ModelCard:
    """Return the card in a checkpoint's content.

    Raises:
        FileError: it is incomplete.
    """
    try:
        return ModelCard.from_plain(content["meta"])
    except (KeyError, TypeError) as error:
        raise FileError(f"has an incomplete description: {error}") from error
