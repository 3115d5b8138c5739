"""Backbones that are shown side by side: loading, and whether they go into one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from robust_det.checkpoints.io import peek_checkpoint
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.core.errors import UserError
from robust_det.detection.provenance import provenance_in
from robust_det.models import Classifier, check_image_size, get_architecture
from robust_det.visualization.record import ShownNetwork
from robust_det.zoo.backbone_files import BackboneFile

__all__ = [
    "ShownBackbone",
    "common_size",
    "load_backbones",
    "refuse_detectors",
    "same_classes",
]

# what Detectron2 calls the parts of detectors beside their backbone
_OF_DETECTORS = ("proposal_generator.", "roi_heads.", "head.cls_subnet.", "sem_seg_head.")


@dataclass(frozen=True)
class ShownBackbone:
    """A backbone that is shown: its file, and what was read from it."""

    file: BackboneFile
    model: Model

    @property
    def name(self) -> str:
        """What it is called in the picture."""
        return self.file.name

    @property
    def stride(self) -> int:
        """Pixels from one of its deepest features to the next; 1 of a network without stages."""
        return max((stage.stride for stage in get_architecture(self.model.arch).stages), default=1)

    @property
    def shown(self) -> ShownNetwork:
        """What a record says of it."""
        card = self.model.card
        path, sha256 = str(self.file.path), self.file.sha256
        return ShownNetwork(self.name, "backbone", path, sha256, card.arch, card.norm, card.eps)

    def classifier(self, device: torch.device) -> Classifier:
        """Return it as a classifier of images in [0, 1], in evaluation mode.

        Raises:
            UserError: the file has no head.
        """
        return self.model.classifier().to(device)


def refuse_detectors(files: Sequence[BackboneFile], instead: str) -> None:
    """Refuse files of detectors, whose backbones were fine-tuned.

    Args:
        files: given as backbones.
        instead: what to do with a detector, as advice.

    Raises:
        UserError: names one of them.
    """
    for file in files:
        if file.path.suffix == ".pth" and is_detector(peek_leniently(file)):
            raise UserError(f"{file.path} is a detector, not a backbone", instead)


def peek_leniently(file: BackboneFile) -> dict[str, object]:
    """Return what a file holds; nothing where it is of others, and no detector of ours."""
    try:
        return peek_checkpoint(file.path)
    except UserError:
        return {}


def is_detector(content: dict[str, object]) -> bool:
    """Whether a file's content is a detector of Detectron2's."""
    if not content:
        return False
    model = content.get("model")
    names = model if isinstance(model, dict) else {}
    made = provenance_in(content, "the file") is not None
    return made or any(str(name).startswith(_OF_DETECTORS) for name in names)


def load_backbones(files: Sequence[BackboneFile]) -> list[ShownBackbone]:
    """Read backbones that were found."""
    return [ShownBackbone(file, read_model(file.path)) for file in files]


def common_size(
    backbones: Sequence[ShownBackbone], size: int | None, others: Sequence[int] = ()
) -> tuple[int, list[str]]:
    """Return the side in pixels of the images that all networks see, and what to say of it.

    Args:
        backbones: that are shown.
        size: as it was asked for; the largest of the networks' own if None.
        others: sizes of the networks beside them.

    Raises:
        UserError: a network takes no images of that size, or its stride is larger.
    """
    chosen = size or max([*(each.model.image_size for each in backbones), *others])
    for each in backbones:
        check_image_size(each.model.arch, chosen)
        if chosen < each.stride:
            raise UserError(
                f"images of {chosen} px are smaller than the stride of {each.name}, {each.stride}"
                f" px; give a --size of {each.stride} or more"
            )
    other = [each for each in backbones if each.model.image_size != chosen]
    notes = []
    if other:
        shown = ", ".join(f"{each.name} ({each.model.image_size} px)" for each in other)
        notes.append(f"Trained at another size than the {chosen} px that all see here: {shown}.")
    archs = sorted({each.model.arch for each in backbones})
    if len(archs) > 1:
        notes.append(
            f"The networks differ in more than their training: {', '.join(archs)}. What they show"
            " differs for that reason as well."
        )
    return chosen, notes


def same_classes(backbones: Sequence[ShownBackbone]) -> tuple[str, ...]:
    """Return the classes that all networks tell, in their order; numbers where none has names.

    Raises:
        UserError: one has no head, or has other classes than the first.
    """
    for each in backbones:
        each.model.classifier()  # refuses files without a head
    first = backbones[0]
    names = first.model.classes or tuple(map(str, range(first.model.num_classes)))
    for other in backbones[1:]:
        own = other.model.classes or tuple(map(str, range(other.model.num_classes)))
        if own != names:
            raise UserError(
                f"{first.name} and {other.name} tell other classes ({len(names)} and {len(own)}),"
                " and no class can be shown of both; draw them apart"
            )
    return names
