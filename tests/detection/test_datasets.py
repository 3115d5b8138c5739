"""COCO data sets are checked before a run: every complaint is one line that names the file."""

import json
import shutil

import pytest

from robust_det.detection.config import load_config
from robust_det.detection.datasets import describe_dataset, register_custom
from robust_det.errors import UserError
from robust_det.records import sha256_file

NUMBER = iter(range(1000))


@pytest.fixture
def register(tmp_path, scenes):
    """Return a function that registers a changed copy of the validation scenes; gives its name."""

    def make(change=None, images=None):
        name = f"changed_{next(NUMBER)}"
        document = json.loads((scenes / "annotations/instances_val.json").read_text())
        if change is not None:
            change(document)
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(document))
        folder = str(images or scenes / "val")
        register_custom([{"NAME": name, "JSON": str(path), "IMAGES": folder}])
        return name

    return make


def test_facts(register, scenes):
    facts = describe_dataset(register())
    document = json.loads((scenes / "annotations/instances_val.json").read_text())
    assert (facts.images, facts.annotations) == (6, len(document["annotations"]))
    assert facts.classes == tuple(c["name"] for c in document["categories"])
    assert facts.masks == "polygon" and len(facts.classes) == 8


def test_the_hash_is_that_of_the_file(register, tmp_path):
    name = register()
    assert describe_dataset(name).plain()["sha256"] == sha256_file(tmp_path / f"{name}.json")


def test_relative_paths_are_below_the_data_root(scenes, monkeypatch, tmp_path):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(scenes.parent))
    monkeypatch.setenv("PART", "val")
    register_custom(
        [
            {
                "NAME": "relative_scenes",
                "JSON": "scenes/annotations/instances_val.json",
                "IMAGES": "scenes/$PART",
            }
        ]
    )
    assert describe_dataset("relative_scenes").images == 6


def first(document):
    return document["annotations"][0]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d.update(images=[], annotations=[]), "list no images"),
        (lambda d: d.update(annotations=[]), "list no annotations"),
        (lambda d: d.pop("categories"), "an entry lacks 'categories'"),
        (lambda d: d.update(images=5), "not in COCO format (TypeError"),
        (lambda d: first(d).update(image_id=-1), "have 1 boxes of images they do not list"),
        (lambda d: first(d).update(category_id=99), "have 1 boxes of categories they do not list"),
        (lambda d: d["annotations"].append(first(d)), "give one id to several"),
        (lambda d: d["images"].append(d["images"][0]), "give one id to several"),
        (lambda d: first(d).pop("area"), "an entry lacks 'area'"),
        (lambda d: first(d).pop("iscrowd"), "an entry lacks 'iscrowd'"),
        (lambda d: first(d).update(iscrowd=2), "iscrowd 2"),
        (lambda d: first(d).update(bbox=[1, 2, 3]), "not in COCO format (ValueError"),
        (lambda d: first(d).update(bbox=[1, 2, -3, 4]), "the box [1, 2, -3, 4]"),
        (lambda d: first(d).update(bbox=[1, 2, float("nan"), 4]), "the box [1, 2, nan, 4]"),
        (lambda d: d["images"][0].update(width=0), "a size of 0 x 96"),
        (lambda d: d["images"][0].pop("height"), "an entry lacks 'height'"),
        (lambda d: d["images"][0].update(file_name="x.png"), "lacks 1 of its 6 images"),
    ],
)  # fmt: skip
def test_what_would_stop_a_run_later(change, message, register):
    name = register(change)
    with pytest.raises(UserError) as caught:
        describe_dataset(name)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_missing_files_and_folders(register, tmp_path, scenes):
    name = register(images=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no image folder"):
        describe_dataset(name)
    name = register()
    (tmp_path / f"{name}.json").write_text("{")
    with pytest.raises(UserError, match="not in COCO format"):
        describe_dataset(name)
    name = register()
    (tmp_path / f"{name}.json").unlink()
    with pytest.raises(UserError, match=r"no annotations at .*set DETECTRON2_DATASETS"):
        describe_dataset(name)
    shutil.copytree(scenes / "val", tmp_path / "val")
    next((tmp_path / "val").iterdir()).unlink()
    with pytest.raises(UserError, match=r"lacks 1 of its 6 images in .* \(first: "):
        describe_dataset(register(images=tmp_path / "val"))


def test_images_in_subfolders(register, tmp_path, scenes):
    shutil.copytree(scenes / "val", tmp_path / "all/deep")

    def deeper(document):
        for image in document["images"]:
            image["file_name"] = f"deep/{image['file_name']}"

    assert describe_dataset(register(deeper, tmp_path / "all")).images == 6


ENTRY = {"NAME": "one", "JSON": "a", "IMAGES": "b"}


@pytest.mark.parametrize(
    "entry, message",
    [
        ("scenes", "needs NAME, JSON, IMAGES"),
        ({"NAME": "one", "JSON": "a"}, "needs NAME, JSON, IMAGES"),
        ({**ENTRY, "MASKS": "c"}, "needs NAME, JSON, IMAGES"),
        ({**ENTRY, "JSON": 5}, "needs NAME, JSON, IMAGES"),
        ({**ENTRY, "NAME": "../up"}, "may hold only letters"),
        ({**ENTRY, "NAME": "a.b"}, "may hold only letters"),
        ({**ENTRY, "NAME": "coco_2017_val"}, "is in use"),
    ],
)
def test_a_wrong_entry(entry, message):
    with pytest.raises(UserError, match=message):
        register_custom([entry])


def test_train_and_test_share_their_classes(register, write_config):
    other = register(lambda d: d["categories"][0].update(name="something else"))
    with pytest.raises(UserError, match=f"'scenes_train' and '{other}' differ in their classes"):
        load_config(str(write_config()), ["DATASETS.TEST", f"['{other}']"])


def as_rle(document):
    from pycocotools import mask

    for a in document["annotations"]:
        encoded = mask.merge(mask.frPyObjects(a["segmentation"], 96, 96))
        a["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}


def test_masks_have_to_be_there_and_readable(register, write_config):
    boxes = register(lambda d: [a.pop("segmentation") for a in d["annotations"]])
    rle = register(as_rle)
    config = str(write_config())
    assert (describe_dataset(boxes).masks, describe_dataset(rle).masks) == ("none", "rle")
    with pytest.raises(UserError, match=f"'{boxes}' has boxes alone"):
        load_config(config, ["DATASETS.TRAIN", f"['{boxes}']"])
    load_config(config, ["DATASETS.TRAIN", f"['{boxes}']", "MODEL.MASK_ON", "False"])
    load_config(config, ["DATASETS.TRAIN", f"['{rle}']"])
    with pytest.raises(UserError, match=r"set INPUT\.MASK_FORMAT to bitmask"):
        load_config(config, ["DATASETS.TRAIN", f"['{rle}']", "INPUT.MASK_FORMAT", "polygon"])
