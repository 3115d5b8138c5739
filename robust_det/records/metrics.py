"""The figures of runs by their names in records, and what the tasks of detection are called."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COCO_EVALUATOR", "PRETRAIN_METRICS", "VOC_EVALUATOR", "Task", "task_of", "task_order"]

# of a pretraining run; accuracies in percent
PRETRAIN_METRICS = (
    "clean_top1",
    "clean_top5",
    "adversarial_top1",
    "mean_per_class",
    "adversarial_mean_per_class",
    "train_loss",
    "train_top1",
)

# the rules of two evaluators, which both have an AP
COCO_EVALUATOR = "COCOEvaluator"
VOC_EVALUATOR = "PascalVOCDetectionEvaluator"


@dataclass(frozen=True)
class Task:
    """A task as tables show it.

    Attributes:
        name: for headings.
        columns: the metrics shown; the first is the one that backbones are compared by.
        by_class: how the names of the metrics of single classes start.
    """

    name: str
    columns: tuple[str, ...]
    by_class: str

    @property
    def headline(self) -> str:
        """The metric that backbones are compared by."""
        return self.columns[0]


_PQ = ("PQ", "SQ", "RQ", "PQ_th", "SQ_th", "RQ_th", "PQ_st", "SQ_st", "RQ_st")
_AP = ("AP", "AP50", "AP75", "APs", "APm", "APl")
_TASKS = {
    "bbox": Task("Box AP", _AP, "AP-"),
    "segm": Task("Mask AP", _AP, "AP-"),
    "panoptic_seg": Task("Panoptic PQ", _PQ, "PQ-"),
    "sem_seg": Task("Semantic mIoU", ("mIoU", "fwIoU", "mACC", "pACC"), "IoU-"),
}


def task_of(name: str) -> Task:
    """Return a task by its name in a record.

    Args:
        name: such as ``bbox``; with several test sets ``dataset/bbox``. One that is not known has
            AP.
    """
    dataset, _, kind = name.rpartition("/")
    known = _TASKS.get(kind, Task("", _AP, "AP-"))
    if known.name and not dataset:
        return known
    return Task(f"{name} {known.headline}", known.columns, known.by_class)


def task_order(tasks: set[str]) -> list[str]:
    """Boxes first, then masks, panoptic and semantic segmentation, then whatever else there is."""
    return [t for t in _TASKS if t in tasks] + sorted(tasks - set(_TASKS))
