"""Dataset dictionaries are Detectron2's, key by key."""

import json
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import MetadataCatalog, get_detection_dataset_dicts
from detectron2.data.datasets import load_coco_json, register_coco_instances
from pycocotools import mask as mask_util

from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.datasets import prepare_dataset
from robust_det.detection.datasets.dicts import DatasetDicts, wide_images
from robust_det.detection.datasets.registration import ground_truth, prepared_dataset
from robust_det.detection.finetuning.training_data import training_images

SIZE = (96, 96)


def runs(document: Any) -> None:
    for number, a in enumerate(document["annotations"]):
        merged = mask_util.merge(mask_util.frPyObjects(a["segmentation"], *SIZE))
        a["segmentation"] = {"size": list(SIZE), "counts": merged["counts"].decode()}
        a["iscrowd"] = int(number % 3 == 0)


def counts(document: Any) -> None:
    for a in document["annotations"]:
        a["segmentation"] = {"size": list(SIZE), "counts": [96, 96, 96 * 94]}


def keypoints(document: Any) -> None:
    for number, a in enumerate(document["annotations"]):
        a["keypoints"] = [] if number == 1 else [5, 7, 2, 10, 20.5, 1, 0, 0, 0]
        a["num_keypoints"] = 2


def boxes(document: Any) -> None:
    for a in document["annotations"]:
        a.pop("segmentation")


def names(document: Any) -> None:
    for image in document["images"]:
        image["id"] = f"image {image['id']}"
    for a in document["annotations"]:
        a["image_id"] = f"image {a['image_id']}"


def order(document: Any) -> None:
    for part in ("images", "annotations", "categories"):
        document[part].reverse()


def other_fields(document: Any) -> None:
    for entry in (*document["images"], *document["annotations"]):
        entry.update(attributes={"pose": "left"}, difficult=1, segments=5)


def unchanged(document: Any) -> None:
    pass


def same(ours: Any, theirs: Any) -> None:
    assert repr(ours) == repr(theirs)  # integers and floats too
    assert ours == theirs


@pytest.mark.parametrize(
    "change", [unchanged, runs, counts, keypoints, boxes, names, order, other_fields]
)
def test_as_load_coco_json(change: Any, register: Any) -> None:
    name = register(change)
    prepare_dataset(name)
    known = MetadataCatalog.get(name)
    ours = DatasetDicts([prepared_dataset(name)])
    theirs = load_coco_json(known.json_file, known.image_root, f"{name}_by_detectron2")
    same(list(ours), theirs)
    same(ours[1:3], theirs[1:3])
    same(ours[-1], theirs[-1])
    other = MetadataCatalog.get(f"{name}_by_detectron2")
    assert known.thing_classes == other.thing_classes
    assert known.thing_dataset_id_to_contiguous_id == other.thing_dataset_id_to_contiguous_id
    assert list(wide_images(ours)) == list(wide_images(theirs))
    truth = json.loads(Path(known.json_file).read_text())
    for key in ("images", "annotations"):
        same(ground_truth(name)[key], truth[key])
    # whoever changes one gets it anew
    ours[0]["annotations"].clear()
    ground_truth(name)["annotations"].clear()
    same(list(ours), theirs)


def test_masks_without_area_in_published_data(tmp_path: Path, scenes: Any, document: Any) -> None:
    first, second, *_ = document["annotations"]
    first["segmentation"] = [[1, 2, 3, 4]]
    second["segmentation"].append([5, 5, 6, 6])
    path = tmp_path / "published.json"
    path.write_text(json.dumps(document))
    register_coco_instances("published_with_lines", {}, str(path), str(scenes / "val"))
    prepare_dataset("published_with_lines")
    ours = DatasetDicts([prepared_dataset("published_with_lines")])
    made = MetadataCatalog.get("published_with_lines").json_file
    for file in (made, str(path)):
        theirs = load_coco_json(file, str(scenes / "val"), f"lines_by_detectron2 in {file}")
        for number, record in enumerate(theirs, 1):
            record["image_id"] = number
        same(list(ours), theirs)
    assert sum(len(r["annotations"]) for r in ours) == len(document["annotations"]) - 1


def test_classes_other_than_published(tmp_path: Path, scenes: Any, document: Any) -> None:
    path = tmp_path / "published.json"
    path.write_text(json.dumps(document))
    known = {"thing_classes": ["circle", "cow"]}
    register_coco_instances("published_with_cows", known, str(path), str(scenes / "val"))
    with pytest.raises(UserError, match="has other classes than Detectron2 lists for it"):
        prepare_dataset("published_with_cows")


@pytest.fixture
def partly_empty(register: Any, document: Any) -> Any:
    """A data set whose first image shows nothing, and whose second one crowds alone."""
    first, second = (image["id"] for image in document["images"][:2])

    def change(document: Any) -> None:
        kept = [a for a in document["annotations"] if a["image_id"] != first]
        for a in kept:
            a["iscrowd"] = int(a["image_id"] == second)
        document["annotations"] = kept

    return register(change)


@pytest.mark.parametrize("keep_empty", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_training_images_are_those_of_detectron2(
    several: Any, keep_empty: Any, partly_empty: Any, write_config: Any
) -> None:
    train = [partly_empty, "scenes_train"] if several else [partly_empty]
    keys = ["DATASETS.TRAIN", str(train), "DATALOADER.FILTER_EMPTY_ANNOTATIONS"]
    cfg, _ = load_config(str(write_config()), [*keys, str(not keep_empty)])
    ours, theirs = training_images(cfg), get_detection_dataset_dicts(train, not keep_empty)
    same(list(ours), theirs)
    assert len(ours) == (6 if keep_empty else 4) + 12 * several
    objects = [a for r in theirs for a in r["annotations"] if not a["iscrowd"]]
    classes = [a["category_id"] for a in objects]
    assert isinstance(ours, DatasetDicts)
    assert ours.objects_of_class() == [classes.count(c) for c in range(8)]


def test_crowds_alone_are_nothing_to_learn(register: Any, write_config: Any) -> None:
    name = register(lambda d: [a.update(iscrowd=1) for a in d["annotations"]])
    cfg, _ = load_config(str(write_config()), ["DATASETS.TRAIN", f"['{name}']"])
    with pytest.raises(UserError, match=f"{name}: all objects are crowds"):
        training_images(cfg)
