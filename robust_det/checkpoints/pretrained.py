"""The checkpoint of a pretrained classifier: it describes itself.

A dictionary with ``format``, ``meta`` (a :class:`ModelCard` as plain values), ``model`` (the
state dict in torchvision's names) and, while a run is under way, what resuming needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import FileError, naming
from robust_det.models import ModelCard

__all__ = [
    "FORMAT",
    "PRETRAINING",
    "card_of_pretraining",
    "read_pretrained",
]

FORMAT = "robust_det.pretrained/1"
# what people are told such a file is
PRETRAINING = "checkpoint of tools/pretrain.py"


def read_pretrained(path: str | Path) -> tuple[ModelCard, dict[str, Any]]:
    """Read a checkpoint of ``tools/pretrain.py``.

    Returns:
        Its card and the whole content.

    Raises:
        FileError: not such a checkpoint.
    """
    content = load_checkpoint(path)
    with naming(path):
        if content.get("format") != FORMAT or not isinstance(content.get("model"), dict):
            raise FileError(f"is not a {PRETRAINING}")
        return card_of_pretraining(content), content


def card_of_pretraining(content: Mapping[str, Any]) -> ModelCard:
    """Return the card in a checkpoint's content.

    Raises:
        FileError: it is incomplete.
    """
    try:
        return ModelCard.from_plain(content["meta"])
    except (KeyError, TypeError) as error:
        raise FileError(f"has an incomplete description: {error}") from error
