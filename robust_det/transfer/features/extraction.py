"""The features of images, each once and in their order."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from robust_det.classification.image_sets import load_batches
from robust_det.core.device import AMP_DTYPES, autocast
from robust_det.core.errors import UserError, counted
from robust_det.core.progress import progress_bar
from robust_det.data.classification.image_list import Batch, Corrupt, ImageList
from robust_det.data.classification.sampling import EvalBatches
from robust_det.training.waiting import require_shared_memory
from robust_det.transfer.features.network import FeatureNetwork

__all__ = ["Features", "extract"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Features:
    """Features of images, without those that could not be decoded.

    Attributes:
        values: (N, D) float32, finite, on the CPU.
        targets: (N,) int64 class indices.
        indices: (N,) int64 positions in the image list, rising.
        corrupt: paths of the images that could not be decoded, with the reason.
    """

    values: torch.Tensor
    targets: torch.Tensor
    indices: torch.Tensor
    corrupt: tuple[str, ...] = ()


def extract(
    network: FeatureNetwork,
    images: ImageList,
    *,
    name: str,
    device: torch.device,
    batch_size: int = 256,
    workers: int = 0,
    precision: str = "fp32",
    channels_last: bool = True,
    on_corrupt: str = "stop",
) -> Features:
    """Run a frozen network over images once, with a progress bar.

    The batch size and the number of workers change the features by rounding at most.

    Args:
        network: is moved to the device, and to its memory format.
        images: of which no other stands in for a corrupt one.
        name: of the images, for the bar and messages.
        device: where to run.
        batch_size: images a pass.
        workers: processes that decode images; with 0 it is this one.
        precision: ``fp32``, or what passes are autocast to, ``bf16`` or ``fp16``.
        channels_last: memory format of images and network. It is the faster one on CPUs too, and
            changes features by rounding.
        on_corrupt: ``stop`` at an image that cannot be decoded, or ``skip`` and list it.

    Raises:
        CorruptImageError: an image cannot be decoded, and such are not skipped.
        UserError: there is no image that can be, features are NaN or infinite, or the workers'
            batches have no room.
    """
    if precision not in AMP_DTYPES or on_corrupt not in ("stop", "skip"):
        raise ValueError(f"no such precision or way with corrupt images: {precision}, {on_corrupt}")
    if images.substitute:
        raise ValueError("features of neighbours would stand in for those of corrupt images")
    if not len(images):
        raise UserError(f"{name} has no images; give at least one")
    _require_room(images, batch_size, workers)
    order = EvalBatches(len(images), batch_size)
    batches = load_batches(images, order, device, workers, on_corrupt)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network.module.to(device).to(memory_format=layout)
    with (
        contextlib.closing(batches),
        network.running() as module,
        progress_bar(len(images), name, "img") as bar,
    ):
        run = _Pass(module, device, AMP_DTYPES[precision], layout)
        filled = _Filled(images, network.width, name)
        for batch in batches:
            filled.add(batch, run)
            bar.update(len(batch.targets) + len(batch.corrupt))
    return filled.features()


@dataclass(frozen=True)
class _Pass:
    """From bytes to features."""

    module: nn.Module
    device: torch.device
    dtype: torch.dtype | None
    layout: torch.memory_format

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        x = images.to(self.device, non_blocking=True).float().div_(255)
        with autocast(self.device, self.dtype):
            features: torch.Tensor = self.module(x.contiguous(memory_format=self.layout))
        return features.float().cpu()


class _Filled:
    """Takes the features of one batch after the other, in memory that is allocated once.

    Args:
        images: all of them.
        width: of the features.
        name: of the images, for messages.
    """

    def __init__(self, images: ImageList, width: int, name: str) -> None:
        self.images, self.name = images, name
        self._values = torch.empty(len(images), width)
        self._targets = torch.empty(len(images), dtype=torch.int64)
        self._indices = torch.empty_like(self._targets)
        self._corrupt: list[str] = []
        self._done = 0

    def add(self, batch: Batch, run: _Pass) -> None:
        """Run a batch.

        Raises:
            UserError: features are not finite.
        """
        self._corrupt += batch.corrupt
        if not len(batch.targets):
            return
        values = run(batch.images)
        # a sum is finite only if its parts are
        if not values.sum(dtype=torch.float64).isfinite():
            lost = (~values.isfinite()).any(1)
            raise UserError(
                f"the features of {counted(int(lost.sum()), 'image')} of {self.name} are NaN or"
                f" infinite, such as of {self.images.path(int(batch.indices[lost][0]))}",
                "take the precision fp32 if it is lower, or look at the weights",
            )
        rows = slice(self._done, self._done + len(values))
        self._values[rows] = values
        self._targets[rows], self._indices[rows] = batch.targets, batch.indices
        self._done = rows.stop

    def features(self) -> Features:
        """Return those of all batches.

        Raises:
            UserError: there are none.
        """
        if not self._done:
            raise UserError(
                f"none of the {len(self.images)} images of {self.name} can be decoded, the first"
                f" is {self._corrupt[0]}",
                "put whole images in their place",
            )
        if self._corrupt:
            logger.warning(
                f"{len(self._corrupt)} of the {len(self.images)} images of {self.name} cannot be"
                f" decoded and are left out, such as {self._corrupt[0]}"
            )
        done = self._done
        return Features(
            self._values[:done], self._targets[:done], self._indices[:done], tuple(self._corrupt)
        )


def _require_room(images: ImageList, batch_size: int, workers: int) -> None:
    """Refuse workers whose batches have no room; an image says how many bytes all have."""
    if workers < 1:
        return
    samples: Iterable[object] = (images[0, i] for i in range(len(images)))
    whole = next((s for s in samples if not isinstance(s, Corrupt)), None)
    if isinstance(whole, tuple):
        size = whole[0].nbytes * min(batch_size, len(images))
        batches = -(-len(images) // batch_size)
        require_shared_memory([(size, batches)], workers, "DATA.WORKERS")
