"""COCO data sets are checked before a run: every complaint is one line that names the file."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import register_coco_instances
from detectron2.data.detection_utils import read_image
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.config import load_config
from robust_det.detection.datasets import describe_dataset, prepare_dataset, register_custom
from robust_det.detection.datasets.registration import source_of


def test_facts(register: Callable[..., Any], document: dict[str, Any]) -> None:
    facts = describe_dataset(register())
    assert (facts.images, facts.annotations) == (6, len(document["annotations"]))
    assert facts.classes == tuple(c["name"] for c in document["categories"])
    assert facts.masks == "polygon" and len(facts.classes) == 8


def test_the_hash_is_that_of_the_users_file(register: Callable[..., Any]) -> None:
    name = register()
    path = MetadataCatalog.get(name).json_file
    facts = describe_dataset(name)
    assert (facts.file, facts.sha256) == (path, sha256_file(path))


def test_relative_paths_are_below_the_data_root(
    scenes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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


def first(document: Any) -> Any:
    return document["annotations"][0]


def box(*values: Any) -> Callable[..., Any]:
    return lambda d: first(d).update(bbox=list(values))


def mask(value: Any) -> Callable[..., Any]:
    return lambda d: first(d).update(segmentation=value)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: d.update(images=[], annotations=[]), "1 empty split: it lists no images"),
        (lambda d: d.update(annotations=[]), "1 empty split: it has no objects"),
        (lambda d: d.update(categories=[]), "it lists no classes"),
        (lambda d: d["categories"].append(d["categories"][0]), "1 broken or repeated class"),
        (lambda d: d["categories"][0].pop("id"), "1 broken or repeated class"),
        (lambda d: d["images"].append(5), "1 broken image entry (first: no id in 5)"),
        (lambda d: d["images"][0].pop("height"), "lacks 'height'"),
        (lambda d: d["images"][0].update(width=0), "has a size of 0 x 96"),
        (lambda d: d["images"][0].update(file_name="x.png"), "1 missing image (first: /"),
        (lambda d: d["images"][0].update(width=95), "is 96 x 96, annotated as 95 x 96)"),
        (lambda d: d["images"].append(d["images"][0]), "1 repeated image id (first: id 2000000"),
        (lambda d: d["images"][1].update(id=2000000), "1 image id given to several files"),
        (lambda d: d["images"].append({**d["images"][0], "id": 7}), "1 image listed twice"),
        (lambda d: first(d).update(image_id=-1), "1 object of an image it does not list"),
        (lambda d: first(d).update(category_id=99), "1 object of a class it does not list"),
        (lambda d: d["annotations"].append(first(d)), "1 repeated object id (first: id 20000000)"),
        (lambda d: d["annotations"].append("x"), "1 malformed object (first: object x: "),
        (lambda d: first(d).pop("bbox"), "malformed object (first: object 20000000 lacks 'bbox')"),
        (lambda d: first(d).pop("area"), "1 object without a valid id, area or iscrowd"),
        (lambda d: first(d).pop("iscrowd"), "lacks 'iscrowd'"),
        (lambda d: first(d).pop("id"), "lacks 'id'"),
        (lambda d: first(d).update(iscrowd=2), "has iscrowd 2"),
        (lambda d: first(d).update(area=float("nan")), "has the area nan"),
        (lambda d: first(d).update(area=-5), "has the area -5"),
        (lambda d: first(d).update(area=-12, bbox=[1, 2, -3, 4]), "has 1 problem: 1 negative or"),
        (lambda d: first(d).update(area=10**400), "has the area 1000"),
        (box(5), "has the box [5]; it needs x, y, width and height"),
        (lambda d: first(d).update(bbox=None), "20000000 has the box None; it needs x, y, "),
        (lambda d: first(d).update(ignore=1), "1 object marked ignore"),
        (box(1, 2, 3), "1 malformed object"),
        (box(1, 2, "3", 4), "1 malformed object"),
        (box(1, 2, -3, 4), "1 negative or infinite box (first: object 20000000 on "),
        (box(1, 2, float("nan"), 4), "1 negative or infinite box"),
        (box(1, 2, 0, 4), "1 box without area"),
        (box(97, 2, 5, 5), "1 box outside its image"),
        (box(90, 2, 10, 5), "1 box partly outside its image"),
        (mask([[1, 2, 3, 4]]), "1 malformed mask"),
        (mask([[1, 2, 3, 4, 5, None]]), "1 malformed mask"),
        (mask([[1, 2, 30, 4, 30, 99]]), "1 mask partly outside its image"),
        (mask({"size": [96, 95], "counts": "abc"}), "1 mask of another size than its image"),
        (mask({"size": [96, 96], "counts": [96]}), "1 malformed mask"),
    ],
)  # fmt: skip
def test_what_would_stop_a_run_later(
    change: Any, message: str, register: Callable[..., Any]
) -> None:
    name = register(change)
    with pytest.raises(UserError) as caught:
        describe_dataset(name)
    text = str(caught.value)
    assert message in text and "\n" not in text
    # what follows from a problem, such as objects of a class that is not there, is counted as well
    assert text.startswith(f"data set '{name}' has ")


def test_rounding_is_no_problem(register: Callable[..., Any]) -> None:
    """Boxes and masks may leave the image by a pixel, as tools round them."""

    def nudge(document: Any) -> None:
        first(document).update(bbox=[-1.0, 0, 98.0, 97.0])
        first(document).update(segmentation=[[-1, 0, 97, 0, 97, 97]])

    assert describe_dataset(register(nudge)).images == 6


def test_all_problems_are_counted_in_one_line(
    register: Callable[..., Any], scenes: Path, tmp_path: Path
) -> None:
    shutil.copytree(scenes / "val", tmp_path / "val")
    two, broken = sorted((tmp_path / "val").iterdir())[:2], sorted((tmp_path / "val").iterdir())[2]
    for path in two:
        path.unlink()
    broken.write_bytes(broken.read_bytes()[:20])

    def change(document: Any) -> None:
        kept = [a for a in document["annotations"] if a["image_id"] > 2000002]
        kept[0]["category_id"] = 99
        kept[1]["bbox"] = [200, 1, 5, 5]

    with pytest.raises(UserError) as caught:
        describe_dataset(register(change, tmp_path / "val"))
    text = str(caught.value)
    assert f" has 5 problems: 2 missing images (first: {two[0]}), 1 unreadable image (" in text
    assert "1 object of a class it does not list (" in text and "1 box outside its image (" in text
    assert text.endswith("or set DATASETS.LENIENT True to go on without") and "\n" not in text


def test_an_image_is_as_large_as_it_is_shown(
    register: Callable[..., Any], scenes: Path, tmp_path: Path
) -> None:
    """A camera's turned JPEG is annotated the way it is shown, which is how Detectron2 reads it."""
    shutil.copytree(scenes / "val", tmp_path / "val")
    exif = Image.Exif()
    exif[0x0112] = 6
    for file in ("turned.jpg", "turned.png"):
        path = tmp_path / "val" / file
        Image.new("RGB", (96, 48)).save(path, exif=exif)
        assert read_image(str(path)).shape[:2] == (96, 48)

        def portrait(document: Any, file: Any = file, width: int = 48) -> None:
            image = document["images"][0]
            image.update(file_name=file, width=width)
            others = [a for a in document["annotations"] if a["image_id"] != image["id"]]
            document["annotations"] = others

        assert describe_dataset(register(portrait, tmp_path / "val")).images == 6
        unturned = functools.partial(portrait, width=96)
        with pytest.raises(UserError, match="is 48 x 96, annotated as 96 x 96"):
            describe_dataset(register(unturned, tmp_path / "val"))


