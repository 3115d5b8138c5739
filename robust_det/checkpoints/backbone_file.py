"""The file of a converted backbone: Detectron2 weights that say what they are.

A dictionary with ``model`` (tensors in Detectron2's names, without a prefix), ``rest`` (what a
backbone has no place for: the classification head and batch norm's counters, so that nothing of the
source is lost), ``robust_det`` (the :class:`BackboneCard`) and what stock Detectron2 needs to load
the file by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from robust_det.attacks import NORMS
from robust_det.checkpoints.io import peek_checkpoint, save_checkpoint
from robust_det.core.errors import FileError

__all__ = ["CARD_KEY", "BackboneCard", "card_of", "pixel_settings", "read_card", "write_backbone"]

CARD_KEY = "robust_det"


def pixel_settings(
    mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """Turn a normalisation of RGB images in [0, 1] into Detectron2's keys.

    Returns:
        ``MODEL.PIXEL_MEAN`` and ``MODEL.PIXEL_STD`` for images in [0, 255], and ``INPUT.FORMAT``.
    """
    return tuple(255.0 * v for v in mean), tuple(255.0 * v for v in std), "RGB"


@dataclass(frozen=True)
class BackboneCard:
    """What is known about a converted backbone.

    Attributes:
        arch: registry name.
        norm, eps: threat model of the pretraining; eps in [0, 1] pixel units, 0 is standard.
            For weights of unknown training eps is None and norm empty.
        pixel_mean, pixel_std: as ``MODEL.PIXEL_MEAN`` and ``MODEL.PIXEL_STD``, in [0, 255].
        input_format: channel order of the images, always RGB.
        source_sha256: hash of the file it was converted from.
        differences: largest relative difference of each stage at conversion.
        image_size: side of the pretraining's crops in pixels.
        mean, std: of images in [0, 1], as those of torchvision are.
        classes: names of the pretraining's classes, if they are known.
        source_format: what kind of file it was converted from.
    """

    arch: str
    norm: str
    eps: float | None
    pixel_mean: tuple[float, ...]
    pixel_std: tuple[float, ...]
    input_format: str
    source_sha256: str
    differences: Mapping[str, float]
    image_size: int = 224
    classes: tuple[str, ...] = ()
    source_format: str = ""

    @property
    def mean(self) -> tuple[float, ...]:
        return tuple(value / 255 for value in self.pixel_mean)

    @property
    def std(self) -> tuple[float, ...]:
        return tuple(value / 255 for value in self.pixel_std)

    def plain(self) -> dict[str, Any]:
        """Return the card as numbers, strings, lists and dictionaries."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def card_of(content: Mapping[str, Any], source: str | Path = "") -> BackboneCard | None:
    """Return the card in a loaded file, or None if it has none.

    The card also travels in the checkpoints of detectors that were fine-tuned from the backbone.

    Args:
        content: of the file.
        source: the file, for messages, where nobody else names it.

    Raises:
        FileError: there is a card, but an incomplete one.
    """
    meta = content.get(CARD_KEY)
    if meta is None:
        return None
    try:
        values = {
            field.name: meta[field.name]
            if field.default is MISSING
            else meta.get(field.name, field.default)
            for field in fields(BackboneCard)
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise FileError(
            f"has an incomplete description: {error}", "convert again", str(source)
        ) from error
    plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    if wrong := [name for name, sound in _SOUND.items() if not sound(plain[name])]:
        raise FileError(
            f"has a damaged description: {wrong[0]} is {_shown(plain[wrong[0]])}",
            "convert again",
            str(source),
        )
    return BackboneCard(**plain)


def _shown(value: Any) -> str:
    # not of all there is: the text of nested lists, or of a number, can be endless
    simple = value is None or isinstance(value, (str, float))
    if simple or (isinstance(value, int) and value.bit_length() < 64):
        return str(value)[:50]
    return f"a {type(value).__name__}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value < 1e9  # not so NaN and Inf


def _is_colour(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 3
        and all(_is_number(v) and v <= 255 for v in value)
    )


_SOUND = {
    "arch": _is_text,
    "norm": lambda value: _is_text(value) and value in ("", *NORMS),
    "eps": lambda value: value is None or _is_number(value),
    "pixel_mean": _is_colour,
    "pixel_std": lambda value: _is_colour(value) and min(value) > 0,
    "input_format": lambda value: _is_text(value) and value == "RGB",  # no other is written
    "source_sha256": _is_text,
    "differences": lambda value: isinstance(value, Mapping),
    "image_size": lambda value: isinstance(value, int) and _is_number(value) and value > 0,
    "classes": lambda value: isinstance(value, tuple) and all(map(_is_text, value)),
    "source_format": _is_text,
}


def read_card(path: str | Path) -> BackboneCard | None:
    """Return the card of a backbone or detector file, or None if it has none; reads no tensor."""
    return card_of(peek_checkpoint(path), path)


def write_backbone(
    path: str | Path, model: Mapping[str, Any], card: BackboneCard, rest: Mapping[str, Any]
) -> None:
    """Write a backbone file atomically.

    Args:
        path: the file.
        model: tensors in Detectron2's names.
        card: their description.
        rest: the source's other tensors, in Detectron2's names.
    """
    content = {
        "model": dict(model),
        "rest": dict(rest),
        CARD_KEY: card.plain(),
        # lets stock Detectron2 match the names whatever the prefix in its model
        "__author__": "robust_det",
        "matching_heuristics": True,
    }
    save_checkpoint(path, content)
