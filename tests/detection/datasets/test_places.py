"""Where the parts of a data set may be: in a VOC folder, beside a config, elsewhere."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from robust_det.core.errors import UserError
from robust_det.data.detection.entries import parse_entry
from robust_det.detection.config import explain, sources_of_config
from robust_det.detection.datasets import describe_dataset, prepare_dataset


def facts(name: str) -> tuple[int, int, tuple[str, ...]]:
    prepare_dataset(name)
    found = describe_dataset(name)
    return found.images, found.annotations, found.classes


@pytest.fixture
def apart(voc: Path, tmp_path: Path) -> Path:
    """The folder of VOC with annotations, images and lists in places that no layout knows."""
    root = tmp_path / "apart"
    for part, place in (("Annotations", "x/notes"), ("JPEGImages", "y/photos")):
        shutil.copytree(voc / part, root / place)
    (root / "z").mkdir()
    shutil.copy(voc / "ImageSets/Main/train.txt", root / "z/two of them.lst")
    return root


def test_annotations_here_images_there_the_list_anywhere(
    register_entry: Callable[..., Any], voc: Path, apart: Path, document: dict[str, Any]
) -> None:
    places = {"ANNOTATIONS": apart / "x/notes", "IMAGES": apart / "y/photos"}
    test = facts(register_entry(VOC=voc, SPLIT="test"))
    train = facts(register_entry(VOC=voc, SPLIT="train"))
    listed = apart / "z/two of them.lst"
    assert facts(register_entry(**places)) == test
    assert facts(register_entry(**places, SPLIT="all")) == test
    assert facts(register_entry(**places, SPLIT_FILE=listed)) == train
    # parts of a VOC folder elsewhere, as paths or as they are called in it
    shutil.rmtree(voc / "JPEGImages")
    shutil.copytree(apart / "y/photos", voc / "photos")
    for images in (apart / "y/photos", "photos"):
        assert facts(register_entry(VOC=voc, SPLIT="train", IMAGES=images)) == train
        assert facts(register_entry(VOC=voc, SPLIT_FILE=listed, IMAGES=images)) == train
    shutil.move(voc / "Annotations", voc / "notes")
    entry = register_entry(VOC=voc, SPLIT="test", IMAGES="photos", ANNOTATIONS="notes")
    assert facts(entry) == test
    # another list than the folder has
    two = facts(register_entry(VOC=apart, IMAGES="y/photos", SPLIT_FILE="z/two of them.lst"))
    assert two == train


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"VOC": "a", "SPLIT": "b", "SPLIT_FILE": "c"}, "SPLIT and SPLIT_FILE; .* leave SPLIT out"),
        (
            {"VOC": "a", "ANNOTATIONS": "b", "IMAGES": "c", "SPLIT_FILE": "d"},
            "VOC adds nothing to them; leave VOC out",
        ),
        ({"VOC": "a", "IMAGES": "c"}, "NAME, VOC, SPLIT .*SPLIT all takes all"),
        ({"ANNOTATIONS": "a"}, "NAME, ANNOTATIONS, IMAGES"),
        ({"ANNOTATIONS": "a", "IMAGES": 3}, "NAME, ANNOTATIONS, IMAGES"),
        ({"VOC": "a", "SPLIT_FILE": ["b"]}, "SPLIT_FILE"),
        ({"JSON": "a", "IMAGES": "b", "SPLIT_FILE": "c"}, "needs NAME, "),
        ({"JSON": "a", "IMAGES": "b", "ANNOTATIONS": "c"}, "needs NAME, "),
        ({"YOLO": "a", "SPLIT": "b", "IMAGES": "c"}, "needs NAME, "),
    ],
)
def test_what_would_have_no_effect_is_refused(entry: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse_entry({"NAME": "one", **entry})


def test_places_that_hold_nothing_are_named(voc: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    given = {"VOC": str(voc), "SPLIT": "test"}
    for key, place, words in (
        ("IMAGES", "empty", "no images in its IMAGES, .*empty"),
        ("ANNOTATIONS", "empty", r"no \.xml in its ANNOTATIONS, .*empty"),
        ("IMAGES", "gone", "no folder .*gone"),
    ):
        name, source = parse_entry({"NAME": "one", **given, key: str(tmp_path / place)})
        with pytest.raises(UserError, match=words):
            source.read(name)
    name, source = parse_entry({"NAME": "one", "VOC": str(voc), "SPLIT_FILE": str(voc / "x.txt")})
    with pytest.raises(UserError, match=r"no list .*x\.txt"):
        source.read(name)


def test_paths_lead_beside_the_config_then_here_then_below_the_data(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs, here, data = (tmp_path / name for name in ("configs", "here", "data"))
    for folder in (configs, here, data):
        folder.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(data))
    path = configs / "a.yaml"
    entry = {"JSON": "set/annotations/instances_val.json", "IMAGES": "set/val"}

    def custom(name: str) -> Any:
        raw = {"DATASETS": {"CUSTOM": [{"NAME": name, **entry}], "TRAIN": [name], "TEST": [name]}}
        path.write_text(yaml.safe_dump(raw))
        (source,) = sources_of_config(str(path)).values()
        return source

    gone = custom("nowhere_yet")
    with pytest.raises(UserError) as caught:
        gone.read("nowhere_yet")
    text = str(caught.value)
    for folder in (configs, here, data):
        assert str(folder / entry["JSON"]) in text
    assert text.endswith("set DETECTRON2_DATASETS to the folder that holds your data sets")
    for number, folder in enumerate((configs, here, data)):
        (folder / "set").symlink_to(scenes)
        assert custom(f"set_{number}").read("a").images.objects
        kept = explain(str(path))[0].DATASETS.CUSTOM[0]["JSON"]
        # a run's config.yaml is read from another folder; that of the data is any machine's
        expected = entry["JSON"] if folder == data else str(folder / entry["JSON"])
        assert kept == expected
        (folder / "set").unlink()
    # the same in two places is no question; another is
    (data / "set").symlink_to(scenes)
    (here / "set").symlink_to(scenes)
    assert custom("same").read("same").images.objects
    (here / "set").unlink()
    shutil.copytree(scenes, here / "set")
    with pytest.raises(UserError, match=r"data set 'two': set/.*can be .*here.* or .*data.*differ"):
        custom("two")
    # the command line has no folder of its own
    shutil.rmtree(here / "set")
    monkeypatch.setenv("DETECTRON2_DATASETS", "nowhere")
    os.rename(data / "set", here / "set")
    path.write_text("{}")
    overrides = [
        "DATASETS.CUSTOM",
        str([{"NAME": "typed", **entry}]),
        "DATASETS.TRAIN",
        "['typed']",
    ]
    (source,) = sources_of_config(str(path), overrides).values()
    assert source.read("typed").images.objects
