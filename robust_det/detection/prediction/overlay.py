"""Pictures of images with what was found on them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.data.catalog import Metadata

from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.detection.colours import ClassVisualizer
from robust_det.detection.pictures import picture_scale, save_picture

__all__ = ["Drawing"]


class Drawing:
    """Draws and keeps pictures.

    Args:
        folder: where to.
        categories: of the detector.
        order: of the channels, ``RGB`` or ``BGR``.
        threshold: objects of a lower score are left out.
    """

    def __init__(
        self, folder: Path, categories: Sequence[Mapping[str, Any]], order: str, threshold: float
    ) -> None:
        self.folder, self.order, self.threshold = folder, order, threshold
        self.metadata = Metadata(thing_classes=[category["name"] for category in categories])

    def path(self, name: str) -> Path:
        """Return where the picture of an image is; no other image has the same.

        A JPEG's has its name; but ``a.png.jpg`` is the picture of ``a.png``.
        """
        stem, suffix = os.path.splitext(name.lower())
        own = suffix in (".jpg", ".jpeg") and not stem.endswith(SUFFIXES)
        return self.folder / (name if own else f"{name}.jpg")

    def draw(self, name: str, pixels: Any, instances: Any) -> None:
        """Draw an image.

        Args:
            name: of the image.
            pixels: (H, W, 3) uint8.
            instances: on it, on the CPU.
        """
        rgb = pixels if self.order == "RGB" else pixels[:, :, ::-1]
        shown = instances[instances.scores >= self.threshold]
        canvas = ClassVisualizer(rgb, self.metadata, picture_scale(rgb))
        save_picture(self.path(name), canvas.draw_instance_predictions(shown).get_image())