def test_images_of_published_data_are_not_opened(
    tmp_path: Path, scenes: Path, document: dict[str, Any], register: Callable[..., Any]
) -> None:
    """There are 118,000 of them; your own are, by their headers."""
    (tmp_path / "empty").mkdir()
    for image in document["images"]:
        (tmp_path / "empty" / image["file_name"]).touch()
    path = scenes / "annotations/instances_val.json"
    register_coco_instances("unopened_scenes", {}, str(path), str(tmp_path / "empty"))
    assert describe_dataset("unopened_scenes").images == 6
    with pytest.raises(UserError, match="6 unreadable images"):
        describe_dataset(register(images=tmp_path / "empty"))


@pytest.mark.parametrize("content", ["{", "[]", "5", '{"images": [], "annotations": {}}'])
def test_what_is_not_coco_json(content: str, register: Callable[..., Any], tmp_path: Path) -> None:
    name = register()
    Path(MetadataCatalog.get(name).json_file).write_text(content)
    with pytest.raises(UserError, match="not in COCO format") as caught:
        describe_dataset(name)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(register: Callable[..., Any], tmp_path: Path) -> None:
    name = register(images=tmp_path / "nowhere")
    with pytest.raises(UserError, match="no image folder"):
        describe_dataset(name)
    name = register()
    Path(MetadataCatalog.get(name).json_file).unlink()
    with pytest.raises(UserError, match=r"no annotations at .*set DETECTRON2_DATASETS"):
        describe_dataset(name)


