"""Evaluation on a data set that numbers its classes otherwise than the detector does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from robust_det.detection.categories import ClassNames
from robust_det.detection.datasets.class_matching import ABSENT, places_among
from robust_det.detection.datasets.registration import describe_dataset
from robust_det.detection.tasks import finds_objects, finds_stuff

__all__ = ["ByName", "Renumbering", "renumbering", "say_left_out"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Renumbering:
    """From the classes of a detector to those of a data set, by their names.

    Attributes:
        objects: the place of each of the detector's classes of objects among the data set's;
            :data:`~.class_matching.ABSENT` if it has none of that name.
        stuff: likewise of the classes of pixels, which are all there; empty without any.
    """

    objects: tuple[int, ...]
    stuff: tuple[int, ...] = ()

    @property
    def changes_nothing(self) -> bool:
        """Whether both number their classes alike."""
        return all(places == tuple(range(len(places))) for places in (self.objects, self.stuff))

    @property
    def left_out(self) -> int:
        """How many of the detector's classes of objects the data set has not."""
        return self.objects.count(ABSENT)

    def apply(self, output: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a model found in an image as the data set numbers it.

        Objects of classes that it has not are left out.
        """
        out = dict(output)
        if "instances" in out:
            found = out["instances"]
            places = torch.tensor(self.objects, device=found.pred_classes.device)
            found = found[places[found.pred_classes] != ABSENT]
            found.pred_classes = places[found.pred_classes]
            out["instances"] = found
        if "sem_seg" in out:  # (classes, H, W)
            out["sem_seg"] = out["sem_seg"][_inverse(self.stuff)]
        if "panoptic_seg" in out:
            out["panoptic_seg"] = self._panoptic(*out["panoptic_seg"])
        return out

    def _panoptic(
        self, ids: torch.Tensor, segments: Sequence[Mapping[str, Any]]
    ) -> tuple[torch.Tensor, list[dict[str, Any]]]:
        ids, kept = ids.clone(), []
        for segment in segments:
            place = (self.objects if segment["isthing"] else self.stuff)[segment["category_id"]]
            if place == ABSENT:
                ids[ids == segment["id"]] = 0
            else:
                kept.append({**segment, "category_id": place})
        return ids, kept


def _inverse(places: Sequence[int]) -> list[int]:
    return sorted(range(len(places)), key=places.__getitem__)


def renumbering(cfg: CfgNode, name: str, classes: ClassNames | None = None) -> Renumbering | None:
    """Return how the classes of a config's model are numbered in a data set; None if alike.

    Args:
        cfg: a complete config.
        name: of a prepared data set.
        classes: see :func:`.build_evaluator`.
    """
    if classes is None and not cfg.DATASETS.TRAIN:
        return None
    trained, facts = describe_dataset(cfg.DATASETS.TRAIN[0]), describe_dataset(name)
    known = classes or ClassNames()
    things, pixels = known.objects or trained.classes, known.stuff or trained.stuff
    objects = places_among(things, facts.classes) if finds_objects(cfg) else ()
    stuff = places_among(pixels, facts.stuff) if finds_stuff(cfg) else ()
    found = Renumbering(tuple(objects), tuple(stuff))
    return None if found.changes_nothing else found


def say_left_out(cfg: CfgNode, classes: ClassNames | None = None) -> None:
    """Log which test sets lack classes that the detector has, as nobody sees it in their figures.

    Args:
        cfg: a complete config.
        classes: of the detector, see :func:`.build_evaluator`.
    """
    for name in cfg.DATASETS.TEST if comm.is_main_process() else ():
        numbers = renumbering(cfg, name, classes)
        if numbers is not None and numbers.left_out:
            total, left_out = len(numbers.objects), numbers.left_out
            logger.info(
                f"test set '{name}' has {total - left_out} of the {total} classes; {left_out}"
                f" {'is' if left_out == 1 else 'are'} not evaluated, and what is found of"
                f" {'it' if left_out == 1 else 'them'} is left out"
            )


class ByName(DatasetEvaluator):
    """Gives an evaluator what a detector found under the numbers of the evaluator's data set.

    Args:
        evaluator: of that data set.
        numbers: from the detector's classes to the data set's.
    """

    def __init__(self, evaluator: DatasetEvaluator, numbers: Renumbering) -> None:
        self._evaluator, self._numbers = evaluator, numbers

    def reset(self) -> None:
        self._evaluator.reset()

    def process(self, inputs: Any, outputs: Any) -> None:
        self._evaluator.process(inputs, [self._numbers.apply(output) for output in outputs])

    def evaluate(self) -> Any:
        return self._evaluator.evaluate()
