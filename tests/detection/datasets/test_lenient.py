"""DATASETS.LENIENT: what is unsound is left out or mended, and said; the rest is as it was."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import register_coco_instances

from robust_det.core.config.reading import to_dict
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.config import load_config
from robust_det.detection.datasets import describe_dataset, prepare_dataset


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    # the tools' logging does not propagate
    monkeypatch.setattr(logging.getLogger("robust_det"), "propagate", True)
    return caplog


def cleaned(name: Any) -> Any:
    """The document that a lenient run reads, with the images' ids as annotated."""
    facts = prepare_dataset(name, lenient=True)
    path = Path(MetadataCatalog.get(name).json_file)
    assert (facts.sha256, facts.file) == (sha256_file(path), str(path))
    document = json.loads(path.read_text())
    for part in ("images", "annotations"):
        assert [e["id"] for e in document[part]] == [*range(1, len(document[part]) + 1)]
    original = dict(enumerate(document["original_image_ids"], 1))
    for image in document["images"]:
        image["id"] = original[image["id"]]
    for a in document["annotations"]:
        a["image_id"] = original[a["image_id"]]
    return document


def plain(annotation: Any) -> Any:
    """An annotation without its number."""
    return {key: value for key, value in annotation.items() if key != "id"}


def first(document: Any) -> Any:
    return document["annotations"][0]


def of_image(document: Any, number: Any) -> list[Any]:
    return [a for a in document["annotations"] if a["image_id"] == number]


def test_what_is_left_and_what_is_said(
    register: Callable[..., Any],
    scenes: Path,
    tmp_path: Path,
    document: dict[str, Any],
    log: Any,
    cache: Path,
) -> None:
    shutil.copytree(scenes / "val", tmp_path / "val")
    gone = tmp_path / "val" / document["images"][0]["file_name"]
    gone.unlink()
    on_gone = len(of_image(document, 2000000))
    one, two, three, four = [a for a in document["annotations"] if a["image_id"] != 2000000][:4]

    def change(document: Any) -> None:
        by_id = {a["id"]: a for a in document["annotations"]}
        by_id[one["id"]]["category_id"] = 99
        by_id[two["id"]].update(bbox=[-5, 10, 20, 100], segmentation=[[-5, 10, 15, 10, 15, 110]])
        by_id[three["id"]].pop("area")
        by_id[four["id"]]["id"] = two["id"]

    name = register(change, tmp_path / "val")
    with pytest.raises(UserError, match="has 6 problems"):
        prepare_dataset(name)
    after = cleaned(name)
    assert [i["id"] for i in after["images"]] == [i["id"] for i in document["images"][1:]]
    assert len(after["annotations"]) == len(document["annotations"]) - on_gone - 1
    assert len({a["id"] for a in after["annotations"]}) == len(after["annotations"])
    second, third, fourth, *others = after["annotations"]
    assert second["bbox"] == [0, 10, 15, 86]
    assert second["segmentation"] == [[0, 10, 15, 10, 15, 96]]
    assert third["area"] == three["bbox"][2] * three["bbox"][3]
    assert plain(fourth) == plain(four)
    untouched = [a for a in document["annotations"] if a["image_id"] != 2000000][4:]
    assert [plain(a) for a in others] == [plain(a) for a in untouched]
    (message,) = [m for m in log.messages if "was cleaned" in m]
    for part in (
        f"1 missing image (first: {gone}) left out",
        "1 object of a class it does not list (first: ",
        "1 box partly outside its image (first: ",
        "iscrowd (first: object 2000000",
        "1 repeated object id (first: id 2000000",
        "numbered anew",
        "clipped",
        str(cache),
    ):
        assert part in message
    # what Detectron2 loads, and the facts, are those of the cleaned file
    assert len(DatasetCatalog.get(name)) == 5 == describe_dataset(name).images


