"""The checkpoint of a pretrained classifier: it describes itself.

A dictionary with ``format``, ``meta`` (a :class:`ModelCard` as plain values), ``model`` (the
state dict in torchvision's names) and, while a run is under way, what resuming needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from robust_det.core.errors import FileError
from robust_det.models import ModelCard

__all__ = [
    "FORMAT",
    "PRETRAINING",
    "Validated",
    "card_of_pretraining",
    "require_format",
    "validated_in",
]

FORMAT = "robust_det.pretrained/1"
# what people are told such a file is
PRETRAINING = "checkpoint of tools/pretrain.py"


@dataclass(frozen=True)
class Validated:
    """The images that a run was validated on.

    Attributes:
        folder: its ``DATA.VAL``.
        fraction, seed: by which they were split off the training images; a fraction of 0 is not.
        names: digest of their classes and names, see
            :func:`robust_det.data.classification.identity.names_digest`.
        resize: short side that they were cropped from, in pixels.
    """

    folder: str
    fraction: float
    seed: int
    names: str
    resize: int


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


def validated_in(content: Mapping[str, Any]) -> Validated | None:
    """Return which images a checkpoint's run was validated on; None if it does not say."""
    data = content.get("config", {}).get("DATA", {})
    names = content.get("data", {}).get("names", ())
    if "VAL" not in data or len(names) != 2:  # of earlier versions
        return None
    return Validated(
        str(data["VAL"]),
        float(data["VAL_FRACTION"]),
        int(data["VAL_SEED"]),
        str(names[1]),
        int(data["RESIZE"]),
    )
