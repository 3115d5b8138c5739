"""Which evaluators a data set gets, and what a record says of them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators, SemSegEvaluator

from robust_det.core.installation import __version__
from robust_det.detection.categories import ClassNames
from robust_det.detection.evaluation.by_name import ByName, renumbering
from robust_det.detection.evaluation.coco import FastCOCOEvaluator
from robust_det.detection.evaluation.panoptic import PanopticEvaluator
from robust_det.detection.evaluation.saved_files import evaluation_folder
from robust_det.detection.evaluation.voc import VOCEvaluator
from robust_det.detection.tasks import finds_objects, finds_stuff
from robust_det.records.detection import Evaluator
from robust_det.records.metrics import COCO_EVALUATOR, VOC_EVALUATOR

__all__ = ["build_evaluator", "describe_evaluators", "kinds_of_evaluators"]

# as records call them
_SEMANTIC = "SemSegEvaluator"
_PANOPTIC = "PanopticEvaluator"


def build_evaluator(cfg: CfgNode, name: str, classes: ClassNames | None = None) -> DatasetEvaluator:
    """Return what scores all that a config's model finds.

    Classes are told by their names: a test set may have fewer of them, in another order. What is
    found of those that it lacks is left out.

    Args:
        cfg: a complete config; what is found goes to ``OUTPUT_DIR/inference/NAME``.
        name: a registered data set; its metadata ask for Pascal VOC's AP, else it is COCO's.
        classes: of the model, by default those of the first training set.
    """
    folder = evaluation_folder(cfg, name)

    def coco() -> DatasetEvaluator:
        # named, as a detector that finds nothing would seem to have no masks
        tasks = ["bbox"]
        if cfg.MODEL.MASK_ON:
            tasks.append("segm")
        if cfg.MODEL.KEYPOINT_ON:
            tasks.append("keypoints")
        return FastCOCOEvaluator(name, tasks, output_dir=str(folder))

    builders: dict[str, Callable[[], DatasetEvaluator]] = {
        _SEMANTIC: lambda: SemSegEvaluator(name, output_dir=str(folder)),
        VOC_EVALUATOR: lambda: VOCEvaluator(name, folder),
        COCO_EVALUATOR: coco,
        _PANOPTIC: lambda: PanopticEvaluator(name, folder),
    }
    evaluators = [builders[kind]() for kind in kinds_of_evaluators(cfg, name)]
    one = evaluators[0] if len(evaluators) == 1 else DatasetEvaluators(evaluators)
    numbers = renumbering(cfg, name, classes)
    return one if numbers is None else ByName(one, numbers)


def describe_evaluators(cfg: CfgNode) -> list[Evaluator]:
    """Return the ``evaluators`` of a record: what scores the test sets."""
    detectron2 = ("detectron2", metadata.version("detectron2"))
    libraries = {
        _SEMANTIC: detectron2,
        VOC_EVALUATOR: detectron2,
        COCO_EVALUATOR: ("faster-coco-eval", metadata.version("faster-coco-eval")),
        _PANOPTIC: ("robust_det", __version__),
    }
    used = dict.fromkeys(
        kind for name in cfg.DATASETS.TEST for kind in kinds_of_evaluators(cfg, name)
    )
    return [Evaluator(kind, *libraries[kind]) for kind in used]


def kinds_of_evaluators(cfg: CfgNode, name: str) -> list[str]:
    """Return the evaluators of a data set, by the names that records have for them."""
    kinds = [_SEMANTIC] if finds_stuff(cfg) else []
    if finds_objects(cfg):
        kinds.append(VOC_EVALUATOR if _is_voc(name) else COCO_EVALUATOR)
    if finds_objects(cfg) and finds_stuff(cfg):
        kinds.append(_PANOPTIC)
    return kinds


def _is_voc(name: str) -> bool:
    return MetadataCatalog.get(name).get("evaluator_type") == "pascal_voc"
