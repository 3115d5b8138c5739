"""An image with what attacks made of it."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from robust_det.core.files import write_atomically

__all__ = [
    "FELL",
    "STANDING",
    "WRONG",
    "Example",
    "Seen",
    "load_examples",
    "save_examples",
    "seen_by",
]

# of an image that is wrong as it is, that no attack felled, and that one did
WRONG, STANDING, FELL = "wrong", "standing", "fell"


@dataclass(frozen=True)
class Seen:
    """What a network takes an image for.

    Attributes:
        prediction: the class.
        confidence: its probability.
    """

    prediction: int
    confidence: float


@dataclass(frozen=True)
class Example:
    """An image with what attacks made of it.

    Attributes:
        rank: its place in a random order of all images.
        target: its class.
        fell: what became of it at each eps: one of these words, or the name of what felled it, with
            ``@`` and the eps where that was a smaller one.
        pixels: (3, H, W) uint8.
        changes: (eps, 3, H, W) float16, the attacked image at each eps less the image.
        seen: the image as it is, and at each eps.
    """

    rank: int
    target: int
    fell: tuple[str, ...]
    pixels: NDArray[np.uint8]
    changes: NDArray[np.float16]
    seen: tuple[Seen, ...]

    @property
    def right(self) -> bool:
        """Whether the image is classified right as it is."""
        return self.seen[0].prediction == self.target


@torch.no_grad()
def seen_by(logits: torch.Tensor) -> list[Seen]:
    """Return what logits (N, K) mean."""
    confidence, prediction = logits.float().softmax(1).max(1)
    pairs = zip(prediction.tolist(), confidence.tolist(), strict=True)
    return [Seen(number, share) for number, share in pairs]


def save_examples(path: Path, examples: Sequence[Example]) -> None:
    """Write examples of one size as a file of numpy."""
    said = [
        {
            "rank": one.rank,
            "target": one.target,
            "fell": one.fell,
            "seen": [[each.prediction, each.confidence] for each in one.seen],
        }
        for one in examples
    ]
    out = io.BytesIO()
    np.savez(
        out,
        said=np.array(json.dumps(said)),
        pixels=np.stack([one.pixels for one in examples]),
        changes=np.stack([one.changes for one in examples]),
    )
    write_atomically(path, lambda file: file.write(out.getvalue()))


def load_examples(path: Path) -> list[Example]:
    """Return what :func:`save_examples` wrote; nothing if that is not there or is damaged."""
    broken = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
    with contextlib.suppress(*broken):
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            pixels, changes = file["pixels"], file["changes"]
            said = json.loads(str(file["said"]))
        return [
            Example(
                one["rank"],
                one["target"],
                tuple(one["fell"]),
                pixels[place],
                changes[place],
                tuple(Seen(*each) for each in one["seen"]),
            )
            for place, one in enumerate(said)
        ]
    return []
