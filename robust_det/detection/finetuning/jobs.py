"""The two jobs of ``robust-det train``: fine-tuning a detector, and evaluating one."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.env import seed_all_rng
from detectron2.utils.logger import setup_logger

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.core.cli import resuming_command
from robust_det.core.config.reading import written_by
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.core.seeding import SEEDS
from robust_det.detection.categories import ClassNames
from robust_det.detection.checkpointer import FINAL, RobustCheckpointer
from robust_det.detection.config import CONFIG_NAME, load_config
from robust_det.detection.evaluation import build_evaluator
from robust_det.detection.evaluation.augmented import with_test_time_augmentation
from robust_det.detection.evaluation.by_name import say_left_out
from robust_det.detection.finetuning.identity import (
    check_detector,
    earlier_evaluation,
    state_of,
    warn_of_training_data,
)
from robust_det.detection.finetuning.loop.stopping import Stopped, stop_request
from robust_det.detection.finetuning.loop.watching import Stopwatch
from robust_det.detection.finetuning.resuming import reopen, standing_of
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.detection.provenance import detector_of
from robust_det.detection.record import provenance_of, write_detection_record
from robust_det.records import RECORD_NAME
from robust_det.records.base import Change
from robust_det.records.detection import Detector
from robust_det.records.metrics import task_of
from robust_det.training.run_folder import (
    RunFolder,
    evaluation_folder,
    held_evaluation,
    held_folder,
    say_changes,
)
from robust_det.training.world import bare, this_world

__all__ = ["FINAL", "by_task", "evaluate", "finetune", "planned_length"]

logger = logging.getLogger(__name__)


def finetune(
    cfg: CfgNode,
    card: BackboneCard | None,
    name: str,
    resume: bool = False,
    new_schedule: bool = False,
) -> None:
    """Fine-tune a detector to its end, evaluate it and write the run's record.

    Args:
        cfg: a complete config.
        card: of the backbone.
        name: of the run.
        resume: continue from the last checkpoint of ``OUTPUT_DIR`` if there is one.
        new_schedule: by the schedule of this config, which is another; said in the record.

    Raises:
        UserError: ``OUTPUT_DIR`` holds a run, or weights do not fit.
        Stopped: a signal came, and what was done is saved.
    """
    with held_folder(Path(cfg.OUTPUT_DIR), this_world()) as held:
        _finetune(cfg, card, name, resume or held.restarted, new_schedule, held)
        held.end()


def _finetune(
    cfg: CfgNode,
    card: BackboneCard | None,
    name: str,
    resume: bool,
    new_schedule: bool,
    held: RunFolder,
) -> None:
    folder = Path(cfg.OUTPUT_DIR)
    standing = standing_of(cfg, resume, new_schedule)
    if standing.finished:
        logger.info(f"{folder} is finished already; nothing to do")
        return
    comm.synchronize()  # no process may write before all have looked
    held.begin()
    if comm.is_main_process():
        say_changes(standing.changes)
        if standing.other_test:
            logger.warning("the test data changed: what was measured until now is of other images")
        if standing.changes:
            reopen(folder, standing.done)
    setup_run(cfg)
    say_left_out(cfg)
    trainer = RobustTrainer(cfg, card)
    warn_of_training_data(cfg, trainer.provenance)
    trainer.resume_or_load(resume=resume)
    if comm.is_main_process():
        at = f"iteration {trainer.start_iter} of {trainer.max_iter}"
        logger.info(f"{name}: {at} on {cfg.MODEL.DEVICE}, log in {folder / 'log.txt'}")
        factor = cfg.SOLVER.LR_SCALED_BY
        scaled = "" if factor == 1 else f", scaled by {factor:g}"
        images = cfg.SOLVER.IMS_PER_BATCH * cfg.SOLVER.ACCUMULATE
        logger.info(f"learning rate {cfg.SOLVER.BASE_LR:g} for {images} images an update{scaled}")
        if card is None or card.eps is None:
            what = "these weights do not say their eps" if card else "this run has no backbone"
            logger.warning(f"{what}, so robust-det compare cannot place the result")
    try:
        trainer.train()
    except FloatingPointError as error:
        raise UserError(
            f"training diverged at iteration {trainer.iter} ({error}); lower SOLVER.BASE_LR or"
            " raise SOLVER.WARMUP_ITERS"
        ) from error
    except Stopped:
        where = trainer.save_stopped()
        if comm.is_main_process():
            logger.info(f"stopped by {stop_request.source} {where}; to go on: {resuming_command()}")
        raise
    if comm.is_main_process():
        cfg = trainer.cfg  # as scaled to the number of processes
        results, seconds = trainer._last_eval_results, trainer.seconds
        made = trainer.checkpointer.provenance
        _conclude(
            *(cfg, card, name, trainer.evaluated, results, folder / FINAL, seconds),
            changes=made.changes if made else None,
        )


def evaluate(cfg: CfgNode, card: BackboneCard | None, name: str, detector: Path) -> None:
    """Evaluate a detector checkpoint and write a record.

    It goes into ``OUTPUT_DIR/eval``, and where that holds another evaluation, into ``eval-2``, ...
    One that was done before, with the same files, is not done again.

    Args:
        cfg: a complete config.
        card: of the backbone.
        name: of the run.
        detector: checkpoint file.

    Raises:
        UserError: the checkpoint is not one of this detector, or was made from other weights.
    """
    seconds = Stopwatch()
    classes = check_detector(detector, cfg, card)
    file, known = detector_of(detector, cfg)
    place = Path(cfg.OUTPUT_DIR)
    _, before = evaluation_folder(place, RECORD_NAME)
    comm.synchronize()  # no process may write before all have looked
    if _is_done(cfg, name, detector, file, before):
        return
    with held_evaluation(place, RECORD_NAME, this_world()) as (folder, before):
        # once more: what another process has ended meanwhile counts
        if _is_done(cfg, name, detector, file, before):
            return
        comm.synchronize()
        cfg = cfg.clone()
        cfg.defrost()
        cfg.OUTPUT_DIR = str(folder)
        cfg.freeze()
        setup_run(cfg)
        if comm.is_main_process():
            state = f", {said}" if (said := state_of(file)) else ""
            logger.info(
                f"{name}: evaluating {detector} on {cfg.MODEL.DEVICE}{state}, record in {folder}"
            )
            if file.assumed:
                logger.warning(
                    f"{detector} does not say its seed, training data and schedule; the record has"
                    " those of the config"
                )
        warn_of_training_data(cfg, known or provenance_of(cfg))
        say_left_out(cfg, classes)
        model = RobustTrainer.build_model(cfg)
        RobustCheckpointer(model).load(str(detector))
        evaluators = [build_evaluator(cfg, test_set, classes) for test_set in cfg.DATASETS.TEST]
        raw = RobustTrainer.test(cfg, model, evaluators)
        if comm.is_main_process():
            _conclude(cfg, card, name, model, raw, detector, seconds, classes)


def _is_done(
    cfg: CfgNode, name: str, path: Path, detector: Detector, before: Sequence[Path]
) -> bool:
    """Return whether one of these evaluations is the one that is asked for; say its results."""
    done = earlier_evaluation(before, cfg, detector)
    if done is not None and comm.is_main_process():
        where, record = done
        logger.info(f"{name}: {path} was evaluated like this already, record in {where}")
        say_results(name, record.metrics)
    return done is not None


def _conclude(
    cfg: CfgNode,
    card: BackboneCard | None,
    name: str,
    model: Any,
    raw: Mapping[str, Any],
    detector: Path,
    seconds: Stopwatch,
    classes: ClassNames | None = None,
    changes: Sequence[Change] | None = None,
) -> None:
    """Draw the pictures, write the record into ``OUTPUT_DIR``, and say the AP."""
    # here, as matplotlib takes a second of each start
    from robust_det.detection.pictures import draw_pictures

    folder, results = Path(cfg.OUTPUT_DIR), by_task(raw)
    # drawn before the time is taken, which is that of the whole run
    finder = with_test_time_augmentation(cfg, bare(model))
    pictures = draw_pictures(cfg, finder, folder, classes)
    write_detection_record(
        folder,
        name=name,
        cfg=cfg,
        card=card,
        results=results,
        pictures=pictures,
        seconds=seconds.total,
        detector=detector,
        changes=changes,
    )
    say_results(name, results)


def by_task(results: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return results by task; with several test sets, tasks are named ``dataset/task``."""
    out: dict[str, dict[str, float]] = {}
    for key, values in results.items():
        if all(isinstance(v, Mapping) for v in values.values()):
            out.update({f"{key}/{task}": dict(v) for task, v in values.items()})
        else:
            out[key] = dict(values)
    return out


