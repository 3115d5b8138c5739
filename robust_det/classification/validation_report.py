"""A validation with what is shown of it: the accuracy of each class, and some of the images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from operator import methodcaller
from pathlib import Path

import torch
from torch import nn

from robust_det.classification.attack_settings import eval_attack, eval_attack_words
from robust_det.classification.examples.choice import Examples
from robust_det.classification.examples.drawing import EXAMPLES_NAME, Picture, write_picture
from robust_det.classification.per_class.table import ClassTable, table_of
from robust_det.classification.per_class.tally import ClassTally
from robust_det.classification.validate import validate
from robust_det.core.config.reading import CfgNode
from robust_det.core.files import write_atomically
from robust_det.data.classification.image_list import ImageList
from robust_det.training.world import World

__all__ = ["EXAMPLES_NAME", "ValidationReport"]

logger = logging.getLogger(__name__)


class ValidationReport:
    """A validation with what is shown of it.

    Args:
        cfg: a pretraining config.
        names: of the classes of the network's outputs.
        data: the validation set, whose targets are of these.
        device: where it runs.
    """

    def __init__(
        self, cfg: CfgNode, names: Sequence[str], data: ImageList, device: torch.device
    ) -> None:
        self._cfg, self._names, self._data, self._device = cfg, names, data, device
        self._threat = eval_attack(cfg).threat
        self._tally = ClassTally(len(names), device)
        self._examples = Examples(len(data), cfg.SEED) if self._threat.eps > 0 else None

    def validate(
        self, model: nn.Module, world: World, stop: Callable[[], bool] = lambda: False
    ) -> dict[str, float]:
        """Validate; once.

        Returns:
            See :func:`.validate.validate`; means over classes only where these have not as many
            images each, as they are the accuracies else.
        """
        data, tally = self._data, self._tally
        values = validate(self._cfg, model, data, self._device, world, stop, tally, self._examples)
        if tally.balanced:
            values = {key: v for key, v in values.items() if not key.endswith("mean_per_class")}
        return values

    @property
    def table(self) -> ClassTable:
        """The accuracies of the classes."""
        return table_of(self._tally, self._names, self._threat.norm, self._threat.eps)

    def write_classes(self, path: Path) -> None:
        """Write the accuracies of the classes."""
        write_atomically(path, methodcaller("write", self.table.csv()))

    def conclude(self, folder: Path, name: str) -> None:
        """Log the worst classes, and draw some images.

        Args:
            folder: gets ``examples.png``, where there was an attack.
            name: of what was validated.
        """
        if worst := self.table.worst():
            logger.info(worst)
        if self._examples is None or not (kept := self._examples.kept):
            return
        attack = eval_attack_words(self._cfg, len(self._data))
        picture = Picture(
            kept, self._names, self._threat.norm, (self._threat.eps,), f"{name}: {attack}"
        )
        write_picture(folder / EXAMPLES_NAME, picture)
        logger.info(f"examples of the attack: {folder / EXAMPLES_NAME}")
