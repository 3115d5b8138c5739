"""``robust-det analyze texture --cue-conflict``: categories, decisions and shape bias."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.checkpoints.model_file import read_model
from robust_det.classification.class_order import imagenet_synsets
from robust_det.records.base import File
from robust_det.representations import outputs
from robust_det.representations.categories import (
    CATEGORIES,
    SYNSETS,
    classes_of_categories,
    decisions,
)
from robust_det.representations.cue_conflict import CueConflict
from robust_det.representations.shape_bias import Decided, bias_gap, decided, shape_bias
from robust_det.visualization.images import read_square
from tests.representations.conftest import Write, write_beside, write_noise
from tests.support import Outcome, refused, run_tool

OWN = ("cat", "dog", "elephant")  # that the small networks tell


@pytest.fixture
def stimuli(tmp_path: Path) -> Path:
    """All pairs of three categories, twice, and one pair of a category that they do not tell."""
    folder, seed = tmp_path / "stimuli", 0
    for shape in OWN:
        for texture in OWN:
            for number in (1, 2):
                seed += 1
                write_noise(folder / shape / f"{shape}{number}-{texture}{seed}.png", seed)
    write_noise(folder / "knife/knife1-cat1.png", 90)
    return folder


def balanced(write_network: Write, stimuli: Path, number: int, eps: float) -> Path:
    """Write a network that does not take all images for one class."""
    path = write_network(f"n{number}", number, eps)
    classifier = read_model(path).classifier()
    squares = torch.stack([read_square(each, 48) for each in sorted(stimuli.rglob("*.png"))])
    with torch.no_grad():
        mean = classifier(squares).mean(0)

    def centre(state: dict[str, torch.Tensor]) -> None:
        state["fc.bias"] -= mean

    return write_network(f"n{number}", number, eps, change=centre)


def asked(tmp_path: Path, *arguments: object, out: str = "out") -> Outcome:
    return run_tool("analyze", "texture", *arguments, "--output", tmp_path / out)


def shown(tmp_path: Path, *arguments: object) -> str:
    said = refused("analyze", "texture", *arguments, "--output", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    return said


def rows_of(folder: Path, name: str = "") -> list[Mapping[str, Any]]:
    text = (folder / f"texture_cue_conflict{name}.csv").read_text()
    return list(csv.DictReader(text.splitlines()))


def test_the_categories_are_the_16_of_imagenets_classes() -> None:
    places = {name: number for number, name in enumerate(imagenet_synsets())}
    indices: dict[str, list[int]] = {}
    for synset, category in SYNSETS.items():
        indices.setdefault(category, []).append(places[synset])
    assert len(CATEGORIES) == 16 and len(SYNSETS) == 207
    # as the authors list them in human_categories.py
    assert indices["airplane"] == [404] and indices["bear"] == [294, 295, 296, 297]
    assert indices["car"] == [436, 511, 817] and indices["oven"] == [766]
    assert indices["truck"] == [555, 569, 656, 675, 717, 734, 864, 867]
    assert len(indices["bird"]) == 49 and len(indices["dog"]) == 109
    assert 9 not in indices["bird"] and 85 not in indices["bird"]  # ostrich, quail


def test_classes_are_found_by_name_or_synset(write_network: Write) -> None:
    model = read_model(write_network("own"))  # of "Cat", "dog ", n02504013 and "other"
    assert classes_of_categories(model, "own") == {"cat": [0], "dog": [1], "elephant": [2]}
    names = ("n02123045", "air_plane", "n02123159", "n01440764", "catfish", "CAT")
    model = read_model(write_network("more", classes=names))
    assert classes_of_categories(model, "more") == {"airplane": [1], "cat": [0, 2, 5]}


def test_decisions_are_those_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(9, 0.3), 200).astype(np.float32)
    classes = {"dog": [0, 3, 4, 8], "bird": [1], "cat": [2, 7]}
    expected = []
    for row in shares:
        means = {name: sum(float(row[i]) for i in own) / len(own) for name, own in classes.items()}
        expected.append(max(sorted(means), key=lambda name: means[name]))
    assert decisions(shares, classes) == expected
    assert len(set(expected)) == 3
    # of equal ones, the first by name
    assert decisions(np.full((1, 9), 1 / 9, np.float32), classes) == ["bird"]


def conflicts(number: int, seed: int = 0) -> list[CueConflict]:
    rng = np.random.default_rng(seed)
    pairs = [rng.permutation(CATEGORIES)[:2] for _ in range(number)]
    return [CueConflict(Path(f"{n}.png"), str(a), str(b)) for n, (a, b) in enumerate(pairs)]


def test_shape_bias_is_the_share_of_decisions_for_either_cue() -> None:
    images = conflicts(300)
    rng = np.random.default_rng(1)
    taken = [
        one.shape if draw < 0.2 else one.texture if draw < 0.5 else "knife"
        for one, draw in zip(images, rng.random(300), strict=True)
    ]
    shape = sum(name == one.shape for one, name in zip(images, taken, strict=True))
    texture = sum(name == one.texture for one, name in zip(images, taken, strict=True))
    found = shape_bias(decided(images, taken))
    assert (found.shape, found.texture, found.images) == (shape, texture, 300)
    assert found.interval.value == pytest.approx(100 * shape / (shape + texture))
    # Wilson 1927: where a share would be 1.96 of its own deviations from what was seen
    number, seen = shape + texture, shape / (shape + texture)
    for end in (found.interval.low / 100, found.interval.high / 100):
        assert abs(seen - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / number))
    # all of one kind, and none
    every = shape_bias(decided(images, [one.shape for one in images])).interval
    assert every.value == every.high == 100 and 98 < every.low < 100
    none = shape_bias(Decided(np.zeros(5, bool), np.zeros(5, bool)))
    assert math.isnan(none.interval.value) and math.isnan(none.interval.low)


def test_a_difference_is_paired_over_images() -> None:
    rng = np.random.default_rng(3)
    draws = rng.random(400)
    one = Decided(draws < 0.3, (draws >= 0.3) & (draws < 0.8))
    other = Decided(draws < 0.25, (draws >= 0.25) & (draws < 0.8))  # of the same images, nearly
    gap = bias_gap([one], [other])
    values = [shape_bias(each).interval.value for each in (one, other)]
    assert gap.value == pytest.approx(values[0] - values[1])
    highs = [shape_bias(each).interval.high for each in (one, other)]
    apart = math.hypot(*np.subtract(highs, values))  # half of it, if they were not
    assert 0 < gap.low < gap.value < gap.high and gap.high - gap.low < apart
    assert bias_gap([one, other], [one, other]).high == 0
    both = bias_gap([one, other], [other])
    assert both.value == pytest.approx(gap.value / 2)


def test_an_answer_counts_what_networks_take_images_for(
    write_network: Write, stimuli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [balanced(write_network, stimuli, n, float(n > 1)) for n in range(4)]
    given = ("--backbones", *paths, "--cue-conflict", stimuli)
    done = asked(tmp_path, *given)
    assert done.code == 0, done.err
    assert "6 images left out, with shape and texture of one category, as in the paper" in done.out
    assert "1 image left out, with a shape or texture of a category that not all" in done.out
    assert "13 of 16 categories left out, of which not every network has a class" in done.out
    out = tmp_path / "out"
    for row, path in zip(rows_of(out), paths, strict=True):
        classifier = read_model(path).classifier()
        shape = texture = 0
        for image in sorted(stimuli.rglob("*.png")):
            cues = [part.rstrip("0123456789") for part in image.stem.split("-")]
            if cues[0] == cues[1] or "knife" in cues:
                continue
            with torch.no_grad():
                logits = classifier(read_square(image, 48)[None])[0, :3]  # a class a category
            taken = OWN[int(logits.argmax())]
            shape, texture = shape + (taken == cues[0]), texture + (taken == cues[1])
        assert (int(row["shape"]), int(row["texture"]), row["images"]) == (shape, texture, "12")
        assert float(row["shape_bias"]) == pytest.approx(100 * shape / (shape + texture))
    (gap,) = rows_of(out, "_differences")
    assert len({row["shape_bias"] for row in rows_of(out)}) > 2
    means = [float(row["shape_bias"]) for row in rows_of(out)]
    assert float(gap["difference"]) == pytest.approx(sum(means[2:]) / 2 - sum(means[:2]) / 2)
    theirs = stats.ttest_ind(means[2:], means[:2], equal_var=False)
    assert float(gap["p"]) == pytest.approx(theirs.pvalue) and gap["paired_runs"] == "0"
    by_category = rows_of(out, "_categories")
    assert sum(int(row["images"]) for row in by_category) == 4 * 12
    assert sum(int(row["shape"]) for row in by_category) == sum(
        int(row["shape"]) for row in rows_of(out)
    )
    record = json.loads((out / "texture_cue_conflict.json").read_text())
    assert record["kind"] == "cue-conflict" and len(record["images"]) == 12
    assert record["settings"]["categories"]["n0"] == {"cat": 1, "dog": 1, "elephant": 1}
    assert (out / "plots/texture_cue_conflict.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (out / "plots/texture_cue_conflict.svg").read_bytes()

    def fail(*arguments: object, **more: object) -> None:
        raise AssertionError("it runs a network")

    monkeypatch.setattr(outputs, "extract", fail)
    again = asked(tmp_path, *given, out="again")
    assert "probabilities of all 4 backbones were kept from earlier" in again.out
    assert rows_of(tmp_path / "again") == rows_of(out)


def test_runs_of_one_beginning_are_paired(
    write_network: Write, stimuli: Path, tmp_path: Path
) -> None:
    paths = []
    for number in range(4):
        made = balanced(write_network, stimuli, number, float(number > 1))
        (tmp_path / f"run{number}").mkdir()
        paths.append(made.rename(tmp_path / f"run{number}/final.pth"))
        start = File("start.pth", "ab"[number % 2] * 64)
        write_beside(paths[-1], "resnet10_narrow", number, start)
    done = asked(tmp_path, "--backbones", *paths, "--cue-conflict", stimuli)
    assert "2 and 2 pretraining runs, paired by their beginnings" in done.out, done.err
    means = [float(row["shape_bias"]) for row in rows_of(tmp_path / "out")]
    (gap,) = rows_of(tmp_path / "out", "_differences")
    theirs = stats.ttest_rel(means[2:], means[:2])
    assert gap["paired_runs"] == "1" and float(gap["p"]) == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval()
    assert [float(gap["runs_low"]), float(gap["runs_high"])] == pytest.approx(list(interval))


def test_one_run_of_a_training_says_nothing_of_others(
    write_network: Write, stimuli: Path, tmp_path: Path
) -> None:
    paths = [write_network(f"n{n}", n, float(n)) for n in range(2)]
    done = asked(tmp_path, "--backbones", *paths, "--cue-conflict", stimuli)
    assert "Not known beyond these networks: whether L2 ε 1 networks of resnet10_narrow" in done.out
    assert "1 and 1 pretraining runs" in done.out and "of these networks alone" in done.out
    (gap,) = rows_of(tmp_path / "out", "_differences")
    assert gap["p"] == gap["runs_low"] == "" and gap["images_low"] != ""


def test_networks_that_do_not_do(write_network: Write, stimuli: Path, tmp_path: Path) -> None:
    whole = write_network("whole")
    given = ("--cue-conflict", stimuli, "--backbones")
    few = write_network("few", 1, classes=("a", "b", "cat"))
    said = shown(tmp_path, *given, whole, few)
    assert "there is 1 of the 16 categories that all tell, and a choice needs two" in said
    assert "few tells cat" in said
    content = load_checkpoint(whole)
    content["model"] = {k: v for k, v in content["model"].items() if not k.startswith("fc.")}
    save_checkpoint(tmp_path / "headless.pth", {"state_dict": content["model"]})
    assert "have no classification head" in shown(tmp_path, *given, tmp_path / "headless.pth")
    unnamed = write_network("unnamed", 2, classes=("a", "b", "c"))
    content = load_checkpoint(unnamed)
    content["meta"]["classes"] = []
    save_checkpoint(unnamed, content)
    assert "does not name its 3 classes" in shown(tmp_path, *given, unnamed)


@pytest.mark.parametrize(
    "name, message",
    [
        ("cat/cat7.png", "says no shape and texture: it has to be as cat7-elephant1.png"),
        ("cat/cat7-elefant1.png", "says 'elefant', which is no category; did you mean 'elephant'?"),
        (
            "dog/cat7-elephant1.png",
            "has the shape of a cat by its name, and lies in the folder dog",
        ),
        (
            "knife/knife7-oven1.png",
            "has shape and texture of two categories that the networks tell",
        ),
    ],
)
def test_names_that_say_something_else(
    name: str, message: str, write_network: Write, tmp_path: Path
) -> None:
    write_noise(tmp_path / "odd" / name, 1)
    path = write_network("n0")
    assert message in shown(tmp_path, "--backbones", path, "--cue-conflict", tmp_path / "odd")


def test_names_may_have_the_prefix_of_an_experiment(write_network: Write, tmp_path: Path) -> None:
    write_noise(tmp_path / "long/cat/0001_s5n_dnn_0_cat_00_cat7-dog1.png", 1)
    done = asked(tmp_path, "--backbones", write_network("n0"), "--cue-conflict", tmp_path / "long")
    assert done.code == 0 and "1 image of cue conflict" in done.out, done.err


def test_a_place_that_is_no_folder(write_network: Write, tmp_path: Path) -> None:
    said = shown(tmp_path, "--backbones", write_network("n0"), "--cue-conflict", tmp_path / "no")
    assert said.startswith(f"{tmp_path / 'no'} is no folder; give one with a folder for each")
