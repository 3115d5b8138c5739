"""What a picture is made of, and what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from robust_det.core.resampling import Interval
from robust_det.visualization.record import ShownNetwork
from robust_det.visualization.sheet import Sheet
from robust_det.zoo.backbone_files import BackboneFile

if TYPE_CHECKING:
    from robust_det.visualization.detectors import ShownDetector

__all__ = ["Job", "Mean", "Result"]


@dataclass(frozen=True)
class Job:
    """What to draw, of which networks and images.

    Attributes:
        title: of the picture.
        backbones, detectors: the networks, in the order of the picture.
        images: files, drawn already.
        device: where to compute.
        seed: of all draws.
        size: side in pixels of what networks see; their own if None.
        iterations, eps, step: of the search for an image; the kind's own if None. eps and step are
            L2 distances of images in [0, 1].
        seed_image: where the search begins, in place of noise.
        label: whose loss is differentiated: ``true``, ``predicted``, or ``auto``.
        classes: names of classes; drawn if there are none.
        draw: how many classes are drawn.
        layers: names of stages and pyramid levels; the kind's own if there are none.
        boxes: objects an image at most.
        score: of a box at least, in [0, 1].
    """

    title: str
    backbones: Sequence[BackboneFile] = ()
    detectors: Sequence[ShownDetector] = ()
    images: Sequence[Path] = ()
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seed: int = 0
    size: int | None = None
    iterations: int | None = None
    eps: float | None = None
    step: float | None = None
    seed_image: Path | None = None
    label: str = "auto"
    classes: Sequence[str] = ()
    draw: int = 8
    layers: Sequence[str] = ()
    boxes: int = 4
    score: float = 0.5


@dataclass(frozen=True)
class Mean:
    """A figure of a network over images.

    Attributes:
        network: its name.
        metric: what is averaged.
        interval: the mean and its 95% interval over images, NaN of a single image.
        minus: the network whose figures on the same images are subtracted; empty if none.
    """

    network: str
    metric: str
    interval: Interval
    minus: str = ""


@dataclass(frozen=True)
class Result:
    """What a kind draws.

    Attributes:
        sheet: the picture.
        networks: those that are shown.
        rows: figures, a mapping a network and image, or whatever else has any; of the same keys.
        means: of them.
        said: sentences about what came out, and what was assumed.
        settings: all that the figures follow from, as plain values.
    """

    sheet: Sheet
    networks: Sequence[ShownNetwork]
    rows: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    means: Sequence[Mean] = ()
    said: Sequence[str] = ()
