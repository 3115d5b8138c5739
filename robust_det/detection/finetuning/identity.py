"""Which detector is evaluated: its classes, how far it was trained and on what, and whether it was
evaluated like this before."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.utils import comm

from robust_det.checkpoints.backbone_file import BackboneCard, card_of
from robust_det.checkpoints.io import peek_checkpoint
from robust_det.core.config.reading import config_differences, to_dict
from robust_det.core.errors import UserError
from robust_det.detection.categories import ClassNames
from robust_det.detection.checkpointer import is_backbone
from robust_det.detection.config.keys import WHERE_AND_HOW_FAST
from robust_det.detection.evaluation import describe_evaluators
from robust_det.detection.provenance import Provenance, class_names_in, same_data
from robust_det.detection.record import described
from robust_det.detection.tasks import finds_objects
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord, Detector

__all__ = ["check_detector", "earlier_evaluation", "state_of", "warn_of_training_data"]

logger = logging.getLogger(__name__)


def check_detector(detector: Path, cfg: CfgNode, card: BackboneCard | None) -> ClassNames:
    """Refuse what would give figures of another model than the record says.

    Returns:
        The names of its classes.
    """
    content = peek_checkpoint(detector)
    if is_backbone(content):
        raise UserError(
            f"{detector} is a backbone, and its detector has yet to be trained; leave --eval-only"
            " out"
        )
    own = card_of(content, detector)
    if (own and own.source_sha256) != (card and card.source_sha256):
        of = f"the backbone of sha256 {own.source_sha256[:16]}" if own else "no backbone"
        raise UserError(
            f"{detector} was trained from {of}, not from MODEL.WEIGHTS '{cfg.MODEL.WEIGHTS}';"
            " give the config it was trained with"
        )
    classes = class_names_in(content, detector)
    if finds_objects(cfg) and not classes.objects and comm.is_main_process():
        logger.warning(
            f"{detector} does not name its classes; they are taken to be those of data set"
            f" '{cfg.DATASETS.TRAIN[0]}', in its order"
        )
    return classes


def earlier_evaluation(
    folders: Sequence[Path], cfg: CfgNode, detector: Detector
) -> tuple[Path, DetectionRecord] | None:
    """Return the folder and record of an evaluation that would come out the same, if one is there.

    Pictures are a part of it.
    """
    now = to_dict(cfg)
    for folder in folders:
        try:
            record = read_record(folder, DetectionRecord)
        except UserError:
            continue
        alike = (
            record.detector is not None
            and record.detector.sha256 == detector.sha256
            and same_data(record.data.test, described(cfg.DATASETS.TEST))
            and record.evaluators == describe_evaluators(cfg)
            and not config_differences(record.config, now, WHERE_AND_HOW_FAST)
        )
        if alike:
            return folder, record
    return None


def state_of(detector: Detector) -> str:
    """Say of which part of a run a detector is."""
    parts = []
    if detector.best_by:
        parts.append(f"the best by {detector.best_by}")
    if detector.iterations is not None:
        of = "" if detector.planned is None else f" of {detector.planned}"
        parts.append(f"after {detector.iterations}{of} iterations")
    if detector.averaged:
        parts.append("averaged weights")
    return ", ".join(parts)


def warn_of_training_data(cfg: CfgNode, known: Provenance) -> None:
    """Warn of test sets that the detector was trained on: their figures are not of new images."""
    before = known.init_detector.train if known.init_detector else ()
    train = {one.content for one in (*known.train, *before)}
    for one in described(cfg.DATASETS.TEST) if comm.is_main_process() else ():
        if one.content in train:
            logger.warning(
                f"the detector was trained on test set '{one.name}': its figures say nothing of new"
                " images"
            )
