"""Semantic and panoptic FPN from end to end: figures, files, pictures, comparison."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from detectron2.data import DatasetMapper
from detectron2.modeling import build_model
from PIL import Image
from pycocotools import mask

from robust_det.analysis.compare import compare
from robust_det.analysis.options import Options
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.core.seeding import mixed_seed, seeded
from robust_det.data.detection.segments import read_ids
from robust_det.detection.categories import categories_of
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.detection.detector import load_detector
from robust_det.detection.evaluation.quality import merged, panoptic_quality, tally_image
from robust_det.detection.finetuning.jobs import finetune
from robust_det.detection.finetuning.training_data import training_images
from robust_det.detection.mapping.mapper import build_mapper

SKY, GROUND = 20, 30
PLACES = {0: 0, SKY: 1, GROUND: 2}


def run(config: Any, *overrides: Any) -> Any:
    """Train a config; return the complete config and the record."""
    cfg, card = load_config(str(config), overrides)
    finetune(cfg, card, "run")
    with open(f"{cfg.OUTPUT_DIR}/record.json") as file:
        return cfg, json.load(file)


def kept(cfg: Any, record: Any, task: Any) -> Any:
    """The file that a record names for a task."""
    described = record["segmentations"][cfg.DATASETS.TEST[0]][task]
    path = f"{cfg.OUTPUT_DIR}/{described['path']}"
    assert sha256_file(path) == described["sha256"]
    with open(path) as file:
        return json.load(file)


def mean_iou(predictions: Any, folder: Any) -> Any:
    """Mean and single IoU of things, sky and ground, in percent."""
    kept_found, kept_true = [], []
    for name in sorted({p["file_name"] for p in predictions}):
        segments = [p for p in predictions if p["file_name"] == name]
        classes = sum(PLACES[p["category_id"]] * mask.decode(p["segmentation"]) for p in segments)
        truth = np.asarray(Image.open(folder / name.rpartition("/")[2]))
        kept_found.append(classes[truth < 255])
        kept_true.append(truth[truth < 255])
    found, true = np.concatenate(kept_found), np.concatenate(kept_true)
    ious = [
        100 * np.sum((found == c) & (true == c)) / np.sum((found == c) | (true == c))
        for c in range(3)
    ]
    return np.mean(ious), ious


def changed_copy(record: Any, folder: Any, task: Any, metric: Any, value: Any) -> Any:
    """The record of a robust run that differs in one figure."""
    other = json.loads(json.dumps(record))
    other.update(eps=3.0, norm="l2", weights={"path": "robust", "sha256": "f" * 64})
    other["metrics"][task][metric] = value
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps(other))
    return folder


def standard(cfg: Any, record: Any) -> Any:
    """Make a run's record that of the standard backbone."""
    record["eps"] = 0.0
    with open(f"{cfg.OUTPUT_DIR}/record.json", "w") as file:
        json.dump(record, file)
    return cfg.OUTPUT_DIR


def test_semantic_fpn(panoptic_config: Callable[..., Path], panoptic: Path, tmp_path: Path) -> None:
    config = panoptic_config("base_semantic_fpn", "semantic", objects=False)
    cfg, record = run(config, "SOLVER.MAX_ITER", "20", "SOLVER.STEPS", "[]")
    assert cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 3
    assert list(record["metrics"]) == ["sem_seg"]
    figures = record["metrics"]["sem_seg"]
    mean, ious = mean_iou(kept(cfg, record, "sem_seg"), panoptic / "segments_val_stuff")
    assert figures["mIoU"] == pytest.approx(mean) and mean > 15
    assert [figures[f"IoU-{n}"] for n in ("things", "sky", "ground")] == pytest.approx(ious)
    (data,) = record["data"]["test"]
    assert (data["images"], data["classes"], data["stuff"]) == (6, 0, 3)
    assert data["panoptic_sha256"] == sha256_file(data["annotations_file"])
    assert [one["name"] for one in record["evaluators"]] == ["SemSegEvaluator"]
    assert record["detections"] == {}
    check_pictures(cfg, record)
    robust = changed_copy(record, tmp_path / "robust", "sem_seg", "mIoU", figures["mIoU"] + 1.5)
    page, text = compare([standard(cfg, record), robust], tmp_path / "report")
    header = next(line for line in text.splitlines() if line.startswith("arch"))
    assert header.split() == ["arch", "backbone", "mIoU", "fwIoU", "mACC", "pACC", "ΔmIoU", "n"]
    assert "Semantic mIoU on semantic_val" in text and "+1.5" in text
    assert "IoU of each class (3)" in page.read_text()
    with pytest.raises(UserError, match="no run was scored by COCOEvaluator"):
        compare([robust], tmp_path / "none", options=Options(significance=True))


def check_pictures(cfg: Any, record: Any) -> None:
    """Truth and prediction are drawn, on the image, and differ."""
    assert len(record["pictures"]) == 2
    for picture in record["pictures"]:
        truth, found = (
            np.asarray(Image.open(f"{cfg.OUTPUT_DIR}/{picture[kind]}"), dtype=int)
            for kind in ("ground_truth", "prediction")
        )
        assert truth.shape == found.shape == (320, 320, 3)
        assert np.abs(truth - found).mean() > 1


