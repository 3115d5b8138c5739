"""Whether a pretraining run may go on from a checkpoint, and what is otherwise from there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from robust_det.checkpoints.pretrained import card_of_pretraining, require_format
from robust_det.classification.settings import SETTINGS
from robust_det.classification.starting import Start
from robust_det.core.config.reading import CfgNode, config_differences
from robust_det.core.errors import UserError, naming
from robust_det.data.classification.identity import Contents, contents_of, names_digest
from robust_det.data.classification.image_list import ImageList
from robust_det.models import ModelCard
from robust_det.records.base import Change
from robust_det.records.later_keys import completed
from robust_det.training.run_folder import MayChange, allowed_changes
from robust_det.training.state import require_resumable
from robust_det.training.world import World

__all__ = ["Earlier", "RunData"]

logger = logging.getLogger(__name__)

# keys that change where or how fast a run goes, or how it is looked at, but not what it learns
_FREE_KEYS = (
    "OUTPUT_DIR",
    "DEVICE",
    "DATA.ROOT",
    "DATA.VAL",  # its images count, as those of DATA.ROOT
    "DATA.WORKERS",
    "DATA.ON_CORRUPT",
    "MODEL.INIT",  # its content counts, see Earlier.started_from
    "TRAIN.CHECKPOINT_STEPS",
    *(key for key in SETTINGS if key.startswith(("EVAL.", "LOG."))),
)
# those of them that change when and in how large parts it is validated, but not its figures
_FREE_OF_SCORE = tuple(key for key in SETTINGS if not key.startswith("EVAL.")) + (
    "EVAL.EPOCHS",
    "EVAL.BATCH_SIZE",
)
# what --new-schedule may change
_SCHEDULE_KEYS = (
    "TRAIN.EPOCHS",
    "OPTIM.LR",
    "OPTIM.SCHEDULE",
    "OPTIM.STEP_EPOCHS",
    "OPTIM.MILESTONES",
    "OPTIM.GAMMA",
    "OPTIM.WARMUP_EPOCHS",
)


class RunData:
    """Which images a run has, as its checkpoints tell it.

    Args:
        splits: of training and of validation.
    """

    def __init__(self, *splits: ImageList) -> None:
        self.splits = splits
        self.names = [names_digest(split) for split in splits]
        self.contents = [contents_of(split) for split in splits]

    def packed(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"names": self.names, "contents": [each.packed() for each in self.contents]}


class Earlier:
    """A checkpoint that a run is to go on from.

    Args:
        content: of the file.
        path: of it, for messages.

    Raises:
        UserError: it is of something else, or of weights alone.
    """

    def __init__(self, content: Mapping[str, Any], path: Path) -> None:
        self._content, self._path = content, path
        with naming(path):
            require_format(content)
            self._card = card_of_pretraining(content)
        require_resumable(content, path)
        self._config = completed(content["config"], SETTINGS)
        self._anew = f"begin anew in another OUTPUT_DIR with --weights {path}"

    def changes(
        self, cfg: CfgNode, world: World, may_change: MayChange
    ) -> tuple[list[Change], list[Change]]:
        """Return what was changed over all sessions, and what of it is new.

        Raises:
            UserError: another config, or number of processes, than ``may_change`` allows.
        """
        step = self._content["progress"][0]["step"]
        earlier = msgspec.convert(self._content.get("changes", []), list[Change])
        new = allowed_changes(
            self._config,
            cfg,
            _FREE_KEYS,
            _SCHEDULE_KEYS,
            where=self._path,
            step=step,
            asked=may_change.schedule,
            earlier=earlier,
        )
        before = len(self._content["rng"])
        if may_change.world_size:
            if before == world.size:
                raise UserError(
                    f"{self._path} was written by {before} processes, as many as there are; leave"
                    " --new-world-size out"
                )
            new.append(Change(step, "processes", before, world.size))
        return [*earlier, *new], new

    def compare_classes(self, card: ModelCard, images: int) -> None:
        """Refuse other classes, or another number of training images.

        Raises:
            UserError: says which.
        """
        if card != self._card:
            raise UserError(
                f"{self._path} was made with other classes than those at DATA.ROOT; put the folders"
                f" back, or {self._anew}"
            )
        # absent from the files of earlier versions; another size would be another order of images
        before = self._content.get("train_images", images)
        if before != images:
            raise UserError(
                f"{self._path} was made with {before} training images, DATA.ROOT has {images}, and"
                " they would come in another order; put back what is missing, whole, or even"
                f" damaged with DATA.ON_CORRUPT skip, or {self._anew}"
            )

    def compare_data(self, data: RunData, world: World) -> None:
        """Refuse other images than the run began with, wherever they are now.

        Raises:
            UserError: names one of them.
        """
        known = self._content.get("data")
        if known is None:  # of earlier versions
            return
        for split, names, before in zip(data.splits, data.names, known["names"], strict=True):
            if names != before:
                raise UserError(
                    f"{self._path} was made with images of other names than those of"
                    f" {split.folder}: they were renamed, moved, added or removed; put them back,"
                    f" or {self._anew}"
                )
        for split, now, packed in zip(data.splits, data.contents, known["contents"], strict=True):
            self._compare_contents(split, now, packed, world)

    def _compare_contents(self, split: ImageList, now: Contents, packed: str, world: World) -> None:
        changed, exchanged = now.compare(packed)
        if exchanged:
            raise UserError(
                f"{self._path} was made with other images: {len(exchanged)} files of"
                f" {split.folder} have what was in others, such as {split.path(exchanged[0])}; put"
                f" them back, or {self._anew}"
            )
        if changed and world.is_main:
            logger.warning(
                f"{len(changed)} files of {split.folder} have another content than when the run"
                f" began, such as {split.path(changed[0])}"
            )

    def started_from(self, start: Start | None) -> dict[str, str] | None:
        """Return the file that the run started from, if there was one.

        Raises:
            UserError: ``start`` is another one.
        """
        known = self._content.get("started_from")
        if start is not None and (known or {}).get("sha256") != start.sha256:
            began = f"from {known['path']}" if known else "from random weights"
            raise UserError(
                f"{self._path} is of a run that started {began}, and --resume goes on from it:"
                " leave --weights and MODEL.INIT out, or choose another OUTPUT_DIR"
            )
        return dict(known) if known else None

    def with_start(self, cfg: CfgNode) -> CfgNode:
        """Return the config with the ``MODEL.INIT`` of the run, where a later session leaves it
        out; frozen."""
        known = self._content.get("started_from")
        if cfg.MODEL.INIT or not known:
            return cfg
        own = cfg.clone()
        own.defrost()
        # a session of an earlier version may have left it out of the file, too
        own.MODEL.INIT = self._config["MODEL.INIT"] or known["path"]
        own.freeze()
        return own

    def other_score(self, cfg: CfgNode) -> list[str]:
        """Return the keys that choose the best weights and have other values now."""
        return config_differences(self._config, cfg, _FREE_OF_SCORE)
