"""Images of a subject in batches, as a network takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from robust_det.classification.image_sets import CorruptImageError, load_batches
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.subject import Subject
from robust_det.core.errors import UserError
from robust_det.data.classification.sampling import EvalBatches
from robust_det.training.waiting import require_shared_memory

__all__ = ["batches_at"]


def batches_at(
    subject: Subject, asked: Asked, places: Sequence[int], device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor, list[int]]]:
    """Give images at places among the subject's.

    Returns:
        Of each batch the images (N, 3, H, W) in [0, 1] and their classes (N,), on the device, and
        their places.

    Raises:
        UserError: an image cannot be read.
    """
    order = _Chosen(places, asked.batch_size)
    size = 3 * subject.size**2 * min(asked.batch_size, len(places))
    require_shared_memory([(size, len(order))], asked.workers, "--workers")
    try:
        for batch in load_batches(subject.data, order, device, asked.workers, "stop", asked.seed):
            images = batch.images.to(device, non_blocking=True).float().div_(255)
            yield images, batch.targets.to(device), batch.indices.tolist()
    except CorruptImageError as error:
        # there is no config here in which such images could be left out
        raise UserError(error.problem, "repair or remove it") from error


class _Chosen(EvalBatches):
    """Some images, in order."""

    def __init__(self, places: Sequence[int], batch_size: int) -> None:
        super().__init__(0, batch_size)
        self.mine = list(places)
