"""Functions that users register with Detectron2's DatasetCatalog, as its tutorial teaches."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode, PolygonMasks
from pycocotools import mask as mask_util
from pycocotools.coco import COCO

from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.config import load_config
from robust_det.detection.datasets import describe_dataset, prepare_dataset
from robust_det.detection.datasets.dicts import DatasetDicts
from robust_det.detection.datasets.registration import ground_truth, prepared_dataset, source_of
from robust_det.detection.finetuning.jobs import finetune
from robust_det.detection.finetuning.training_data import training_images
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord

NUMBER = itertools.count()


@pytest.fixture
def classes(document: dict[str, Any]) -> list[str]:
    return [c["name"] for c in document["categories"]]


@pytest.fixture
def records(document: dict[str, Any], scenes: Path) -> list[dict[str, Any]]:
    """The validation scenes as a user's function gives them, corners of boxes in XYXY_ABS."""
    places = {c["id"]: n for n, c in enumerate(document["categories"])}
    out = []
    for image in document["images"]:
        objects = []
        for a in document["annotations"]:
            if a["image_id"] == image["id"]:
                x, y, width, height = a["bbox"]
                objects.append(
                    {
                        "bbox": [x, y, x + width, y + height],
                        "bbox_mode": BoxMode.XYXY_ABS,
                        "category_id": places[a["category_id"]],
                        "segmentation": a["segmentation"],
                    }
                )
        record = {key: image[key] for key in ("height", "width")}
        file = str(scenes / "val" / image["file_name"])
        out.append({**record, "file_name": file, "image_id": image["id"], "annotations": objects})
    return out


@pytest.fixture
def catalog(classes: list[str]) -> Iterator[Callable[..., str]]:
    """Return a function that registers dictionaries under a fresh name, which it gives."""
    made = []

    def register(records: Any, **metadata: Any) -> str:
        name = f"catalogued_{next(NUMBER)}"
        made.append(name)
        DatasetCatalog.register(name, lambda: records)
        MetadataCatalog.get(name).set(**{"thing_classes": classes, **metadata})
        return name

    yield register
    for name in made:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_they_are_what_the_same_data_are_in_json(
    records: Any, catalog: Callable[..., str], register: Callable[..., Any], cache: Path
) -> None:
    name, same = catalog(records), register()
    facts, expected = describe_dataset(name), describe_dataset(same)
    assert (facts.images, facts.annotations, facts.classes, facts.masks) == (
        *(expected.images, expected.annotations, expected.classes, expected.masks),
    )
    ours, theirs = (list(DatasetDicts([prepared_dataset(n)])) for n in (name, same))
    for one, other in zip(ours, theirs, strict=True):
        assert one["file_name"] == other["file_name"]
        for a, b in zip(one["annotations"], other["annotations"], strict=True):
            assert a["bbox"] == pytest.approx(b["bbox"]) and a["bbox_mode"] == b["bbox_mode"]
            assert a["category_id"] == b["category_id"]
            assert a["segmentation"] == b["segmentation"]
    # COCO's small, medium and large go by the areas of masks
    areas = [a["area"] for a in ground_truth(name)["annotations"]]
    masks = PolygonMasks([a["segmentation"] for r in records for a in r["annotations"]])
    assert areas == pytest.approx(masks.area().tolist())
    kept = Path(prepared_dataset(name).json_file)
    assert kept.parent == cache
    assert facts.sha256 == sha256_file(kept)
    assert len(COCO(str(kept)).anns) == facts.annotations


