"""What a classifier says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["ModelCard"]


@dataclass(frozen=True)
class ModelCard:
    """What is known about a classifier.

    Attributes:
        arch: registry name.
        norm, eps: threat model of its training; eps in [0, 1] pixel units, 0 is standard. Of
            weights from elsewhere eps may be None, unknown.
        mean, std: of the normalisation, RGB in [0, 1].
        image_size: side of the training crops in pixels.
        classes: class names in the order of the logits; of weights from elsewhere maybe none.
    """

    arch: str
    norm: str
    eps: float | None
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
