"""tools/inspect_dataset.py: statistics that are right, pictures, problems and exit codes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from detectron2.data import DatasetCatalog
from PIL import Image

from robust_det.detection.datasets.registration import prepare_dataset
from robust_det.detection.datasets.sample_sheet import sample_sheet
from tests.support import refused, run_tool


def test_a_sound_data_set(scenes: Path, tmp_path: Path) -> None:
    annotations = scenes / "annotations/instances_val.json"
    given = ("--json", annotations, "--images", scenes / "val", "--samples", 4)
    done = run_tool("inspect_dataset", *given, "--output", tmp_path / "a")
    assert (done.code, done.err) == (0, "")
    assert "objects per image" in done.out and "problem" not in done.out
    folder = tmp_path / "a/instances_val"
    kept = json.loads((folder / "stats.json").read_text())
    assert kept["images"] == 6 and kept["problems"] == []
    sheet = np.asarray(Image.open(folder / "samples.png"))
    # two by two tiles of 400 pixels, none of them left white
    assert sheet.shape == (818, 818, 3)
    assert all(sheet[y : y + 400, x : x + 400].std() > 10 for x in (6, 412) for y in (6, 412))
    with Image.open(folder / "histograms.png") as histograms:
        assert histograms.size == (1600, 1120)


def test_the_sheet_is_chosen_by_its_seed_and_takes_any_masks(
    document: dict[str, Any], scenes: Path
) -> None:
    for a in document["annotations"][::2]:
        a.pop("segmentation")
    a = document["annotations"][1]
    a["segmentation"] = {"size": [96, 96], "counts": [2000, 500, 6716]}
    root = str(scenes / "val")
    one, same, other = (
        np.asarray(sample_sheet(document, root, 1, seed).convert("L").resize((8, 8)), float)
        for seed in (0, 0, 1)
    )
    # colours are drawn at random
    assert abs(one - same).mean() < abs(one - other).mean()


def test_problems_are_listed_and_the_exit_code_says_so(voc: Path) -> None:
    (stem, *_) = (voc / "ImageSets/Main/test.txt").read_text().split()
    (voc / "JPEGImages" / f"{stem}.png").unlink()
    done = run_tool("inspect_dataset", "--voc", voc, "--split", "test")
    assert (done.code, done.err) == (1, "")
    lines = done.out.splitlines()
    at = lines.index("problem: 1 missing image")
    assert lines[at + 1].strip() == str(voc / "JPEGImages" / f"{stem}.png")
    assert next(line.split()[1] for line in lines if line.startswith("images ")) == "5,"


def test_truncated_images_are_found_by_decoding(yolo: Path) -> None:
    image = sorted((yolo / "images/val").iterdir())[2]
    image.write_bytes(image.read_bytes()[:-200])
    assert run_tool("inspect_dataset", "--yolo", yolo, "--split", "val").code == 0
    done = run_tool("inspect_dataset", "--yolo", yolo / "data.yaml", "--split", "val", "--decode")
    assert done.code == 1 and "1 unreadable image" in done.out
    assert f"{image}: it is truncated or damaged: image file is truncated" in done.out


def test_a_run_that_is_lenient_leaves_truncated_images_out(
    yolo: Path, register_entry: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    image = sorted((yolo / "images/val").iterdir())[2]
    image.write_bytes(image.read_bytes()[:-200])
    name = register_entry(YOLO=yolo, SPLIT="val")
    facts = prepare_dataset(name, lenient=True)
    assert facts.images == 5
    assert f"cleaned: 1 unreadable image (first: {image}: it is truncated" in caplog.text
    assert str(image) not in {entry["file_name"] for entry in DatasetCatalog.get(name)}


def test_all_data_sets_of_a_config(tmp_path: Path, scenes: Path, yolo: Path) -> None:
    entries = [
        {"NAME": "a", "YOLO": str(yolo), "SPLIT": "val"},
        {"NAME": "b", "JSON": str(tmp_path / "nowhere.json"), "IMAGES": str(scenes / "val")},
        {"NAME": "c", "YOLO": str(yolo), "SPLIT": "train"},
    ]
    # its weights need not be there
    raw = {"MODEL": {"WEIGHTS": "none.pth"}, "DATASETS": {"CUSTOM": entries, "TRAIN": ["c"]}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(raw))
    done = run_tool("inspect_dataset", "--config", path, "DATASETS.TEST", "['a']")
    assert (done.code, done.err) == (1, "")
    parts = [line for line in done.out.splitlines() if line in ("a", "b", "c")]
    assert parts == ["c", "a", "b"]
    assert "problem: data set 'b' has no annotations at" in done.out


def test_what_is_there_is_told(scenes: Path) -> None:
    done = run_tool("inspect_dataset", "--data", scenes)
    assert done.code == 0 and not done.err
    names = [line for line in done.out.splitlines() if line.endswith(("_train", "_val"))]
    assert names == [f"{scenes.name}_train", f"{scenes.name}_val"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "one of --config, --json, --voc and --yolo, or --data"),
        (("--voc", "a", "--yolo", "b"), "give one of"),
        (("--json", "a"), "--json needs --images"),
        (("--voc", "a"), "--voc needs --split"),
        (("--voc", "a", "--split", "b"), "has no folder a/Annotations"),
        (("--voc", "a", "--split", "b", "SEED", "1"), "KEY VALUE pairs belong to --config"),
        (("--yolo", "a", "--split", "b", "--classes", "c,c"), "repeated name"),
        (("--yolo", "a", "--split", "b", "--samples", "0"), "it starts from 1"),
        (("--yolo", "a", "--split", "b", "--origin", "1"), "--origin belongs to --voc"),
        (("--json", "a", "--images", "b", "--split", "c"), "--split belongs to --voc and --yolo"),
        (("--data", "a", "--images", "b"), "--images belongs to --json, and has no effect with"),
        (("--data", "nowhere"), "there is no file or folder nowhere"),
    ],
)
def test_a_wrong_command_line(arguments: Any, message: str) -> None:
    assert message in refused("inspect_dataset", *arguments)
