"""What backbones are ranked on: features of a data set's examples, and what they are to tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from robust_det.ranking.task import Task
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["Subject"]


class Subject(Protocol):
    """A data set whose examples backbones are scored by.

    Attributes:
        title: the data, in few words.
        images: how many are passed through each backbone.
        task: what features are to tell.
        notes: what to say of the data, a sentence each.
        data, settings: for the record.
        how: how the scores came about, in a sentence.
    """

    title: str
    images: int
    task: Task
    notes: tuple[str, ...]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    how: str

    def features(
        self, file: BackboneFile, device: torch.device, advance: Callable[[int], object]
    ) -> torch.Tensor:
        """Return the features of all examples, (N, D) float32 on the CPU.

        Args:
            file: the backbone.
            device: where to compute.
            advance: is told how many images were done.
        """
        ...
