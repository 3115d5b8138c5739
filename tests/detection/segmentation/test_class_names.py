"""Classes of pixels and of segments are told by their names, too."""

import contextlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from detectron2.structures import Boxes, Instances
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.data.detection.readers.panoptic_json import PanopticSource
from robust_det.data.detection.segments import read_ids
from robust_det.data.detection.semantic_maps import make_semantic_maps
from robust_det.detection.categories import ClassNames
from robust_det.detection.config import load_config
from robust_det.detection.datasets import describe_dataset
from robust_det.detection.datasets.registration import ground_truth
from robust_det.detection.evaluation import build_evaluator
from robust_det.detection.evaluation.by_name import renumbering
from tests.detection.segmentation.conftest import sources


def turned(numbers: list[int]) -> dict[int, int]:
    return dict(zip(sorted(numbers), sorted(numbers, reverse=True), strict=True))


@pytest.fixture
def config(
    panoptic_config: Callable[..., Path], own_panoptic: Path, scenes: Path, tmp_path: Path
) -> Path:
    """A config whose test set gives the ids of things, and of stuff, in the other order."""
    path = own_panoptic / "val.json"
    document = json.loads(path.read_text())
    new: dict[int, int] = {}
    for kind in (0, 1):
        new |= turned([c["id"] for c in document["categories"] if c["isthing"] == kind])
    objects = json.loads((scenes / "annotations/instances_val.json").read_text())
    for entry in (*document["categories"], *objects["categories"]):
        entry["id"] = new[entry["id"]]
    segments = [s for a in document["annotations"] for s in a["segments_info"]]
    for entry in (*segments, *objects["annotations"]):
        entry["category_id"] = new[entry["category_id"]]
    path.write_text(json.dumps(document))
    (tmp_path / "objects.json").write_text(json.dumps(objects))
    made = panoptic_config("base_panoptic_fpn", f"turned_{tmp_path.name}", own_panoptic)
    raw = yaml.safe_load(made.read_text())
    raw["DATASETS"]["CUSTOM"][1]["JSON"] = str(tmp_path / "objects.json")
    made.write_text(yaml.safe_dump(raw))
    shutil.rmtree(own_panoptic / "segments_val_stuff")  # they were made for the other ids
    source = PanopticSource(*sources(own_panoptic, "val"), str(scenes / "val"))
    make_semantic_maps("val", source, workers=1)
    return made


def test_what_is_right_has_a_quality_of_100(config: Path, panoptic: Path, scenes: Path) -> None:
    cfg, _ = load_config(str(config))
    # the truth as the detector numbers it, which learnt from the ids that are not turned
    document = json.loads((panoptic / "val.json").read_text())
    kinds = [sorted(c["id"] for c in document["categories"] if c["isthing"] == k) for k in (0, 1)]
    images = ground_truth(cfg.DATASETS.TEST[0])["images"]
    numbers = {image["file_name"]: image["id"] for image in images}
    inputs, outputs = [], []
    for image, annotation in zip(document["images"], document["annotations"], strict=True):
        file = annotation["file_name"]
        with Image.open(panoptic / "segments_val_stuff" / file) as classes:
            semantic = torch.from_numpy(np.array(classes)).long()
        segments = []
        for s in annotation["segments_info"]:
            thing = s["category_id"] in kinds[1]
            place = kinds[thing].index(s["category_id"]) + (not thing)
            segments.append({"id": s["id"], "isthing": thing, "category_id": place})
        nothing = Instances(semantic.shape)
        nothing.pred_boxes, nothing.scores = Boxes(torch.zeros(0, 4)), torch.zeros(0)
        nothing.pred_classes = torch.zeros(0, dtype=torch.int64)
        nothing.pred_masks = torch.zeros(0, *semantic.shape, dtype=torch.bool)
        known = torch.where(semantic == 255, 0, semantic)
        ids = torch.from_numpy(read_ids(panoptic / "segments_val" / file))
        file_name = image["file_name"]
        inputs.append(
            {"image_id": numbers[file_name], "file_name": str(scenes / "val" / file_name)}
        )
        outputs.append(
            {
                "instances": nothing,
                "sem_seg": torch.nn.functional.one_hot(known, 3).permute(2, 0, 1).float(),
                "panoptic_seg": (ids, segments),
            }
        )
    evaluator = build_evaluator(cfg, cfg.DATASETS.TEST[0])
    evaluator.reset()
    evaluator.process(inputs, outputs)
    with contextlib.redirect_stdout(io.StringIO()):
        result = evaluator.evaluate()
    assert result["panoptic_seg"]["PQ"] == pytest.approx(100)
    assert result["sem_seg"]["mIoU"] == pytest.approx(100)


def test_semantic_maps_of_training_hold_one_order(config: Path) -> None:
    names = yaml.safe_load(config.read_text())["DATASETS"]
    both = [*names["TRAIN"], *names["TEST"]]
    with pytest.raises(UserError, match="number their classes of pixels otherwise"):
        load_config(str(config), ["DATASETS.TRAIN", str(both)])


def test_the_names_of_a_detectors_file_come_first(config: Path) -> None:
    cfg, _ = load_config(str(config))
    test = cfg.DATASETS.TEST[0]
    own = describe_dataset(test)
    learnt = renumbering(cfg, test)
    assert learnt is not None and learnt.stuff == (0, 2, 1)
    assert renumbering(cfg, test, ClassNames(own.classes, own.stuff)) is None
    pixels = renumbering(cfg, test, ClassNames(own.classes))
    assert pixels is not None and pixels.stuff == learnt.stuff
