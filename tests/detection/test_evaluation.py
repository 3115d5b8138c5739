"""Evaluators: the figures of Detectron2 and pycocotools, and the detections that are kept."""

import contextlib
import io
import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.evaluation import COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.structures import Boxes, Instances
from PIL import Image
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.analysis.compare import compare
from robust_det.analysis.options import Options
from robust_det.core.files import sha256_file
from robust_det.data.synthetic.flawed_detections import make_detections, make_truth
from robust_det.detection.config import detection_defaults, load_config
from robust_det.detection.datasets import register_custom
from robust_det.detection.datasets.class_matching import ABSENT
from robust_det.detection.datasets.registration import annotations_file, prepare_dataset
from robust_det.detection.evaluation import (
    DETECTIONS_NAME,
    FastCOCOEvaluator,
    VOCEvaluator,
    build_evaluator,
    describe_evaluators,
    saved_detections,
)
from robust_det.detection.evaluation.by_name import ByName, Renumbering
from robust_det.detection.finetuning.jobs import finetune
from robust_det.records import read_record
from robust_det.records.base import File
from robust_det.records.detection import DetectionRecord

IMAGES = 40


def instances(image: Any, detections: Any, classes: Any, masks: bool = True) -> Any:
    """What a detector returns for an image."""
    out = Instances((image["height"], image["width"]))
    boxes = torch.tensor([d["bbox"] for d in detections], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    out.pred_boxes = Boxes(boxes)
    out.scores = torch.tensor([d["score"] for d in detections])
    out.pred_classes = torch.tensor(
        [classes.index(d["category_id"]) for d in detections], dtype=torch.int64
    )
    if masks:
        decoded = [mask.decode(d["segmentation"]) for d in detections]
        size = (len(detections), image["height"], image["width"])
        out.pred_masks = torch.tensor(np.array(decoded, dtype=bool)).reshape(size)
    return out


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A registered data set, and inputs and outputs of a detector on it."""
    path = tmp_path_factory.mktemp("evaluation") / "truth.json"
    truth = make_truth(IMAGES, 5, crowds=0.1, seed=8)
    path.write_text(json.dumps(truth))
    name = "evaluation_test"
    register_coco_instances(name, {}, str(path), str(path.parent))
    classes = [c["id"] for c in truth["categories"]]
    with contextlib.redirect_stdout(io.StringIO()):
        DatasetCatalog.get(name)  # which is when Detectron2 notes the classes
    found = make_detections(truth, 18, quality=0.75, masks=True, seed=8)
    inputs = [{"image_id": image["id"]} for image in truth["images"]]
    outputs = [
        {"instances": instances(image, [d for d in found if d["image_id"] == image["id"]], classes)}
        for image in truth["images"]
    ]
    yield name, path, inputs, outputs
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def evaluated(evaluator: Any, inputs: Any, outputs: Any, **how: Any) -> Any:
    evaluator.reset()
    # an image at a time, as a loader gives them
    for one, other in zip(inputs, outputs, strict=True):
        evaluator.process([one], [other])
    with contextlib.redirect_stdout(io.StringIO()):
        return evaluator.evaluate(**how)


def test_the_figures_are_those_of_detectron2_with_pycocotools(case: Any, tmp_path: Path) -> None:
    name, _, inputs, outputs = case
    how = {"output_dir": str(tmp_path / "a"), "use_fast_impl": False}
    theirs = evaluated(COCOEvaluator(name, ["bbox", "segm"], **how), inputs, outputs)
    own = FastCOCOEvaluator(name, ["bbox", "segm"], output_dir=str(tmp_path / "b"))
    ours = evaluated(own, inputs, outputs)
    assert list(ours) == ["bbox", "segm"]
    for task in ours:
        expected = ["AP", "AP50", "AP75", "APs", "APm", "APl", *(f"AP-class{i}" for i in range(5))]
        assert list(ours[task]) == list(theirs[task]) == expected
        for metric, value in theirs[task].items():
            assert ours[task][metric] == pytest.approx(value, abs=1e-9, nan_ok=True), metric
        assert 10 < ours[task]["AP"] < 80 and math.isnan(ours[task]["AP-class4"])
    assert ours["bbox"]["AP"] != ours["segm"]["AP"]
    saved, other = (json.loads((tmp_path / x / DETECTIONS_NAME).read_text()) for x in "ba")
    assert saved == other and len(saved) > 500
    some = {inputs[0]["image_id"], inputs[3]["image_id"]}
    theirs, ours = (
        evaluated(evaluator, inputs, outputs, img_ids=sorted(some))["bbox"]
        for evaluator in (
            COCOEvaluator(name, ["bbox"], **how),
            FastCOCOEvaluator(name, ["bbox"], output_dir=str(tmp_path / "b")),
        )
    )
    assert ours == pytest.approx(theirs, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: f"slide {n}/\u00e9",
        lambda n: f"{n:012d}",
        lambda n: 1_700_000_000_000_000_000 + n,  # ns: beyond what a float tells apart
        lambda n: 2**70 + n,
        lambda n: -n,
        lambda n: n + 0.5,
    ],
    ids=["words", "digits", "nanoseconds", "beyond 64 bits", "negative", "fractions"],
)
def test_any_ids_of_images_evaluate_as_pycocotools_does(
    make: Callable[[int], Any], case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    _, path, inputs, outputs = case
    truth = json.loads(path.read_text())
    by_file = {}
    for image, one, output in zip(truth["images"], inputs, outputs, strict=True):
        assert image["id"] == one["image_id"]
        by_file[image["file_name"]] = output
        Image.new("L", (image["width"], image["height"])).save(tmp_path / image["file_name"])
        image["id"] = make(image["id"])
    for entry in truth["annotations"]:
        entry["image_id"] = make(entry["image_id"])
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    name = f"ids_{tmp_path.name}".replace(".", "_")
    register_custom([{"NAME": name, "JSON": f"{tmp_path}/truth.json", "IMAGES": str(tmp_path)}])
    prepare_dataset(name)
    dicts = DatasetCatalog.get(name)
    found = [by_file[Path(d["file_name"]).name] for d in dicts]
    own = FastCOCOEvaluator(name, ["bbox"], output_dir=str(tmp_path))
    ours = evaluated(own, dicts, found)["bbox"]["AP"]
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(f"{tmp_path}/truth.json")
        theirs = COCOeval(known, known.loadRes(f"{tmp_path}/{DETECTIONS_NAME}"), "bbox")
        theirs.evaluate()
        theirs.accumulate()
        theirs.summarize()
    assert ours == pytest.approx(100 * theirs.stats[0], abs=1e-9) and ours > 10


def test_a_detector_that_finds_nothing_has_an_ap_of_zero(case: Any, tmp_path: Path) -> None:
    name, path, inputs, outputs = case
    nothing = [{"instances": output["instances"][:0]} for output in outputs]
    evaluator = FastCOCOEvaluator(name, ["bbox", "segm"], output_dir=str(tmp_path))
    result = evaluated(evaluator, inputs, nothing)
    assert list(result) == ["bbox", "segm"]
    # pycocotools cannot load an empty list, but takes ground truth without annotations for it
    truth = COCO(str(path))
    found = COCO()
    found.dataset = {**truth.dataset, "annotations": []}
    found.createIndex()
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[:6].tolist() == [0.0] * 6
    for figures in result.values():
        # of the last class there are no objects
        assert math.isnan(figures.pop("AP-class4"))
        assert len(figures) == 10 and set(figures.values()) == {0.0}
    assert (tmp_path / DETECTIONS_NAME).read_text() == "[]"


def test_the_config_chooses_the_tasks_and_the_folder(case: Any, tmp_path: Path) -> None:
    name, path, inputs, outputs = case
    cfg = detection_defaults()
    cfg.OUTPUT_DIR = str(tmp_path)
    cfg.DATASETS.TEST = (name,)
    assert saved_detections(cfg) == {}
    cfg.MODEL.MASK_ON = True
    evaluator = build_evaluator(cfg, name)
    assert type(evaluator) is FastCOCOEvaluator
    assert list(evaluated(evaluator, inputs, outputs)) == ["bbox", "segm"]
    file = tmp_path / "inference" / name / DETECTIONS_NAME
    relative = f"inference/{name}/{DETECTIONS_NAME}"
    assert saved_detections(cfg) == {name: File(relative, sha256_file(file))}
    assert annotations_file(name) == str(path)
    cfg.MODEL.MASK_ON = False
    assert list(evaluated(build_evaluator(cfg, name), inputs, outputs)) == ["bbox"]


def test_the_record_names_what_scored(case: Any) -> None:
    cfg = detection_defaults()
    cfg.DATASETS.TEST = (case[0],)
    (coco,) = describe_evaluators(cfg)
    assert coco.name == "COCOEvaluator"
    assert coco.library == "faster-coco-eval"
    assert coco.version.count(".") == 2


@pytest.fixture
def voc(tmp_path: Path) -> Iterator[Any]:
    """A data set in Pascal VOC's layout with two images, and detections on it."""
    root, name = tmp_path / "voc", f"voc_{tmp_path.name}"
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "test.txt").write_text("one\ntwo\n")
    boxes = {"one": [("cat", 10, 10, 60, 60), ("dog", 70, 10, 120, 90)], "two": []}
    boxes["two"] = [("cat", 20, 20, 80, 80), ("cat", 100, 20, 160, 90)]
    for image, objects in boxes.items():
        top = ET.Element("annotation")
        for label, *corners in objects:
            thing = ET.SubElement(top, "object")
            for tag, value in {"name": label, "pose": "x", "truncated": 0, "difficult": 0}.items():
                ET.SubElement(thing, tag).text = str(value)
            box = ET.SubElement(thing, "bndbox")
            for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True):
                ET.SubElement(box, tag).text = str(value)
        ET.ElementTree(top).write(root / "Annotations" / f"{image}.xml")
    DatasetCatalog.register(name, list)
    MetadataCatalog.get(name).set(
        thing_classes=["cat", "dog"], dirname=str(root), year=2012, split="test"
    )
    MetadataCatalog.get(name).evaluator_type = "pascal_voc"
    yield name
    DatasetCatalog.remove(name)
    MetadataCatalog.remove(name)