def say_results(name: str, results: Mapping[str, Mapping[str, float | None]]) -> None:
    """Log the first figures of each task."""
    for task, values in results.items():
        names = [name for name in task_of(task).columns[:3] if name in values]
        shown = {key: math.nan if values[key] is None else values[key] for key in names}
        text = ", ".join(f"{key} {value:.2f}" for key, value in shown.items())
        logger.info(f"{name}: {task} {text}")


def setup_run(cfg: CfgNode) -> None:
    """Make the run folder, send Detectron2's log to its ``log.txt``, seed, and keep the config."""
    folder, rank = Path(cfg.OUTPUT_DIR), comm.get_rank()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make OUTPUT_DIR {folder}: {error.strerror}") from error
    logging.captureWarnings(True)
    for name in ("fvcore", "detectron2", "py.warnings"):
        setup_logger(str(folder), distributed_rank=rank, name=name)
        for handler in logging.getLogger(name).handlers:
            # the terminal shows progress bars, results and one-line errors; all the rest, with
            # the traceback that the trainer logs of any error, is in the file
            if getattr(handler, "stream", None) in (sys.stdout, sys.stderr):
                handler.setLevel(logging.CRITICAL)
    # says at each start that Detectron2 asks in an old way whether it is traced
    logging.getLogger("torch.fx._symbolic_trace").setLevel(logging.ERROR)
    seed_all_rng((cfg.SEED + rank) % SEEDS)
    torch.backends.cudnn.benchmark = cfg.CUDNN_BENCHMARK
    if comm.is_main_process():
        text = written_by() + cfg.dump()
        write_atomically(folder / CONFIG_NAME, lambda file: file.write(text.encode()))


def planned_length(
    config: str, overrides: Sequence[str], backbone: str | None = None
) -> tuple[int, bool]:
    """Return how many iterations a run trains, and whether its folder holds it finished.

    Args:
        config: file, or its name.
        overrides: ``KEY VALUE`` pairs.
        backbone: in place of the config's weights.

    Raises:
        UserError: config, weights or data are wrong, or the folder holds a run.
    """
    cfg, _ = load_config(config, overrides, backbone, by_name=True)
    return cfg.SOLVER.MAX_ITER, standing_of(cfg, resume=True).finished
