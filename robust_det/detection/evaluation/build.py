"""Which evaluators a data set gets, and what a record says of them."""

from __future__ import annotations

from importlib import metadata

from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator, DatasetEvaluators, SemSegEvaluator

from robust_det import __version__
from robust_det.detection.evaluation.coco import FastCOCOEvaluator
from robust_det.detection.evaluation.files import evaluation_folder
from robust_det.detection.evaluation.panoptic import PanopticEvaluator
from robust_det.detection.evaluation.voc import VOCEvaluator
from robust_det.detection.tasks import finds_objects, finds_stuff

__all__ = ["annotations_file", "build_evaluator", "describe_evaluators"]


def build_evaluator(cfg: CfgNode, name: str) -> DatasetEvaluator:
    """Return what scores all that a config's model finds.

    Args:
        cfg: a complete config; what is found goes to ``OUTPUT_DIR/inference/NAME``.
        name: a registered data set; its metadata ask for Pascal VOC's AP, else it is COCO's.
    """
    folder = evaluation_folder(cfg, name)
    evaluators: list[DatasetEvaluator] = []
    if finds_stuff(cfg):
        evaluators.append(SemSegEvaluator(name, output_dir=str(folder)))
    if finds_objects(cfg) and _is_voc(name):
        evaluators.append(VOCEvaluator(name, folder))
    elif finds_objects(cfg):
        # named, as a detector that finds nothing would seem to have no masks
        tasks = ["bbox", *["segm"] * cfg.MODEL.MASK_ON, *["keypoints"] * cfg.MODEL.KEYPOINT_ON]
        evaluators.append(
            FastCOCOEvaluator(name, tasks, output_dir=str(folder), use_fast_impl=False)
        )
    if finds_objects(cfg) and finds_stuff(cfg):
        evaluators.append(PanopticEvaluator(name, folder))
    return evaluators[0] if len(evaluators) == 1 else DatasetEvaluators(evaluators)


def annotations_file(name: str) -> str:
    """Return the path of a data set's COCO annotations as it was used; empty without any."""
    known = MetadataCatalog.get(name)
    return str(known.get("json_file") or known.get("panoptic_json") or "")


def describe_evaluators(cfg: CfgNode) -> dict[str, str]:
    """Return the ``evaluator`` of a record: name and library of what scores the test sets."""
    detectron2 = f"detectron2 {metadata.version('detectron2')}"
    used = []
    for name in cfg.DATASETS.TEST:
        if finds_stuff(cfg):
            used.append(("SemSegEvaluator", detectron2))
        if finds_objects(cfg) and _is_voc(name):
            used.append(("PascalVOCDetectionEvaluator", detectron2))
        elif finds_objects(cfg):
            library = f"faster-coco-eval {metadata.version('faster-coco-eval')}"
            used.append(("COCOEvaluator", library))
        if finds_objects(cfg) and finds_stuff(cfg):
            used.append(("PanopticEvaluator", f"robust_det {__version__}"))
    names, libraries = zip(*dict.fromkeys(used), strict=True)
    return {"name": " + ".join(names), "library": " + ".join(libraries)}


def _is_voc(name: str) -> bool:
    return MetadataCatalog.get(name).get("evaluator_type") == "pascal_voc"
