"""``robust-det rank``, from data and backbones to a folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from robust_det.core.files import sha256_file
from robust_det.ranking.record import RankRecord, read_ranking
from tests.support import Outcome, run_tool

FILES = {"rank.json", "ranking.csv", "ranking.md", "ranking.png"}


def rank(data: Path | str, backbones: object, output: Path, *more: object) -> Outcome:
    where = ("--config" if str(data).endswith(".yaml") else "--data", data)
    return run_tool("rank", *where, "--backbones", backbones, "--output", output, *more)


@pytest.fixture(scope="module")
def ranked(
    scenes: Path, backbones: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Outcome, Path]:
    output = tmp_path_factory.mktemp("ranking") / "out"
    done = rank(scenes, backbones / "*.pth", output, "--resamples", 100)
    assert done.code == 0, done.err
    return done, output


def test_a_detection_set_is_ranked(ranked: tuple[Outcome, Path], backbones: Path) -> None:
    done, output = ranked
    assert {path.name for path in output.iterdir()} == FILES
    record: RankRecord = read_ranking(output)
    assert record.what == "boxes" and record.headline == "mean_per_class"
    assert record.classes[-1] == "background"
    files = {sha256_file(path) for path in backbones.glob("*.pth")}
    assert {one.sha256 for one in record.backbones} == files
    assert [len(row.sha256) for row in sorted(record.rows, key=lambda row: row.label)] == [1, 1, 2]
    values = [row.figures["mean_per_class"].value for row in record.rows]
    assert values == sorted(values, reverse=True)
    assert sum(row.best_share for row in record.rows) == pytest.approx(1)
    assert record.environment.versions["torch"] and record.settings["size"] == 96
    assert record.data["sets"][0]["name"] == "scenes_train"  # what is tested on is not looked at
    for line in record.findings:
        assert line in done.out
    with open(output / "ranking.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean_per_class"]) for row in rows] == values
    page = (output / "ranking.md").read_text()
    assert page.startswith("# Backbones for scenes\\_train\n") and "| resnet10\\_narrow" in page
    with Image.open(output / "ranking.png") as plot:
        assert plot.width > 500


def test_the_same_again_replaces_it_and_takes_features_from_the_cache(
    ranked: tuple[Outcome, Path], scenes: Path, backbones: Path
) -> None:
    _, output = ranked
    before = read_ranking(output)
    done = rank(scenes, backbones / "*.pth", output, "--resamples", 100)
    assert done.out.count("boxes from the cache") == 4
    after = read_ranking(output)
    assert (after.rows, after.backbones) == (before.rows, before.backbones)


def test_classes_of_images_are_ranked(image_tree: Path, backbones: Path, tmp_path: Path) -> None:
    done = rank(image_tree, backbones / "eps[13].pth", tmp_path / "out", "--resamples", 40)
    assert done.code == 0, done.err
    record = read_ranking(tmp_path / "out")
    assert (record.what, record.headline) == ("images", "top1")
    assert record.classes == ["blue", "green", "red"] and record.data["images"] == 36
    # the colour tells the class, and any backbone sees it
    assert record.rows[0].figures["top1"].value > 80


def test_the_training_data_of_a_config(write_config: Any, backbones: Path, tmp_path: Path) -> None:
    config = write_config()
    done = rank(config, backbones / "eps1.pth", tmp_path / "out", "--images", 6, "--size", 64)
    assert done.code == 0, done.err
    record = read_ranking(tmp_path / "out")
    names = yaml.safe_load(config.read_text())["DATASETS"]["TRAIN"]
    assert [one["name"] for one in record.data["sets"]] == names
    assert record.data["images"] == 6 and record.settings["size"] == 64
    assert "One backbone alone, and nothing to compare" in done.out
    assert rank(config, "x", tmp_path / "b", "--data", tmp_path).error.startswith("no ")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--size", 16), "--size is 16; it starts from 32"),
        (("--resamples", 39), "--resamples is 39; it starts from 40"),
        (("--seed", -1), "--seed is -1; it starts from 0"),
        (("--device", "tpu"), "unknown device 'tpu'"),
        (("--reached", "nowhere"), "no run record at nowhere/record.json|no run record"),
    ],
)
def test_a_wrong_option_is_refused(
    more: tuple[Any, ...], message: str, scenes: Path, backbones: Path, tmp_path: Path
) -> None:
    done = rank(scenes, backbones / "eps1.pth", tmp_path / "out", *more)
    assert any(part in done.error for part in message.split("|")), done.error
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(
    scenes: Path, backbones: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "notes.txt"
    kept.write_text("mine")
    done = rank(scenes, backbones / "*.pth", tmp_path)
    assert done.error == f"{tmp_path} holds something other than a ranking; choose another --output"
    (tmp_path / "rank.json").write_text(json.dumps({"kind": "rank"}))
    assert "something other" in rank(scenes, backbones / "*.pth", tmp_path).error
    assert "is a file" in rank(scenes, backbones / "*.pth", kept).error
    assert kept.read_text() == "mine"


def test_what_is_no_data_set_is_said(backbones: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    assert "holds no images and no annotations" in rank(empty, backbones / "*.pth", out).error
    assert "there is no file or folder" in rank(tmp_path / "no", backbones / "*.pth", out).error
    done = run_tool("rank", "--backbones", backbones / "*.pth", "--output", out)
    assert done.error == "nothing says which data: give --data PLACE, or --config FILE"
    assert not out.exists()


def test_a_broken_image_is_named_and_nothing_is_written(
    scenes: Path, backbones: Path, tmp_path: Path
) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "annotations").mkdir()
    source = scenes / "annotations/instances_train.json"
    (tmp_path / "annotations/instances_train.json").write_bytes(source.read_bytes())
    for path in (scenes / "train").iterdir():
        (tmp_path / "train" / path.name).write_bytes(path.read_bytes())
    broken = sorted((tmp_path / "train").iterdir())[3]
    broken.write_bytes(broken.read_bytes()[:-400])
    done = rank(tmp_path, backbones / "eps1.pth", tmp_path / "out")
    assert f"cannot decode image {broken}" in done.err and done.code == 2
    assert not (tmp_path / "out/rank.json").exists()
    lenient = rank(tmp_path, backbones / "eps1.pth", tmp_path / "out", "--lenient")
    assert lenient.code == 0 and read_ranking(tmp_path / "out").data["images"] == 11
