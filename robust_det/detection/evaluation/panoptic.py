"""The evaluator of panoptic segmentation."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from robust_det.core.files import sha256_file, write_atomically
from robust_det.data.detection.segments import read_ids, write_ids
from robust_det.detection.datasets.registration import prepared_dataset
from robust_det.detection.evaluation.quality import (
    Tally,
    merged,
    panoptic_quality,
    tally_image,
)
from robust_det.detection.evaluation.saved_files import PANOPTIC_NAME

__all__ = ["PanopticEvaluator"]


class PanopticEvaluator(DatasetEvaluator):
    """Scores ``panoptic_seg`` as Detectron2's ``COCOPanopticEvaluator`` does, and keeps it.

    Segmentations are written in COCO's format: PNG files, and JSON that holds their SHA-256 too.

    Args:
        name: a prepared data set with panoptic annotations.
        folder: where the segmentations go.
    """

    def __init__(self, name: str, folder: Path) -> None:
        metadata = MetadataCatalog.get(name)
        prepared = prepared_dataset(name)
        assert prepared.panoptic is not None
        self._categories, self._truth = prepared.panoptic.categories, prepared.segments()
        self._truth_folder, self._folder = metadata.panoptic_root, folder
        self._names: list[dict[int, str]] = []
        self._ids: list[dict[int, int]] = []
        for classes, places in (
            (metadata.thing_classes, metadata.thing_dataset_id_to_contiguous_id),
            (metadata.stuff_classes, metadata.stuff_dataset_id_to_contiguous_id),
        ):
            # 0 of the stuff, as no annotation has it, is all things together
            self._names.append({number: classes[i] for number, i in places.items() if number})
            self._ids.append({i: number for number, i in places.items()})
        self.reset()

    def reset(self) -> None:
        self._tallies: dict[int, Tally] = {}
        self._annotations: list[dict[str, Any]] = []

    def process(self, inputs: Any, outputs: Any) -> None:
        for image, output in zip(inputs, outputs, strict=True):
            ids, segments = output["panoptic_seg"]
            found = ids.cpu().numpy()
            described = [
                {"id": s["id"], "category_id": self._ids[not s["isthing"]][s["category_id"]]}
                for s in segments
            ]
            truth = self._truth[image["image_id"]]
            true_ids = read_ids(os.path.join(self._truth_folder, truth["file_name"]))
            tallies = tally_image(true_ids, truth["segments_info"], found, described)
            self._tallies = merged([self._tallies, tallies])
            path = self._folder / "panoptic" / truth["file_name"]
            write_ids(path, found)
            self._annotations.append(
                {
                    "image_id": truth["image_id"],
                    "file_name": truth["file_name"],
                    "segments_info": described,
                    "sha256": sha256_file(path),
                }
            )

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        gathered = comm.gather((self._tallies, self._annotations), dst=0)
        if not comm.is_main_process():
            return None
        tallies, annotations = zip(*gathered, strict=True)
        document = {
            "annotations": list(itertools.chain(*annotations)),
            "categories": self._categories,
        }
        text = json.dumps(document).encode()
        write_atomically(self._folder / PANOPTIC_NAME, lambda file: file.write(text))
        return {"panoptic_seg": panoptic_quality(merged(tallies), *self._names)}
