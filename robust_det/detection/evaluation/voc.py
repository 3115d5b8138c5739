"""Pascal VOC's AP of boxes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from detectron2.evaluation import PascalVOCDetectionEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.utils import comm

from robust_det.core.files import write_atomically
from robust_det.detection.evaluation.saved_files import DETECTIONS_NAME

__all__ = ["VOCEvaluator"]


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
