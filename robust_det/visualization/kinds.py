"""The kinds of pictures by name. Reading it imports none of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from robust_det.visualization.job import Job, Result

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """A kind of picture.

    Attributes:
        title: over the picture.
        module: below ``robust_det.visualization``, with ``draw(job)``.
        options: of the command line that have an effect on it, beside those of all kinds.
        backbones, detectors: whether it shows such networks.
    """

    title: str
    module: str
    options: frozenset[str]
    backbones: bool = True
    detectors: bool = False

    def load(self) -> Callable[[Job], Result]:
        """Import the module and return what draws."""
        module = importlib.import_module(f"robust_det.visualization.{self.module}")
        draw: Callable[[Job], Result] = module.draw
        return draw


_IMAGES = frozenset(("images", "draw", "seed"))
_SEARCH = frozenset(("iterations", "preset", "eps", "step", "seed_image", "size"))

KINDS = {
    "inversion": Kind("Images by their representation alone", "inversion", _IMAGES | _SEARCH),
    "gradients": Kind("Gradients of the loss", "gradients", _IMAGES | {"size", "label"}),
    "classes": Kind("What raises a class", "classes", _SEARCH | {"classes", "draw", "seed"}),
    "features": Kind(
        "Features by their principal components",
        "features",
        _IMAGES | {"size", "layers"},
        detectors=True,
    ),
    "filters": Kind("Filters of the first convolution", "filters", frozenset()),
    "explain": Kind(
        "What the score of each box follows from",
        "explain",
        _IMAGES | {"layers", "boxes", "score"},
        backbones=False,
        detectors=True,
    ),
}