def test_voc_is_scored_by_voc_and_kept(voc: Any, tmp_path: Path) -> None:
    image = {"height": 200, "width": 200}
    found = {
        "one": [(0, [10, 10, 50, 50], 0.9), (1, [70, 10, 50, 60], 0.8)],
        "two": [(0, [20, 20, 60, 60], 0.7), (0, [0, 100, 30, 30], 0.95)],
    }
    inputs = [{"image_id": name} for name in found]
    outputs = [
        {
            "instances": instances(
                image,
                [{"category_id": c, "bbox": b, "score": s} for c, b, s in detections],
                [0, 1],
                masks=False,
            )
        }
        for detections in found.values()
    ]
    cfg = detection_defaults()
    cfg.OUTPUT_DIR, cfg.DATASETS.TEST = str(tmp_path / "run"), (voc,)
    evaluator = build_evaluator(cfg, voc)
    assert type(evaluator) is VOCEvaluator
    ours = evaluated(evaluator, inputs, outputs)
    assert ours == evaluated(PascalVOCDetectionEvaluator(voc), inputs, outputs)
    # cats: a false alarm, a hit, a hit, and one of three missed: the best precision from a recall
    # of 1/3 and of 2/3 on is 2/3, so AP is 2/3 * 2/3; the dog's IoU is 0.75: found at AP50
    assert ours["bbox"]["AP50"] == pytest.approx(100 * (4 / 9 + 1) / 2)
    assert list(ours["bbox"]) == ["AP", "AP50", "AP75"]
    # a detector with the same classes in another order, and one more
    other = [{"instances": o["instances"][:]} for o in outputs]
    for output in other:
        classes = output["instances"].pred_classes
        output["instances"].pred_classes = torch.tensor([2, 0])[classes]
    numbers = Renumbering((1, ABSENT, 0))
    named = ByName(VOCEvaluator(voc, tmp_path / "named"), numbers)
    assert evaluated(named, inputs, other) == ours
    kept = saved_detections(cfg)[voc]
    assert (tmp_path / "named" / DETECTIONS_NAME).read_text() == (
        tmp_path / "run" / kept.path
    ).read_text()
    saved = json.loads((tmp_path / "run" / kept.path).read_text())
    assert [(d["image_id"], d["category_id"]) for d in saved] == [
        *(("one", 0), ("one", 1), ("two", 0), ("two", 0)),
    ]
    assert saved[1]["bbox"] == pytest.approx([70, 10, 50, 60])
    (used,) = describe_evaluators(cfg)
    assert (used.name, used.library) == ("PascalVOCDetectionEvaluator", "detectron2")
    assert annotations_file(voc) == ""


def test_a_run_keeps_what_later_analysis_needs(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    overrides = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[]", "TEST.PICTURES", "0"]
    overrides += ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
    cfg, card = load_config(str(write_config()), overrides)
    finetune(cfg, card, "kept")
    record = read_record(cfg.OUTPUT_DIR, DetectionRecord)
    assert record.evaluators == describe_evaluators(cfg)
    (test,) = record.data.test
    assert sha256_file(test.annotations_file) == test.sha256
    kept = record.detections["scenes_val"]
    assert kept.path == f"inference/scenes_val/{DETECTIONS_NAME}"
    assert sha256_file(f"{cfg.OUTPUT_DIR}/{kept.path}") == kept.sha256
    options = Options(significance=True, errors=True, resamples=40)
    _, text = compare([cfg.OUTPUT_DIR], tmp_path / "report", options=options)
    assert "Box AP on scenes_val — 95% intervals" in text
    assert "Mask AP on scenes_val — Kinds of errors" in text
    assert "its detections give" not in text  # they give the AP of the record