def test_all_that_python_has_for_numbers_is_taken(
    records: Any, catalog: Callable[..., str], scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = list(DatasetDicts([prepared_dataset(catalog(records))]))
    monkeypatch.chdir(scenes)
    for record in records:
        record["file_name"] = Path(record["file_name"]).relative_to(scenes)
        record["height"] = np.int64(record["height"])
        del record["image_id"]
        for a in record["annotations"]:
            x0, y0, x1, y1 = a["bbox"]
            a.update(bbox=np.array([x0, y0, x1 - x0, y1 - y0]), bbox_mode=1, iscrowd=False)
            a["category_id"] = np.int32(a["category_id"])
            if a["category_id"] % 2:
                a["bbox"] = torch.from_numpy(a["bbox"])
            runs = mask_util.merge(mask_util.frPyObjects(a["segmentation"], 96, 96))
            a["segmentation"] = {"size": tuple(runs["size"]), "counts": runs["counts"]}
    name = catalog(tuple(records))
    found = list(DatasetDicts([prepared_dataset(name)]))
    assert describe_dataset(name).masks == "rle"
    for one, other in zip(found, expected, strict=True):
        assert one["file_name"] == other["file_name"]
        for a, b in zip(one["annotations"], other["annotations"], strict=True):
            assert a["bbox"] == pytest.approx(b["bbox"]) and a["category_id"] == b["category_id"]


def test_keypoints_and_own_ids_come_back(
    records: Any, catalog: Callable[..., str], classes: list[str]
) -> None:
    for record in records:
        for a in record["annotations"]:
            a["keypoints"] = [5.5, 7.5, 2, 10.5, 20.5, 1, 0.5, 0.5, 0]
    # in no order
    ids = {10 * ((5 * n) % len(classes) + 1): n for n in range(len(classes))}
    name = catalog(records, thing_dataset_id_to_contiguous_id=ids)
    prepare_dataset(name)
    truth = ground_truth(name)
    assert {c["id"]: c["name"] for c in truth["categories"]} == {
        number: classes[place] for number, place in ids.items()
    }
    assert len(ids) == len(classes) and list(ids) != sorted(ids)
    first = truth["annotations"][0]
    assert first["keypoints"] == [5, 7, 2, 10, 20, 1, 0, 0, 0] and first["num_keypoints"] == 2
    again = DatasetDicts([prepared_dataset(name)])[0]["annotations"][0]
    assert again["keypoints"] == records[0]["annotations"][0]["keypoints"]


def test_a_user_trains_and_evaluates_on_them(
    records: Any, catalog: Callable[..., str], write_config: Callable[..., Path]
) -> None:
    name = catalog(records)
    sets = ["DATASETS.TRAIN", f"('{name}',)", "DATASETS.TEST", f"('{name}', 'scenes_val')"]
    short = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[]", "TEST.PICTURES", "1"]
    every = ["MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0"]
    cfg, card = load_config(str(write_config()), [*sets, *short, *every])
    assert len(training_images(cfg)) == 6
    finetune(cfg, card, "own")
    record = read_record(cfg.OUTPUT_DIR, DetectionRecord)
    (train,) = record.data.train
    assert (train.name, train.images, train.classes) == (name, 6, 8)
    assert train.sha256 == sha256_file(train.annotations_file)
    # detections name the images as the user does
    found = json.loads(Path(cfg.OUTPUT_DIR, record.detections[name].path).read_text())
    assert found and {d["image_id"] for d in found} <= {r["image_id"] for r in records}
    ours, theirs = (record.metrics[f"{n}/bbox"] for n in (name, "scenes_val"))
    assert ours == pytest.approx(theirs, abs=1e-6, nan_ok=True)


def on_first(**values: Any) -> Callable[[Any], None]:
    return lambda records: records[0]["annotations"][0].update(values)


def without(key: str) -> Callable[[Any], Any]:
    return lambda records: records[0]["annotations"][0].pop(key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (on_first(bbox_mode=BoxMode.XYWHA_ABS), "the bbox_mode XYWHA_ABS; only BoxMode.XYXY_ABS"),
        (on_first(bbox_mode=BoxMode.XYXY_REL), "the bbox_mode XYXY_REL"),
        (on_first(bbox_mode=9), "the bbox_mode 9; give BoxMode.XYXY_ABS"),
        (without("bbox_mode"), "has no bbox_mode; give BoxMode"),
        (without("bbox"), "1 malformed object .* lacks 'bbox'"),
        (on_first(bbox=[9, 9, 5, 20]), "1 negative or infinite box"),
        (on_first(bbox=[9, 9, 5]), "1 malformed object"),
        (on_first(bbox=[9, 9, 500, 20]), "1 box partly outside its image"),
        (on_first(category_id=8), "1 object of a class it does not list .* category_id 8"),
        (on_first(category_id=-1), "1 object of a class it does not list .* category_id -1"),
        (on_first(category_id="cat"), "1 object of a class it does not list"),
        (on_first(segmentation=np.ones((96, 96))), "has an array for its segmentation"),
        (on_first(segmentation=[[1, 2, 3]]), "1 malformed mask"),
        (lambda r: r[1].update(image_id=r[0]["image_id"]), "1 image id given to several files"),
        (lambda r: r[1].pop("image_id"), "1 broken image entry .* no id"),
        (lambda r: r[0].pop("height"), "1 broken image entry .* lacks 'height'"),
        (lambda r: r[0].update(width=97), "1 image of another size than annotated"),
        (lambda r: r[0].update(file_name="/no/such.jpg"), "1 missing image"),
        (lambda r: r.append(5), "returns no list of dictionaries"),
        (lambda r: r.clear(), "1 problem: 1 empty split"),
    ],
)
def test_what_is_unsound_is_refused(
    change: Any, message: str, records: Any, catalog: Callable[..., str]
) -> None:
    change(records)
    with pytest.raises(UserError, match=message):
        prepare_dataset(catalog(records))


