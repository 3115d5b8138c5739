"""However a tool names the images of panoptic annotations, their segments and objects are found."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from hypothesis import HealthCheck, Phase, given, settings

from robust_det.data.detection.segments import read_ids
from robust_det.detection.datasets import prepare_dataset, register_custom
from robust_det.detection.evaluation import PanopticEvaluator
from tests.support.exporters import REFERENCES, Exporter, exporters

NUMBER = itertools.count()


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(exporter=exporters())
def test_panoptic_json(
    exporter: Exporter, document: Any, own_panoptic: Path, scenes: Path, tmp_path: Path
) -> None:
    name = f"exported_panoptic_{next(NUMBER)}"
    objects, path = tmp_path / f"{name}.json", own_panoptic / f"{name}.json"
    exporter = replace(exporter, first_class=1)  # as the panoptic annotations have it
    objects.write_bytes(exporter.encoded(exporter.rewritten(document)))
    truth = json.loads((own_panoptic / "val.json").read_text())
    numbers = {image["id"]: n for n, image in enumerate(truth["images"])}
    refer = REFERENCES[exporter.reference]
    for image in truth["images"]:
        image["id"] = exporter.image_id(numbers[image["id"]])
    for annotation in truth["annotations"]:
        annotation["image_id"] = refer(exporter.image_id(numbers[annotation["image_id"]]))
    path.write_bytes(exporter.encoded(truth))
    entry = {"NAME": name, "PANOPTIC": str(path), "SEGMENTS": str(own_panoptic / "segments_val")}
    register_custom([{**entry, "IMAGES": str(scenes / "val"), "JSON": str(objects)}])
    facts = prepare_dataset(name)
    assert (facts.images, facts.annotations) == (6, len(document["annotations"]))

    # what Detectron2's own evaluator goes by
    numbered = json.loads(Path(MetadataCatalog.get(name).panoptic_json).read_bytes())
    by_id = {annotation["image_id"]: annotation for annotation in numbered["annotations"]}
    metadata, evaluator = MetadataCatalog.get(name), PanopticEvaluator(name, tmp_path / "out")
    by_file = {annotation["file_name"]: annotation for annotation in truth["annotations"]}
    for record in DatasetCatalog.get(name):
        file = Path(record["sem_seg_file_name"]).name
        assert Path(record["file_name"]).stem == Path(file).stem
        assert by_id[record["image_id"]]["segments_info"] == by_file[file]["segments_info"]
        things = metadata.thing_dataset_id_to_contiguous_id
        places = {**metadata.stuff_dataset_id_to_contiguous_id, **things}
        segments = [
            {
                "id": segment["id"],
                "isthing": segment["category_id"] in things,
                "category_id": places[segment["category_id"]],
            }
            for segment in by_file[file]["segments_info"]
        ]
        ids = torch.tensor(read_ids(own_panoptic / "segments_val" / file))
        evaluator.process([record], [{"panoptic_seg": (ids, segments)}])
    figures = evaluator.evaluate()
    assert figures is not None and figures["panoptic_seg"]["PQ"] == pytest.approx(100, abs=1e-9)
    saved = json.loads((tmp_path / "out/panoptic_predictions.json").read_bytes())
    named = {one["file_name"]: one["image_id"] for one in saved["annotations"]}
    assert named == {file: a["image_id"] for file, a in by_file.items()}
