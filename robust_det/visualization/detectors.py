"""Trained detectors that are shown, and the features of their stages and pyramid levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from detectron2.structures import ImageList
from torch import nn

from robust_det.checkpoints.backbone_file import card_of
from robust_det.checkpoints.io import peek_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.core.errors import UserError, did_you_mean_file
from robust_det.core.files import sha256_file
from robust_det.detection.checkpointer import is_backbone
from robust_det.detection.config.complete import CONFIG_NAME
from robust_det.detection.detector import Detector, load_detector
from robust_det.visualization.record import ShownNetwork

__all__ = ["ShownDetector", "load_detectors"]


@dataclass(frozen=True)
class ShownDetector:
    """A detector that is shown."""

    name: str
    detector: Detector
    shown: ShownNetwork

    @property
    def classes(self) -> list[str]:
        """The names of its classes in their order."""
        return [str(category["name"]) for category in self.detector.categories]

    @property
    def model(self) -> Any:
        """Detectron2's network."""
        return self.detector.model

    @property
    def stages(self) -> dict[str, int]:
        """Strides of its backbone's stages by name, without those of the pyramid."""
        backbone = self.model.backbone
        return _strides(getattr(backbone, "bottom_up", backbone))

    @property
    def levels(self) -> dict[str, int]:
        """Strides of its pyramid levels by name; none without a pyramid."""
        backbone = self.model.backbone
        return _strides(backbone) if hasattr(backbone, "bottom_up") else {}

    @property
    def strides(self) -> dict[str, int]:
        """Strides of all its layers by name."""
        return self.stages | self.levels

    def batch(self, image: torch.Tensor) -> ImageList:
        """Return an image as the network takes it, normalised and padded, differentiable.

        Args:
            image: (3, H, W) from 0 to 255, in its order of channels.
        """
        images: ImageList = self.model.preprocess_image([{"image": image}])
        return images

    def features(self, images: ImageList) -> dict[str, torch.Tensor]:
        """Return all layers by name, (1, C, h, w) of the padded image, differentiable."""
        backbone = self.model.backbone
        if not hasattr(backbone, "bottom_up"):
            return dict(backbone(images.tensor))
        stages: dict[str, torch.Tensor] = {}

        def keep(module: nn.Module, inputs: Any, given: Mapping[str, torch.Tensor]) -> None:
            stages.update(given)

        hook = backbone.bottom_up.register_forward_hook(keep)
        try:
            levels = backbone(images.tensor)
        finally:
            hook.remove()
        return stages | dict(levels)

    def from_unit(self, image: torch.Tensor) -> torch.Tensor:
        """Return an RGB image (3, H, W) in [0, 1] from 0 to 255, in its order of channels."""
        ordered = image if self.detector.cfg.INPUT.FORMAT == "RGB" else image.flip(0)
        return ordered * 255


def _strides(backbone: Any) -> dict[str, int]:
    return {name: int(shape.stride) for name, shape in backbone.output_shape().items()}


def load_detectors(given: Sequence[str], device: torch.device) -> list[ShownDetector]:
    """Load trained detectors.

    Args:
        given: folders of runs, their configs, or files of detectors with their config beside them.
        device: where they compute.

    Raises:
        UserError: one of them is not there, is a backbone, or is not whole.
    """
    found: dict[str, ShownDetector] = {}
    for text in given:
        config, weights = _files(Path(text))
        overrides = ["MODEL.DEVICE", str(device)]
        detector = load_detector(str(config), overrides, weights)
        sha256 = sha256_file(detector.path)
        if sha256 not in found:
            found[sha256] = _shown(detector, sha256)
    return _told_apart(list(found.values()))


def _files(path: Path) -> tuple[Path, Path | None]:
    """Return the config of a detector, and its file if it is not the one of the config."""
    if path.is_dir():
        if not (path / CONFIG_NAME).is_file():
            raise UserError(
                f"{path} is no folder of a trained detector: there is no {CONFIG_NAME} in it; give"
                " one of robust-det train"
            )
        return path / CONFIG_NAME, None
    if not path.is_file():
        raise UserError(f"no detector at {path}{did_you_mean_file(path)}")
    if path.suffix in (".yaml", ".yml"):
        return path, None
    content = peek_checkpoint(path)
    if is_backbone(content) or content.get("format") == FORMAT:
        raise UserError(
            f"{path} is a backbone, not a detector; give it as --backbones, to a kind that shows"
            " backbones, or the folder of a detector that was trained from it"
        )
    if not (path.parent / CONFIG_NAME).is_file():
        raise UserError(
            f"there is no {CONFIG_NAME} beside {path}, which says what network it is; give the"
            " folder of a run of robust-det train, or a file in one"
        )
    return path.parent / CONFIG_NAME, path


def _shown(detector: Detector, sha256: str) -> ShownDetector:
    if len(detector.cfg.MODEL.PIXEL_MEAN) != 3 or detector.cfg.INPUT.FORMAT not in ("RGB", "BGR"):
        raise UserError(
            f"{detector.path} takes images as {detector.cfg.INPUT.FORMAT}; RGB and BGR are shown"
        )
    card = card_of(peek_checkpoint(detector.path), detector.path)
    name = detector.path.absolute().parent.name
    norm, eps = (card.norm, card.eps) if card is not None else ("", None)
    arch = str(detector.cfg.MODEL.BACKBONE.ARCH)
    shown = ShownNetwork(name, "detector", str(detector.path), sha256, arch, norm, eps)
    return ShownDetector(name, detector, shown)


def _told_apart(detectors: list[ShownDetector]) -> list[ShownDetector]:
    """Let detectors of folders that are called alike have what tells them apart."""
    names = [each.name for each in detectors]
    made = []
    for each in detectors:
        if names.count(each.name) > 1:
            name = f"{each.name} ({each.shown.sha256[:8]})"
            record = each.shown
            shown = ShownNetwork(
                name, "detector", record.path, record.sha256, record.arch, record.norm, record.eps
            )
            each = replace(each, name=name, shown=shown)
        made.append(each)
    return made