def test_what_json_cannot_hold_is_refused_by_the_checks(
    records: Any, catalog: Callable[..., str]
) -> None:
    records[0]["annotations"][0]["bbox"] = {4, 5, 6, 7}
    with pytest.raises(UserError, match=r"1 malformed object .* has the box \{4, 5, 6, 7\}; it"):
        prepare_dataset(catalog(records))


def test_classes_have_to_be_named(records: Any, catalog: Callable[..., str]) -> None:
    name = catalog(records, thing_classes=[])
    with pytest.raises(UserError, match=rf"set MetadataCatalog.get\('{name}'\).thing_classes"):
        prepare_dataset(name)
    name = catalog(records, thing_dataset_id_to_contiguous_id={5: 0})
    with pytest.raises(UserError, match="does not give each of its 8 thing_classes one id"):
        prepare_dataset(name)


def test_a_function_that_fails_or_is_another_one_now(
    records: Any, catalog: Callable[..., str]
) -> None:
    name = catalog(records)
    DatasetCatalog[name] = lambda: [][1]
    with pytest.raises(UserError, match=f"'{name}' fails .IndexError"):
        prepare_dataset(name)
    DatasetCatalog[name] = lambda: records
    assert prepare_dataset(name).images == 6
    assert source_of(name) == source_of(name)
    # registered anew, as in a notebook
    DatasetCatalog.remove(name)
    DatasetCatalog.register(name, lambda: records[:4])
    assert prepare_dataset(name).images == 4
    assert len(DatasetCatalog.get(name)) == 4


def test_lenient_leaves_out_what_is_unsound(records: Any, catalog: Callable[..., str]) -> None:
    total = sum(len(r["annotations"]) for r in records)
    on_first(category_id=8)(records)
    facts = prepare_dataset(catalog(records), lenient=True)
    assert (facts.images, facts.annotations) == (6, total - 1)


def test_what_detectron2_lists_itself_is_known_or_refused() -> None:
    known = {}
    for name in DatasetCatalog.list():
        if name.startswith(("ade20k", "cityscapes")):
            with pytest.raises(UserError, match=f"'{name}' is in neither COCO's nor VOC's format"):
                source_of(name)
        elif name.startswith(("coco_", "lvis_", "voc_", "keypoints_coco")):
            known[name] = type(source_of(name)).__name__
    assert known["voc_2007_test"] == "VocSource"
    assert known["coco_2017_val_panoptic_stuffonly"] == "PanopticSource"
    assert known["coco_2017_val"] == known["keypoints_coco_2017_val"] == "CocoSource"