def test_what_was_cleaned_is_sound(
    register: Callable[..., Any], register_entry: Callable[..., Any], scenes: Path
) -> None:
    name = register(lambda d: first(d).update(bbox=[90, 90, 20, 20], segmentation=None))
    after = cleaned(name)
    path = MetadataCatalog.get(name).json_file
    assert of_image(after, first(after)["image_id"])[0]["area"] == 36
    again = register_entry(JSON=path, IMAGES=scenes / "val")
    assert prepare_dataset(again).annotations == len(after["annotations"])


def test_sound_data_are_left_alone(register: Callable[..., Any], cache: Path) -> None:
    name = register()
    strict = prepare_dataset(name)
    path = MetadataCatalog.get(name).json_file
    assert prepare_dataset(name, lenient=True) == strict
    assert MetadataCatalog.get(name).json_file == path
    assert [str(made) for made in cache.glob("*.json")] == [path]


def test_a_strict_run_after_a_lenient_one(
    register: Callable[..., Any], tmp_path: Path, scenes: Path, document: dict[str, Any]
) -> None:
    """On data of Detectron2's own list as well, which is registered anew and put back."""
    document["images"][0]["file_name"] = "missing.png"
    path = tmp_path / "published.json"
    path.write_text(json.dumps(document))
    register_coco_instances("partial_scenes", {"colour": 5}, str(path), str(scenes / "val"))
    for name in ("partial_scenes", register(lambda d: d["images"][0].update(file_name="x.png"))):
        before = MetadataCatalog.get(name).json_file
        assert len(cleaned(name)["images"]) == 5
        assert MetadataCatalog.get(name).json_file != before
        with pytest.raises(UserError, match="1 missing image"):
            prepare_dataset(name)
    assert MetadataCatalog.get("partial_scenes").colour == 5


def test_an_image_listed_twice_is_merged(
    register: Callable[..., Any], document: dict[str, Any]
) -> None:
    number, other = document["images"][0]["id"], 7

    def change(document: Any) -> None:
        document["images"].append({**document["images"][0], "id": other})
        things = of_image(document, number)
        # one object is there twice, another under the second entry alone
        document["annotations"].append({**things[0], "id": 1, "image_id": other})
        document["annotations"].append({**things[0], "id": 2, "image_id": other, "category_id": 2})

    after = cleaned(register(change))
    assert len(after["images"]) == len(document["images"])
    assert len(of_image(after, number)) == len(of_image(document, number)) + 1
    assert not of_image(after, other)


def test_an_id_of_several_files_is_left_out(
    register: Callable[..., Any], document: dict[str, Any]
) -> None:
    def change(document: Any) -> None:
        document["images"][1]["id"] = document["images"][0]["id"]

    after = cleaned(register(change))
    assert [i["id"] for i in after["images"]] == [i["id"] for i in document["images"][2:]]


def test_an_empty_split_still_stops(register: Callable[..., Any]) -> None:
    name = register(lambda d: d.update(annotations=[]))
    with pytest.raises(UserError, match="it has no objects") as caught:
        prepare_dataset(name, lenient=True)
    assert "LENIENT" not in str(caught.value)
    name = register(lambda d: [a.update(category_id=99) for a in d["annotations"]])
    with pytest.raises(UserError, match="without these nothing is left"):
        prepare_dataset(name, lenient=True)


def test_the_config_says_it(
    write_config: Callable[..., Path], register: Callable[..., Any], scenes: Path
) -> None:
    name = register(lambda d: first(d).update(bbox=[97, 97, 5, 5]))
    overrides = ["DATASETS.TEST", f"['{name}']"]
    with pytest.raises(UserError, match=r"set DATASETS\.LENIENT True"):
        load_config(str(write_config()), overrides)
    cfg, _ = load_config(str(write_config()), [*overrides, "DATASETS.LENIENT", "True"])
    assert to_dict(cfg)["DATASETS"]["LENIENT"] is True
    original = sha256_file(scenes / "annotations/instances_val.json")
    assert describe_dataset(name).sha256 != original
