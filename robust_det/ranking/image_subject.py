"""A classification set as backbones are ranked on it: its training images, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from robust_det.checkpoints.model_file import read_model
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import FileError, UserError, counted
from robust_det.data.classification.sizes import usual_resize
from robust_det.data.transfer.contents import look_at
from robust_det.data.transfer.manifest import Entry
from robust_det.data.transfer.splits import by_class, subset
from robust_det.models import check_image_size
from robust_det.ranking.task import Task
from robust_det.ranking.words import listed
from robust_det.transfer.features.cache import images_digest
from robust_det.transfer.features.of_images import View, features_of_images
from robust_det.transfer.resolve import normalisation
from robust_det.transfer.sets import TransferSet, open_set
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["ImageSubject"]

_IMAGES, _PER_CLASS = 1000, 5  # that are taken if nothing says how many
_BATCH = 64


class ImageSubject:
    """The training images of a set; see :class:`~robust_det.ranking.subject.Subject`.

    Images of one content are one group. A class whose training images have one content is left out:
    without it nothing would be known of the class.

    Args:
        cfg: of the transfer, for the set, sizes, and what is done to images.
        files: the backbones, which all see images of one size: the config's, or the largest of
            theirs.
        size: side in pixels of what networks see, in place of those.
        images: how many to take, by a draw of each class alike.
        seed: of the draw.
        lenient: leave out images that cannot be read.

    Raises:
        UserError: the set is not there or is unsound, an image cannot be read, or nothing is left
            to compare.
    """

    def __init__(
        self,
        cfg: CfgNode,
        files: Sequence[BackboneFile],
        *,
        size: int | None = None,
        images: int | None = None,
        seed: int = 0,
        lenient: bool = False,
    ) -> None:
        self._cfg, self._set = cfg, open_set(cfg)
        # nothing is held out here
        notes = [note for note in self._set.notes if not note.startswith("validation: ")]
        self._size = size or cfg.DATA.IMAGE_SIZE or _size_of(files, notes)
        self._resize = cfg.DATA.RESIZE or usual_resize(self._size)
        if self._resize < self._size:
            raise UserError(
                f"images of {self._size} pixels cannot be cut from a shorter side of"
                f" {self._resize} (DATA.RESIZE); leave --size out, or give a smaller one"
            )
        drawn = _drawn(self._set, images, seed, notes)
        self._entries, classes = _usable(
            self._set, _readable(self._set, drawn, lenient, notes), notes
        )
        self.title = self._set.facts.title if cfg.DATA.SET != "folder" else self._set.base.name
        self.images = len(self._entries)
        self.task = _task(self._entries, classes, self._set.facts.headline)
        self.notes = tuple(notes)
        self.data: Mapping[str, Any] = {
            "set": cfg.DATA.SET,
            "manifest": self._set.manifest.digest,
            "images": self.images,
            "digest": images_digest(self._entries, self._set.classes),
        }
        self.settings: Mapping[str, Any] = {
            "size": self._size,
            "resize": self._resize,
            "downscale": cfg.TRANSFER.DOWNSCALE,
        }
        self.how = (
            f"{self.images:,} training images at {self._size} pixels: features that the last layer"
            " of the frozen network is given; each image is left out."
        )

    def features(
        self, file: BackboneFile, device: torch.device, advance: Callable[[int], object]
    ) -> torch.Tensor:
        """See :class:`~robust_det.ranking.subject.Subject`."""
        model = read_model(file.path)
        check_image_size(model.arch, self._size)
        mean, std = normalisation(self._cfg, model)
        features = features_of_images(
            model,
            str(file.path),
            file.sha256,
            View(self._size, self._resize, self._cfg.TRANSFER.DOWNSCALE, mean, std),
            self._set.manifest,
            self._set.base,
            self._entries,
            name=file.name,
            device=device,
            batch_size=_BATCH,
        )
        return features.values


def _size_of(files: Sequence[BackboneFile], notes: list[str]) -> int:
    sizes = sorted({file.card.image_size for file in files})
    if len(sizes) > 1:
        notes.append(
            f"The backbones were trained on images of {', '.join(map(str, sizes))} pixels; all see"
            f" {sizes[-1]} here, and --size gives another."
        )
    return sizes[-1]


def _drawn(data: TransferSet, images: int | None, seed: int, notes: list[str]) -> Sequence[Entry]:
    """Return some of the training images, of each class alike."""
    wanted = images or max(_IMAGES, _PER_CLASS * len(data.classes))
    used = set(data.used.training)
    # in the order in which a transfer takes them, whose features may be there
    training = [entry for entry in data.manifest.training if entry in used]
    if wanted >= len(training):
        return training
    part = subset(data.used, seed=seed, fraction=wanted / len(training))
    notes.append(
        f"{len(part.train):,} of {len(training):,} training images were drawn, by seed {seed};"
        " --images takes more."
    )
    return part.train


def _readable(
    data: TransferSet, entries: Sequence[Entry], lenient: bool, notes: list[str]
) -> list[Entry]:
    """Return the images that can be decoded; all have to, unless ``lenient``."""
    looks = look_at(data.base, [entry.path for entry in entries], decode=True)
    broken = [entry.path for entry in entries if looks[entry.path].problem]
    if not broken:
        return list(entries)
    first = looks[broken[0]].problem
    if not lenient:
        raise FileError(
            f"{first}{f', as are {len(broken) - 1:,} others' if len(broken) > 1 else ''}",
            "put whole images in their place, or go on without by --lenient",
            f"image {data.base / broken[0]}",
        )
    notes.append(
        f"{counted(len(broken), 'image')} left out that cannot be read, such as {broken[0]}, which"
        f" {first}."
    )
    lost = set(broken)
    return [entry for entry in entries if entry.path not in lost]


def _usable(
    data: TransferSet, entries: Sequence[Entry], notes: list[str]
) -> tuple[list[Entry], tuple[str, ...]]:
    """Return the images of classes with two contents at least, and these classes."""
    images = by_class(entries, data.classes)
    contents = {name: len({entry.sha256 for entry in own}) for name, own in images.items()}
    kept = tuple(name for name, count in contents.items() if count > 1)
    rare = [name for name in data.classes if name not in kept]
    if rare:
        notes.append(
            f"{counted(len(rare), 'class', 'es')} with fewer than two training images left out:"
            f" {listed(rare)}."
        )
    if len(kept) < 2:
        raise UserError(
            f"{data.base} has {counted(len(kept), 'class', 'es')} with two training images or more,"
            " and nothing tells backbones apart; give more images"
        )
    return [entry for entry in entries if entry.label in kept], kept


def _task(entries: Sequence[Entry], classes: tuple[str, ...], headline: str) -> Task:
    places = {name: place for place, name in enumerate(classes)}
    groups: dict[str, int] = {}
    numbers = [groups.setdefault(entry.sha256, len(groups)) for entry in entries]
    labels = torch.tensor([places[entry.label] for entry in entries])
    return Task("images", labels, torch.tensor(numbers), classes, headline)
