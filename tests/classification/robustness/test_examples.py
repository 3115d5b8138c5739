"""The picture of an evaluation has what its attacks found, also of one that was gone on with."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.checkpoints.model_file import read_model
from robust_det.classification.examples.drawing import Picture
from robust_det.classification.robustness import loop, run

SETTINGS = ("--norm", "l2", "--eps", "0.5", "2", "--check-images", 0, "--batch-size", 4)


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[Picture]:
    """What was drawn."""
    drawn: list[Picture] = []
    write = run.write_picture

    def noted(path: Path, picture: Picture) -> None:
        drawn.append(picture)
        write(path, picture)

    monkeypatch.setattr(run, "write_picture", noted)
    return drawn


def test_the_images_are_those_that_the_attacks_found(
    evaluate: Any, trained: Path, tmp_path: Path, pictures: list[Picture]
) -> None:
    assert evaluate(*SETTINGS).code == 0
    (picture,) = pictures
    assert (tmp_path / "out/examples.png").exists()
    assert not (tmp_path / "out/examples.npz").exists()
    rows = list(csv.DictReader((tmp_path / "out/images.csv").read_text().splitlines()))
    fates = {(row["l2_0.5"], row["l2_2.0"]) for row in rows if row["target"] == row["prediction"]}
    assert len(picture.examples) == 6 and picture.names == ["blue", "green", "red"]
    network = read_model(trained).classifier()
    ends = []
    for one in picture.examples:
        assert one.right and one.fell in fates
        images = torch.from_numpy(one.pixels).float().div(255) + torch.cat(
            [torch.zeros(1, 3, 32, 32), torch.from_numpy(one.changes).float()]
        )
        with torch.no_grad():
            shares = network(images).softmax(1)
        for place, (seen, share) in enumerate(zip(one.seen, shares, strict=True)):
            assert seen.confidence == pytest.approx(float(share[seen.prediction]), abs=0.01)
            if place:
                standing = one.fell[place - 1] == "standing"
                assert (seen.prediction == one.target) == standing
                length = np.linalg.norm(one.changes[place - 1].astype(np.float64))
                assert 0 < length < picture.eps[place - 1] * 1.002
                ends.append(standing)
        if "@0.5" in one.fell[1]:
            assert np.array_equal(one.changes[0], one.changes[1])
    assert True in ends and False in ends, "the test tells nothing"


def test_one_that_was_gone_on_with_has_the_same(
    evaluate: Any, tmp_path: Path, pictures: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate(*SETTINGS, output="whole").code == 0
    fates_of, calls = loop.fates_of, [0]

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return fates_of(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fates_of", interrupted)
        assert evaluate(*SETTINGS).code == 130
    assert evaluate(*SETTINGS, "--resume").code == 0
    whole, part = pictures
    for old, new in zip(whole.examples, part.examples, strict=True):
        assert (old.rank, old.fell) == (new.rank, new.fell)
        assert np.array_equal(old.pixels, new.pixels)
        assert np.array_equal(old.changes, new.changes)
    names = ("classes.csv", "examples.png")
    assert all(
        (tmp_path / "whole" / n).read_bytes() == (tmp_path / "out" / n).read_bytes() for n in names
    )


def test_without_an_attack_there_is_no_picture(evaluate: Any, tmp_path: Path) -> None:
    outcome = evaluate("--eps", 0)
    assert outcome.code == 0 and not (tmp_path / "out/examples.png").exists()
    rows = list(csv.DictReader((tmp_path / "out/classes.csv").read_text().splitlines()))
    assert list(rows[0]) == ["class", "images", "clean_top1"] and len(rows) == 3
    assert "worst of 3 classes (clean, in %): " in outcome.out