def test_panoptic_fpn(panoptic_config: Callable[..., Path], panoptic: Path, tmp_path: Path) -> None:
    config = panoptic_config("base_panoptic_fpn", "both")
    overrides = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0", "SOLVER.MAX_ITER", "20"]
    overrides += ["MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH", "0.01"]
    cfg, record = run(config, *overrides, "SOLVER.STEPS", "[]")
    assert (cfg.MODEL.ROI_HEADS.NUM_CLASSES, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES) == (8, 3)
    assert cfg.MODEL.SEM_SEG_HEAD.LOSS_WEIGHT == 0.5
    assert list(record["metrics"]) == ["bbox", "panoptic_seg", "segm", "sem_seg"]
    names = ["SemSegEvaluator", "COCOEvaluator", "PanopticEvaluator"]
    assert [one["name"] for one in record["evaluators"]] == names
    with open(f"{cfg.OUTPUT_DIR}/metrics.json") as file:
        losses = json.loads(file.readline())
    assert {"loss_sem_seg", "loss_mask", "loss_box_reg", "loss_rpn_cls"} <= set(losses)
    check_pictures(cfg, record)

    document = kept(cfg, record, "panoptic_seg")
    truth = json.loads((panoptic / "val.json").read_text())
    true = {a["image_id"]: a for a in truth["annotations"]}
    folder = f"{cfg.OUTPUT_DIR}/inference/both_val/panoptic"
    tallies = []
    for one in document["annotations"]:
        path, wanted = f"{folder}/{one['file_name']}", true[one["image_id"]]
        assert sha256_file(path) == one["sha256"]
        ids = read_ids(path)
        assert {s["id"] for s in one["segments_info"]} == set(np.unique(ids[ids > 0]).tolist())
        true_ids = read_ids(panoptic / "segments_val" / wanted["file_name"])
        tallies.append(tally_image(true_ids, wanted["segments_info"], ids, one["segments_info"]))
    assert len(tallies) == 6
    things = {c["id"]: c["name"] for c in truth["categories"] if c["isthing"]}
    again = panoptic_quality(merged(tallies), things, {SKY: "sky", GROUND: "ground"})
    figures = record["metrics"]["panoptic_seg"]
    assert figures == pytest.approx({k: None if np.isnan(v) else v for k, v in again.items()})
    assert figures["PQ_st"] > 10

    # boxes and masks are resampled as those of Mask R-CNN, and the rest is said to have none
    robust = changed_copy(record, tmp_path / "robust", "panoptic_seg", "PQ", figures["PQ"] - 2)
    paths = [standard(cfg, record), robust]
    _, text = compare(paths, tmp_path / "report")
    assert "Panoptic PQ on both_val" in text and "−2.0" in text
    assert "Mask AP on both_val" in text and "Semantic mIoU on both_val" in text
    options = Options(significance=True, resamples=40)
    _, text = compare([paths[0]], tmp_path / "intervals", options=options)
    assert "there are none for Panoptic PQ and Semantic mIoU" in text


@pytest.mark.parametrize("seed", [0, 1])
def test_maps_are_augmented_as_by_detectron2(
    panoptic_config: Callable[..., Path], seed: int
) -> None:
    changes = {"INPUT": {"MIN_SIZE_TRAIN": [64, 80, 112], "MAX_SIZE_TRAIN": 200}}
    config = panoptic_config("base_panoptic_fpn", f"mapped{seed}", **changes)
    cfg, _ = load_config(str(config))
    images = training_images(cfg)
    for number, image in enumerate(images):
        outputs = []
        for mapper in (build_mapper(cfg, images), DatasetMapper(cfg, is_train=True)):
            with seeded(mixed_seed(seed, number)):
                outputs.append(mapper(image))
        ours, theirs = outputs
        assert torch.equal(ours["image"], theirs["image"])
        assert torch.equal(ours["sem_seg"], theirs["sem_seg"])
        assert ours["sem_seg"].shape == ours["image"].shape[1:]
        assert set(ours["sem_seg"].unique().tolist()) <= {0, 1, 2, 255}


def test_a_run_goes_on_to_the_same_bits(
    panoptic_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = panoptic_config("base_semantic_fpn", "resumed", objects=False)
    more = ["SOLVER.STEPS", "[]", "TEST.PICTURES", "0"]
    run(config, *more, "OUTPUT_DIR", str(tmp_path / "whole"))
    part = [*more, "OUTPUT_DIR", str(tmp_path / "part")]
    cfg, card = load_config(str(config), part)
    finetune(cfg, card, "run")
    (tmp_path / "part/record.json").unlink()
    (tmp_path / "part/model_final.pth").unlink()
    (tmp_path / "part/last_checkpoint").write_text("model_0000003.pth")
    finetune(cfg, card, "run", resume=True)
    ends = [
        torch.load(tmp_path / name / "model_final.pth", weights_only=True)["model"]
        for name in ("whole", "part")
    ]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


def test_a_panoptic_detector_is_loaded_without_its_data(
    panoptic_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = panoptic_config("base_panoptic_fpn", "loaded")
    cfg, card = load_config(str(config))
    model = build_model(cfg)
    categories = categories_of(cfg.DATASETS.TRAIN[0])
    RobustCheckpointer(model, str(tmp_path), card=card, categories=categories).save("detector")
    raw = yaml.safe_load(config.read_text())
    raw["DATASETS"] = {"TRAIN": ["no_such_data"], "TEST": ["no_such_data"]}
    config.write_text(yaml.safe_dump(raw))
    detector = load_detector(str(config), weights=tmp_path / "detector.pth")
    assert detector.cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES == 3
    assert len(detector.categories) == 8
    for key, value in model.state_dict().items():
        assert torch.equal(detector.model.state_dict()[key], value)
    overrides = ["MODEL.META_ARCHITECTURE", "SemanticSegmentor"]
    with pytest.raises(UserError, match="is of a SemanticSegmentor, which finds no objects"):
        load_detector(str(config), overrides, tmp_path / "detector.pth")
