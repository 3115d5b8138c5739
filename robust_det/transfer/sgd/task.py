"""The task of one run of a transfer by SGD."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from robust_det.checkpoints.pretrained import require_format
from robust_det.classification.per_class.tally import ClassTally
from robust_det.classification.task import ClassifierTask
from robust_det.classification.validate import validate
from robust_det.core.config.reading import CfgNode, to_dict
from robust_det.core.errors import UserError, naming
from robust_det.records.later_keys import completed
from robust_det.training.run_folder import refuse_other_config
from robust_det.training.state import require_resumable
from robust_det.transfer.classifier import description
from robust_det.transfer.given import Given
from robust_det.transfer.sets import refuse_other_images
from robust_det.transfer.settings import SETTINGS, choices_of
from robust_det.transfer.sgd.network import (
    build_network,
    card_of,
    learning_groups,
    still_modules,
)
from robust_det.transfer.sgd.planned import Run

__all__ = ["TransferTask"]

_CHOSEN = ("LR", "WEIGHT_DECAY")

logger = logging.getLogger(__name__)

# keys that change where or how fast a run goes, but not what it learns
_FREE_KEYS = (
    "OUTPUT_DIR",
    "DEVICE",
    "DATA.ROOT",
    "DATA.MANIFEST",
    "DATA.WORKERS",
    "DATA.ON_CORRUPT",
    "TRAIN.CHECKPOINT_STEPS",
    "TRANSFER.BACKBONE",
    "TRANSFER.CORRUPTIONS",
    "EVAL.BATCH_SIZE",
    "LOG.WANDB",
    "LOG.MLFLOW",
)


class TransferTask(ClassifierTask):
    """Trains a classifier that starts from a backbone.

    Args:
        given: what all runs of the transfer are given.
        run: this one.
    """

    products: Sequence[str] = ()
    shown: Sequence[str] = ()

    def __init__(self, given: Given, run: Run) -> None:
        cfg, data, arch = run.cfg, given.data, given.model.arch
        self.given, self.run = given, run
        card = card_of(cfg, run.start, data)
        model, self.head = build_network(cfg, card, run.start, given.device, new_head=run.new_head)
        train = data.augmented(cfg, run.trained)
        super().__init__(
            cfg,
            given.device,
            given.world,
            train,
            data.images(cfg, run.judged) if run.judged else train,
            model,
            card,
            learning_groups(cfg, model, run.start, head_alone=run.head_alone),
            still_modules(cfg, model, arch, head_alone=run.head_alone),
        )

    def say_oddities(self, start_step: int) -> None:
        """Log where the weights come from."""
        if start_step == 0:
            logger.info(f"starting from {self.run.start.path}: {self.head}")

    def begin(self, folder: Path, step: int) -> None:
        """Do nothing before the first batch."""

    def validation_cfg(self) -> CfgNode:
        """Return the config with an attack only where that is trained for."""
        cfg = self.cfg.clone()
        cfg.defrost()
        if cfg.ATTACK.EPS == 0:
            cfg.EVAL.EPS = 0.0  # which nothing is chosen by, and takes longer than training
        return cfg

    def accuracies(self, model: nn.Module, stop: Callable[[], bool]) -> dict[str, float]:
        """Return top-1 and the per-class mean, clean and maybe under attack."""
        tally = ClassTally(len(self.given.data.classes), self.device)
        return validate(
            self.validation_cfg(), model, self.val_data, self.device, self.world, stop, tally
        )

    def score(self, values: Mapping[str, float]) -> float:
        """Return the headline accuracy of the set; under attack where that is trained for."""
        headline = self.given.data.facts.headline
        robust = f"adversarial_{headline}"
        clean = "clean_top1" if headline == "top1" else headline
        return values[robust if robust in values else clean]

    def description(self) -> dict[str, Any]:
        """Return what a checkpoint says of itself beside its tensors."""
        given = self.given
        said = description(self.cfg, self.card, given.data, given.path, given.sha256)
        transfer = {**said["transfer"], "mode": self.cfg.TRANSFER.MODE}
        return {**said, "transfer": transfer, "run": self.run.said()}

    def check(self, content: Mapping[str, Any], path: Path) -> None:
        """Refuse a checkpoint of another backbone, config, or set.

        Raises:
            UserError: says in what it differs.
        """
        with naming(path):
            require_format(content)
        require_resumable(content, path)
        known, elsewhere = content.get("transfer"), "choose another OUTPUT_DIR"
        if known is None:
            raise UserError(f"{path} is of no transfer", elsewhere)
        if known["backbone"]["sha256"] != self.given.sha256:
            raise UserError(
                f"{path} is of a run with the backbone {known['backbone']['path']}, not with"
                f" {self.given.path}, which is another file",
                elsewhere,
            )
        self._refuse_other_choice(content, path)
        before = completed(content["config"], SETTINGS)
        refuse_other_config(before, to_dict(self.cfg), _FREE_KEYS, path)
        refuse_other_images(known["manifest"], self.given.data, path)
        if content["run"] != self.run.said():
            raise UserError(
                f"{path} is of a run with other settings, which an earlier choice was for",
                elsewhere,
            )

    def _refuse_other_choice(self, content: Mapping[str, Any], path: Path) -> None:
        """Refuse a last run whose settings are not those that are chosen now, from others."""
        before, now = content["config"]["OPTIM"], self.cfg.OPTIM
        if len(choices_of(self.given.cfg)) > 1 and any(before[key] != now[key] for key in _CHOSEN):
            raise UserError(
                f"{path} is of a run at the learning rate {before['LR']:g} and weight decay"
                f" {before['WEIGHT_DECAY']:g}, which was chosen from others, and {now['LR']:g} and"
                f" {now['WEIGHT_DECAY']:g} are chosen now; delete {path.parent}, or choose another"
                " OUTPUT_DIR"
            )

    def conclude(self, weights: Path, values: Mapping[str, Any], seconds: float) -> None:
        """Write nothing: the record is of all runs together."""
