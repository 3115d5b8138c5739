"""TEST.AUG gives what Detectron2's own wrapper gives, wherever a detector is evaluated."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import MetadataCatalog, build_detection_test_loader
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.modeling import GeneralizedRCNNWithTTA, build_model

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config, load_detector_config, load_evaluation_config
from robust_det.detection.datasets.registration import original_image_ids
from robust_det.detection.detector import load_detector
from robust_det.detection.export.exporting import export_detector
from robust_det.detection.finetuning.jobs import evaluate
from robust_det.detection.prediction.inputs import find_inputs
from robust_det.detection.prediction.predict import predict
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord

SIZES = "(64, 96)"
ON = ["TEST.AUG.ENABLED", "True", "TEST.AUG.MIN_SIZES", SIZES, "TEST.AUG.MAX_SIZE", "120"]
EVERY = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "TEST.DETECTIONS_PER_IMAGE", "5"]


def stock(cfg: Any, detector: Path) -> list[dict[str, Any]]:
    """What Detectron2's wrapper finds on what its loader and mapper give it."""
    model = build_model(cfg).eval()
    model.load_state_dict(load_checkpoint(detector)["model"])
    wrapper, found = GeneralizedRCNNWithTTA(cfg, model), []
    with torch.no_grad():
        for (image,) in build_detection_test_loader(cfg, cfg.DATASETS.TEST[0]):
            (output,) = wrapper([image])
            found += instances_to_coco_json(output["instances"].to("cpu"), image["image_id"])
    return found


@pytest.mark.parametrize("kind", ["mask", "c4"])
def test_detections_are_those_of_the_stock_wrapper(
    kind: str, detector_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = str(detector_config(kind, data=True))
    cfg, card, detector = load_evaluation_config(config, [*ON, *EVERY])
    evaluate(cfg, card, "x", detector)
    folder = tmp_path / "run/eval"
    record = read_record(folder, DetectionRecord)
    assert record.protocol["TEST.AUG.ENABLED"] and record.protocol["TEST.AUG.MIN_SIZES"] == [64, 96]
    ours = json.loads((folder / record.detections["scenes_val"].path).read_text())
    theirs = stock(cfg, detector)
    assert len(ours) == len(theirs) > 0
    ids = MetadataCatalog.get("scenes_val").thing_dataset_id_to_contiguous_id
    originals = original_image_ids("scenes_val")
    for mine, other in zip(ours, theirs, strict=True):
        assert ids[mine["category_id"]] == other["category_id"]
        assert mine["image_id"] == originals.get(other["image_id"], other["image_id"])
        assert mine["score"] == pytest.approx(other["score"], abs=1e-6)
        assert mine["bbox"] == pytest.approx(other["bbox"], abs=1e-3)
        assert mine.get("segmentation") == other.get("segmentation")


def test_predict_looks_at_images_likewise(
    detector_config: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    config = str(detector_config())
    image = next((scenes / "val").iterdir())
    found = {}
    for name, keys in {"off": EVERY, "on": [*EVERY, *ON]}.items():
        detector = load_detector(config, keys)
        output = tmp_path / name
        predict(detector, find_inputs(str(image)), output, pictures=False)
        document = json.loads((output / "predictions.json").read_text())
        found[name] = [one["bbox"] for one in document["annotations"]]
    assert found["on"] and found["on"] != found["off"]
    augmented = load_detector(config, ON)
    assert not augmented.finder.training and not augmented.model.training
    with pytest.raises(UserError, match=r"looks at an image once; set TEST\.AUG\.ENABLED False"):
        export_detector(augmented, "onnx", image, tmp_path / "x.onnx")


def test_what_cannot_be_augmented_is_refused_by_name(
    detector_config: Callable[..., Path],
    write_config: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    retinanet = str(detector_config("retinanet", data=True))
    for load in (load_config, load_evaluation_config, load_detector_config):
        with pytest.raises(UserError, match=r"GeneralizedRCNN, and MODEL\.META_.* is RetinaNet;"):
            load(retinanet, ["TEST.AUG.ENABLED", "True"])
    config = str(write_config())
    for keys, message in (
        (["TEST.AUG.MIN_SIZES", "()"], r"MIN_SIZES is \[\]; give the short sides"),
        (["TEST.AUG.MIN_SIZES", "(0, 96)"], r"MIN_SIZES is \[0, 96\]"),
        (["TEST.AUG.MAX_SIZE", "0"], "MAX_SIZE is 0; it starts from 1"),
        (["MODEL.LOAD_PROPOSALS", "True"], r"LOAD_PROPOSALS True has no effect here"),
    ):
        with pytest.raises(UserError, match=message):
            load_config(config, [*ON, *keys])
    with caplog.at_level(logging.WARNING):
        load_config(config, ["TEST.AUG.ENABLED", "True"])
    assert "are all on one side of INPUT.MIN_SIZE_TEST 96" in caplog.text


def test_a_model_is_left_in_its_mode(write_config: Callable[..., Path]) -> None:
    from robust_det.detection.evaluation.augmented import with_test_time_augmentation

    cfg, _ = load_config(str(write_config()), ON)
    model = build_model(cfg)
    for training in (True, False):
        model.train(training)
        assert with_test_time_augmentation(cfg, model).training is training
        assert model.training is training
