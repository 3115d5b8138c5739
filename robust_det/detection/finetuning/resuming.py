"""Whether a folder's run is the one asked for, how far it is, and what may change from there."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils import comm

from robust_det.checkpoints.io import peek_checkpoint
from robust_det.core.config.reading import flatten, load_raw, to_dict
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.detection.checkpointer import FINAL
from robust_det.detection.config import CONFIG_NAME
from robust_det.detection.config.keys import WHERE_AND_HOW_FAST
from robust_det.detection.config.solver import settle_reference
from robust_det.detection.provenance import (
    SCHEDULE_KEYS,
    iterations_in,
    provenance_in,
    same_data,
    schedule_changes,
)
from robust_det.detection.record import described
from robust_det.records import RECORD_NAME, read_record
from robust_det.records.base import Change
from robust_det.records.detection import DataSet, DetectionRecord
from robust_det.training.run_folder import allowed_changes, refuse_other_run, set_aside

__all__ = ["Standing", "reopen", "standing_of"]

logger = logging.getLogger(__name__)

_LAST = "last_checkpoint"
# keys that change where or how fast a run goes, but not what it computes; which images
# DATASETS.LENIENT leaves out, the comparison of the data tells
_FREE_KEYS = (
    *WHERE_AND_HOW_FAST,
    "DATASETS.LENIENT",
    "SOLVER.CHECKPOINT_PERIOD",
    "TEST.EVAL_PERIOD",
    "TEST.PICTURES",
    "VIS_PERIOD",
)
# what --new-schedule may change, and what a rate that is given follows from
_SCHEDULE_KEYS = (*SCHEDULE_KEYS, "SOLVER.LR_SCALED_BY", "SOLVER.REFERENCE_BATCH")
# what keys that came later mean for a run that does not have them
_BEFORE = {"DATASETS.CROWD": "ignore", "MODEL.INIT_DETECTOR": ""}


@dataclass(frozen=True)
class Standing:
    """How a run stands that is in the folder of a config.

    Attributes:
        done: iterations; 0 if there is none.
        finished: whether there is nothing left to do.
        changes: of its schedule, which are asked for.
        other_test: whether it was tested on other data until now.
    """

    done: int = 0
    finished: bool = False
    changes: tuple[Change, ...] = ()
    other_test: bool = False


def standing_of(cfg: CfgNode, resume: bool, new_schedule: bool = False) -> Standing:
    """Return how the run of a config stands.

    Args:
        cfg: a complete config.
        resume: whether a run that is there may be gone on with.
        new_schedule: whether it goes on by another schedule.

    Raises:
        UserError: the folder holds a run and may not, or one with another config or other data.
    """
    folder = Path(cfg.OUTPUT_DIR)
    products = (_LAST, RECORD_NAME)
    refuse_other_run(folder, products, resume, resumed_from=products)
    if not any((folder / name).exists() for name in products):
        if new_schedule:
            raise UserError(f"{folder} holds no run that --new-schedule could go on with")
        return Standing()
    kept = load_raw(folder / CONFIG_NAME)
    settle_reference(kept)
    before = {**_BEFORE, **flatten(kept)}
    content, path = _last_checkpoint(folder)
    made, done = provenance_in(content, path), iterations_in(content) or 0
    changes = allowed_changes(
        *(before, cfg, _FREE_KEYS, _SCHEDULE_KEYS),
        where=folder,
        step=done,
        asked=new_schedule,
        earlier=made.changes + schedule_changes(made.config, to_dict(cfg), done) if made else [],
    )
    if changes and done >= cfg.SOLVER.MAX_ITER:
        raise UserError(
            f"{folder} has done {done} iterations, and SOLVER.MAX_ITER is {cfg.SOLVER.MAX_ITER};"
            " give a longer one"
        )
    finished = (folder / RECORD_NAME).exists()
    train: list[DataSet] | None
    test: list[DataSet] | None
    if finished:
        record = read_record(folder, DetectionRecord)
        train, test = record.data.train, record.data.test
    else:
        train, test = (made.train, made.test) if made else (None, None)
    if train is None:
        if content and comm.is_main_process():
            logger.warning(f"{path} does not say on which data it was trained; not compared")
    else:
        _refuse_other_training(train, cfg, folder, done)
    other_test = test is not None and not same_data(test, described(cfg.DATASETS.TEST))
    if other_test and finished and not changes:
        raise UserError(
            f"{folder} is finished, and was tested on other data than"
            f" {', '.join(cfg.DATASETS.TEST)} hold now; --eval-only tests its detector on these"
        )
    return Standing(done, finished and not changes, tuple(changes), other_test)


def reopen(folder: Path, done: int) -> None:
    """Set aside what a shorter schedule ended with; in the main process.

    Its record becomes ``record_ITERATIONS.json``, its detector a checkpoint of that iteration.
    """
    final = folder / FINAL
    name = f"model_{done - 1:07d}.pth"
    if final.exists() and (folder / _LAST).read_text() == FINAL:
        if not (folder / name).exists():
            try:
                os.link(final, folder / name)
            except OSError:  # no links on this file system
                shutil.copyfile(final, folder / name)
        write_atomically(folder / _LAST, lambda file: file.write(name.encode()))
    set_aside(folder / RECORD_NAME, done)


def _last_checkpoint(folder: Path) -> tuple[dict[str, Any], Path]:
    path = folder / ((folder / _LAST).read_text().strip() if (folder / _LAST).exists() else FINAL)
    return (peek_checkpoint(path) if path.is_file() else {}), path


def _refuse_other_training(then: Sequence[DataSet], cfg: CfgNode, folder: Path, done: int) -> None:
    now = described(cfg.DATASETS.TRAIN)
    if same_data(then, now):
        return
    place = next(
        (n for n, (a, b) in enumerate(zip(then, now, strict=False)) if not same_data([a], [b])),
        min(len(then), len(now)) - 1,
    )
    was, is_now = then[place], now[place]
    facts = [
        f"{getattr(was, what)} -> {getattr(is_now, what)} {word}"
        for what, word in (("images", "images"), ("annotations", "objects"), ("classes", "classes"))
        if getattr(was, what) != getattr(is_now, what)
    ]
    raise UserError(
        f"the training data '{is_now.name}' changed since {folder} learnt from them, for {done}"
        f" iterations ({', '.join(facts) or 'as many images and objects, of another content'});"
        " put the data back, start anew in another OUTPUT_DIR, or go on from its detector with"
        " --init-detector"
    )
