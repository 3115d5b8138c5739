"""tools/inspect_dataset.py: statistics that are right, pictures, problems and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from robust_det.detection.datasets.sample_sheet import sample_sheet

ROOT = Path(__file__).parents[3]


def tool(*arguments):
    return subprocess.run(
        [sys.executable, "tools/inspect_dataset.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def test_a_sound_data_set(scenes, tmp_path):
    annotations = scenes / "annotations/instances_val.json"
    given = ("--json", annotations, "--images", scenes / "val", "--samples", 4)
    done = tool(*given, "--output", tmp_path / "a")
    assert (done.returncode, done.stderr) == (0, "")
    assert "objects per image" in done.stdout and "problem" not in done.stdout
    folder = tmp_path / "a/instances_val"
    kept = json.loads((folder / "stats.json").read_text())
    assert kept["images"] == 6 and kept["problems"] == []
    sheet = np.asarray(Image.open(folder / "samples.png"))
    # two by two tiles of 400 pixels, none of them left white
    assert sheet.shape == (818, 818, 3)
    assert all(sheet[y : y + 400, x : x + 400].std() > 10 for x in (6, 412) for y in (6, 412))
    assert Image.open(folder / "histograms.png").size == (1600, 1120)


def test_the_sheet_is_chosen_by_its_seed_and_takes_any_masks(document, scenes):
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


def test_problems_are_listed_and_the_exit_code_says_so(voc):
    (stem, *_) = (voc / "ImageSets/Main/test.txt").read_text().split()
    (voc / "JPEGImages" / f"{stem}.png").unlink()
    done = tool("--voc", voc, "--split", "test")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    at = lines.index("problem: 1 missing image")
    assert lines[at + 1].strip() == str(voc / "JPEGImages" / f"{stem}.png")
    assert next(line.split()[1] for line in lines if line.startswith("images ")) == "5,"


def test_truncated_images_are_found_by_decoding(yolo):
    image = sorted((yolo / "images/val").iterdir())[2]
    image.write_bytes(image.read_bytes()[:-200])
    assert tool("--yolo", yolo, "--split", "val").returncode == 0
    done = tool("--yolo", yolo / "data.yaml", "--split", "val", "--decode")
    assert done.returncode == 1 and "1 unreadable image" in done.stdout
    assert str(image) in done.stdout


def test_all_data_sets_of_a_config(tmp_path, scenes, yolo):
    entries = [
        {"NAME": "a", "YOLO": str(yolo), "SPLIT": "val"},
        {"NAME": "b", "JSON": str(tmp_path / "nowhere.json"), "IMAGES": str(scenes / "val")},
        {"NAME": "c", "YOLO": str(yolo), "SPLIT": "train"},
    ]
    # its weights need not be there
    raw = {"MODEL": {"WEIGHTS": "none.pth"}, "DATASETS": {"CUSTOM": entries, "TRAIN": ["c"]}}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(raw))
    done = tool("--config", path, "DATASETS.TEST", "['a']")
    assert (done.returncode, done.stderr) == (1, "")
    parts = [line for line in done.stdout.splitlines() if line in ("a", "b", "c")]
    assert parts == ["c", "a", "b"]
    assert "problem: data set 'b' has no annotations at" in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((), "give one of --config, --json, --voc and --yolo"),
        (("--voc", "a", "--yolo", "b"), "give one of"),
        (("--json", "a"), "--json needs --images"),
        (("--voc", "a"), "--voc needs --split"),
        (("--voc", "a", "--split", "b"), "has no folder a/Annotations"),
        (("--voc", "a", "--split", "b", "SEED", "1"), "KEY VALUE pairs belong to --config"),
        (("--yolo", "a", "--split", "b", "--classes", "c,c"), "repeated name"),
        (("--yolo", "a", "--split", "b", "--samples", "0"), "it starts from 1"),
    ],
)
def test_a_wrong_command_line(arguments, message):
    done = tool(*arguments)
    assert done.returncode == 2 and message in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
