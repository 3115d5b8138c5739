"""Training from VOC and YOLO folders, from end to end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from robust_det.core.files import sha256_file
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import refused, run_tool

# of a config's MODEL: a tiny detector of boxes, from weights of chance
BOXES_ALONE = {
    "WEIGHTS": "",
    "MASK_ON": False,
    "BACKBONE": {"ARCH": "resnet10_narrow"},
    "FPN": {"OUT_CHANNELS": 32},
    "ROI_BOX_HEAD": {"FC_DIM": 64},
}


def test_train_on_voc_and_test_on_yolo(
    write_config: Callable[..., Path],
    voc: Path,
    yolo: Path,
    cache: Path,
    tmp_path: Path,
    document: dict[str, Any],
) -> None:
    names = [c["name"] for c in document["categories"]]
    entries = [
        {"NAME": "voc_scenes", "VOC": str(voc), "SPLIT": "test", "CLASSES": names},
        {"NAME": "yolo_scenes", "YOLO": str(yolo / "data.yaml"), "SPLIT": "val"},
    ]
    (voc / "JPEGImages").joinpath(document["images"][0]["file_name"]).unlink()
    config = write_config(
        MODEL={**BOXES_ALONE, "ROI_HEADS": {"SCORE_THRESH_TEST": 0.0}},
        DATASETS={"CUSTOM": entries, "TRAIN": ["voc_scenes"], "TEST": ["yolo_scenes"]},
        SOLVER={"MAX_ITER": 4, "STEPS": [3], "IMS_PER_BATCH": 2},
    )
    error = refused("train_net", "--config", config, untouched=tmp_path / "run")
    assert "data set 'voc_scenes' has 1 problem: 1 missing" in error
    done = run_tool("train_net", "--config", config, "DATASETS.LENIENT", "True")
    assert done.code == 0, done.err
    assert done.out.count("was cleaned: 1 missing image") == 1
    record = read_record(tmp_path / "run", DetectionRecord)
    assert record.config["DATASETS"]["LENIENT"] is True
    (train,), (test,) = record.data.train, record.data.test
    made = {path.name.split("-")[0]: path for path in cache.glob("*.json")}
    for data, name, images in ((train, "voc_scenes", 5), (test, "yolo_scenes", 6)):
        assert (data.name, data.images, data.classes) == (name, images, 8)
        assert data.sha256 == sha256_file(made[name])
    assert "AP" in record.metrics["bbox"]
    assert len(record.pictures) == 2
    document = json.loads(made["yolo_scenes"].read_text())
    ids = {i["file_name"]: i["id"] for i in document["images"]}
    for picture in record.pictures:
        inside = [a for a in document["annotations"] if a["image_id"] == ids[picture.image]]
        assert (picture.objects, picture.score) == (len(inside), 0.5)


def test_train_on_masks_and_test_on_a_table(
    write_config: Callable[..., Path],
    scenes: Path,
    tmp_path: Path,
    document: dict[str, Any],
) -> None:
    for image in document["images"]:
        values = np.zeros((image["height"], image["width"]), np.uint8)
        for number, a in enumerate(document["annotations"], 1):
            if a["image_id"] == image["id"]:
                x, y, w, h = (round(v) for v in a["bbox"])
                values[y : y + h, x : x + w] = number
        (tmp_path / "masks").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "masks" / image["file_name"])
    files = {i["id"]: i["file_name"] for i in document["images"]}
    rows = [",".join(map(str, (files[a["image_id"]], *a["bbox"]))) for a in document["annotations"]]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,x,y,w,h", *rows]))
    # beside the config, and in full
    entries = [
        {"NAME": "masked", "MASKS": "masks", "IMAGES": str(scenes / "val"), "KIND": "instances"},
        {"NAME": "tabled", "CSV": "boxes.csv", "IMAGES": str(scenes / "val")},
    ]
    config = write_config(
        MODEL=BOXES_ALONE,
        DATASETS={
            "CUSTOM": [{**entry, "CLASSES": ["shape"]} for entry in entries],
            "TRAIN": ["masked"],
            "TEST": ["tabled"],
        },
        SOLVER={"MAX_ITER": 2, "STEPS": [1], "IMS_PER_BATCH": 2},
    )
    done = run_tool("train_net", "--config", config)
    assert done.code == 0, done.err
    assert "each number but 0 is an object" in done.out
    assert "x, y, w, h are left, top, width, height in pixels" in done.out
    record = read_record(tmp_path / "run", DetectionRecord)
    (train,), (test,) = record.data.train, record.data.test
    assert (train.images, test.images, test.annotations) == (6, 6, len(document["annotations"]))
    kept = {entry["NAME"]: entry for entry in record.config["DATASETS"]["CUSTOM"]}
    assert kept["masked"]["MASKS"] == str(config.parent / "masks")
    # so that the run's own config leads to them, wherever it lies
    again = run_tool("train_net", "--config", tmp_path / "run/config.yaml", "--eval-only")
    assert again.code == 0, again.err
