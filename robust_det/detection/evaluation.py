"""Which evaluator a data set gets, the figures it gives, and the detections it leaves on disk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import faster_coco_eval
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation import COCOEvaluator, DatasetEvaluator, PascalVOCDetectionEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.utils import comm

from robust_det.files import write_atomically
from robust_det.records import sha256_file

__all__ = [
    "DETECTIONS_NAME",
    "FastCOCOEvaluator",
    "VOCEvaluator",
    "annotations_file",
    "build_evaluator",
    "describe_evaluators",
    "saved_detections",
]

DETECTIONS_NAME = "coco_instances_results.json"


def build_evaluator(cfg: CfgNode, name: str) -> DatasetEvaluator:
    """Return the evaluator that a data set's metadata asks for: Pascal VOC's, else COCO's.

    Args:
        cfg: a complete config; the detections go to ``OUTPUT_DIR/inference/NAME``.
        name: a registered data set.
    """
    folder = _folder(cfg, name)
    if _is_voc(name):
        return VOCEvaluator(name, folder)
    # named, as a detector that finds nothing would seem to have no masks
    tasks = ["bbox", *["segm"] * cfg.MODEL.MASK_ON, *["keypoints"] * cfg.MODEL.KEYPOINT_ON]
    return FastCOCOEvaluator(name, tasks, output_dir=str(folder), use_fast_impl=False)


def annotations_file(name: str) -> str:
    """Return the path of a data set's COCO annotations as it was used; empty without any."""
    return str(MetadataCatalog.get(name).get("json_file") or "")


def describe_evaluators(names: Sequence[str]) -> dict[str, str]:
    """Return the ``evaluator`` of a record: name and library of what scores these data sets."""
    coco = ("COCOEvaluator", f"faster-coco-eval {metadata.version('faster-coco-eval')}")
    voc = ("PascalVOCDetectionEvaluator", f"detectron2 {metadata.version('detectron2')}")
    used = list(dict.fromkeys(voc if _is_voc(name) else coco for name in names))
    return {
        "name": " + ".join(name for name, _ in used),
        "library": " + ".join(library for _, library in used),
    }


def saved_detections(cfg: CfgNode) -> dict[str, dict[str, str]]:
    """Return ``{data set: {"path", "sha256"}}`` of the detections that an evaluation wrote.

    Paths are relative to ``OUTPUT_DIR``. A test set without a file, as nothing was evaluated, is
    left out.
    """
    root, found = Path(cfg.OUTPUT_DIR), {}
    for name in cfg.DATASETS.TEST:
        path = _folder(cfg, name) / DETECTIONS_NAME
        if path.is_file():
            found[name] = {
                "path": path.relative_to(root).as_posix(),
                "sha256": sha256_file(path),
            }
    return found


def _folder(cfg: CfgNode, name: str) -> Path:
    return Path(cfg.OUTPUT_DIR) / "inference" / name


def _is_voc(name: str) -> bool:
    return MetadataCatalog.get(name).get("evaluator_type") == "pascal_voc"


class FastCOCOEvaluator(COCOEvaluator):
    """Detectron2's :class:`COCOEvaluator` with the matching done in C++ by ``faster-coco-eval``.

    Gathering, the files written, and names and meaning of the figures are Detectron2's; the
    figures equal those of ``pycocotools`` to 1e-9 (tested).
    """

    def _eval_predictions(self, predictions: Any, img_ids: Any = None) -> None:
        results = list(itertools.chain(*[x["instances"] for x in predictions]))
        if hasattr(self._metadata, "thing_dataset_id_to_contiguous_id"):
            ids = {v: k for k, v in self._metadata.thing_dataset_id_to_contiguous_id.items()}
            for result in results:
                result["category_id"] = ids[result["category_id"]]
        if self._output_dir:
            text = json.dumps(results).encode()
            write_atomically(Path(self._output_dir) / DETECTIONS_NAME, lambda f: f.write(text))
        if not self._do_evaluation:
            self._logger.info("Annotations are not available for evaluation.")
            return
        for task in sorted(self._tasks or self._tasks_from_predictions(results)):
            self._results[task] = self._derive_coco_results(
                # nothing to load is no result for COCO's API; Detectron2 has NaN for it
                self._evaluation(results, task, img_ids) if results else None,
                task,
                class_names=self._metadata.get("thing_classes"),
            )

    def _evaluation(self, results: list[dict[str, Any]], task: str, img_ids: Any) -> Any:
        truth = faster_coco_eval.COCO(self._coco_api.dataset)
        # copies, as loading adds fields; without boxes, so that the areas are those of the masks
        dropped = "bbox" if task == "segm" else ""
        results = [{k: v for k, v in result.items() if k != dropped} for result in results]
        evaluation = faster_coco_eval.COCOeval_faster(
            truth,
            truth.loadRes(results),
            task,
            print_function=print,
            kpt_oks_sigmas=list(self._kpt_oks_sigmas) or None,
        )
        if img_ids is not None:
            evaluation.params.imgIds = img_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation


class VOCEvaluator(PascalVOCDetectionEvaluator):
    """Detectron2's evaluator of Pascal VOC, which keeps the detections as well.

    They are written in COCO's results format; ``category_id`` is the place of the class among
    the data set's ``thing_classes``, from 0, and ``image_id`` the name of the image.

    Args:
        name: a registered data set.
        folder: where the detections go.
    """

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self._folder = folder
        self._instances: list[dict[str, Any]] = []

    def reset(self) -> None:
        super().reset()
        self._instances = []

    def process(self, inputs: Any, outputs: Any) -> None:
        super().process(inputs, outputs)
        for image, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to("cpu")
            self._instances += instances_to_coco_json(instances, image["image_id"])

    def evaluate(self) -> Any:
        gathered = comm.gather(self._instances, dst=0)
        if comm.is_main_process():
            text = json.dumps(list(itertools.chain(*gathered))).encode()
            write_atomically(self._folder / DETECTIONS_NAME, lambda f: f.write(text))
        return super().evaluate()