def test_published_data_are_taken_as_they_are(
    tmp_path: Path, scenes: Path, document: dict[str, Any]
) -> None:
    """COCO itself has boxes without area; figures are compared on it as it was published."""
    first(document).update(bbox=[5, 5, 0, 7])
    document["annotations"][1].update(bbox=[90, 90, 20, 20])
    path = tmp_path / "published.json"
    path.write_text(json.dumps(document))
    register_coco_instances("published_scenes", {}, str(path), str(scenes / "val"))
    for lenient in (False, True):
        facts = prepare_dataset("published_scenes", lenient)
        assert facts.annotations == len(document["annotations"])
        assert facts.sha256 == sha256_file(path)
    report = source_of("published_scenes").read("published_scenes").report
    assert [f.kind.one for f in report.notes][:2] == [
        "box without area",
        "box partly outside its image",
    ]


def test_images_in_subfolders(register: Callable[..., Any], tmp_path: Path, scenes: Path) -> None:
    shutil.copytree(scenes / "val", tmp_path / "all/deep")

    def deeper(document: Any) -> None:
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
        ({"NAME": "one", "VOC": "a"}, "NAME, VOC, SPLIT"),
        ({"NAME": "one", "YOLO": "a", "SPLIT": "val", "ORIGIN": 0}, "NAME, YOLO, SPLIT"),
        ({**ENTRY, "VOC": "a", "SPLIT": "val"}, "needs NAME, JSON, IMAGES"),
        ({"NAME": "one", "VOC": "a", "SPLIT": "val", "ORIGIN": 2}, "it can be 0 or 1"),
        ({"NAME": "one", "VOC": "a", "SPLIT": "val", "CLASSES": "b"}, "need a list of names"),
        ({"NAME": "one", "VOC": "a", "SPLIT": "val", "CLASSES": ["b", "b"]}, "repeated name: b, b"),
    ],
)
def test_a_wrong_entry(entry: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        register_custom([entry])


def test_train_and_test_share_their_classes(
    register: Callable[..., Any], write_config: Callable[..., Path]
) -> None:
    other = register(lambda d: d["categories"][0].update(name="something else"))
    with pytest.raises(UserError, match=f"'scenes_train' and '{other}' differ in their classes"):
        load_config(str(write_config()), ["DATASETS.TEST", f"['{other}']"])


def as_rle(document: Any) -> None:
    from pycocotools import mask

    for a in document["annotations"]:
        encoded = mask.merge(mask.frPyObjects(a["segmentation"], 96, 96))
        a["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}


def test_masks_have_to_be_there_and_readable(
    register: Callable[..., Any], write_config: Callable[..., Path]
) -> None:
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
