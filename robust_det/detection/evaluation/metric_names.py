"""The figures that the evaluations of a run will have, by the names that they are logged under."""

from __future__ import annotations

from detectron2.config import CfgNode

from robust_det.core.errors import UserError, did_you_mean
from robust_det.detection.datasets import describe_dataset
from robust_det.detection.evaluation.evaluators import kinds_of_evaluators
from robust_det.detection.tasks import finds_objects, finds_stuff
from robust_det.records.metrics import VOC_EVALUATOR, task_of

__all__ = ["check_keep_best", "metric_names"]

_NO_SIZES = ("AP", "AP50", "AP75")
_KEYPOINTS = ("AP", "AP50", "AP75", "APm", "APl")


def metric_names(cfg: CfgNode) -> list[str]:
    """Return the names, such as ``bbox/AP``; with several test sets ``dataset/bbox/AP``."""
    names = []
    for dataset in cfg.DATASETS.TEST:
        before = f"{dataset}/" if len(cfg.DATASETS.TEST) > 1 else ""
        facts = describe_dataset(dataset)
        voc = VOC_EVALUATOR in kinds_of_evaluators(cfg, dataset)
        found: dict[str, list[str]] = {}
        if finds_objects(cfg):
            # of one class alone there is no figure of its own
            single = [f"AP-{name}" for name in facts.classes] if len(facts.classes) > 1 else []
            columns = _NO_SIZES if voc else task_of("bbox").columns
            found["bbox"] = [*columns, *([] if voc else single)]
            if cfg.MODEL.MASK_ON and not voc:
                found["segm"] = [*task_of("segm").columns, *single]
            if cfg.MODEL.KEYPOINT_ON and not voc:
                found["keypoints"] = [*_KEYPOINTS]
        if finds_stuff(cfg):
            each = [f"{kind}-{name}" for name in facts.stuff for kind in ("IoU", "ACC")]
            found["sem_seg"] = [*task_of("sem_seg").columns, *each]
            if finds_objects(cfg):
                single = [f"PQ-{name}" for name in (*facts.classes, *facts.stuff)]
                found["panoptic_seg"] = [*task_of("panoptic_seg").columns, *single]
        names += [f"{before}{task}/{name}" for task, figures in found.items() for name in figures]
    return names


def check_keep_best(cfg: CfgNode) -> None:
    """Refuse a ``TEST.KEEP_BEST`` of which there will be no figure.

    Raises:
        UserError: with the names that there are.
    """
    metric = cfg.TEST.KEEP_BEST
    if not metric:
        return
    known = metric_names(cfg)
    if metric not in known:
        close = did_you_mean(metric, known)
        advice = close.removeprefix("; ") or f"such as {', '.join(known[:3])}"
        raise UserError(
            f"TEST.KEEP_BEST {metric} is none of the figures of this run's evaluations", advice
        )
    if not cfg.TEST.EVAL_PERIOD > 0:
        raise UserError(
            f"TEST.KEEP_BEST {metric} chooses among evaluations, and TEST.EVAL_PERIOD"
            f" {cfg.TEST.EVAL_PERIOD} does none before the end; set it to some iterations"
        )
