"""Reported accuracies beside ours, and when they are subtracted."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.transfer.grouping import Setting
from robust_det.analysis.transfer.published import published_of
from robust_det.reference.salman2020 import reported

Write = Callable[..., Path]
Settings = Callable[[], list[Setting]]
# top-1 on the official test images, as theirs is
PETS: dict[str, Any] = {
    "set": "pets",
    "data": {"classes": 37, "test": 3669, "headline": "mean_per_class"},
    "config": {"DATA": {"IMAGE_SIZE": 224}},
}


def theirs_of(eps: float, mode: str = "fixed-feature") -> Any:
    (one,) = reported("pets", "resnet18", "l2", eps, mode, 0)
    return one


def test_ours_less_theirs_in_their_metric(write: Write, settings: Settings) -> None:
    for eps in (0.0, 1.0):
        write(eps, 80.0, per_class=82.0, **PETS)
        write(eps, 84.0, per_class=86.0, pretraining=1, **PETS)
    found = published_of(settings())
    assert [one.row.eps for one in found] == [0.0, 1.0]
    for one, eps in zip(found, (0.0, 1.0), strict=True):
        ours = {"top1": 82.0, "mean_per_class": 84.0}[theirs_of(eps).metric]
        assert one.difference == pytest.approx(ours - theirs_of(eps).accuracy)
        assert one.reason == ""


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"data": {**PETS["data"], "test": 3000}}, "test images, ours of 3,000"),
        ({"data": {**PETS["data"], "classes": 36}}, "classes, ours of 36"),
        ({"config": {"DATA": {"IMAGE_SIZE": 64}}}, "theirs is of images of 224 px, ours of 64"),
    ],
)
def test_other_images_are_shown_and_not_subtracted(
    write: Write, settings: Settings, fields: dict[str, Any], reason: str
) -> None:
    write(1.0, 80.0, **{**PETS, **fields})
    (one,) = published_of(settings())
    assert one.difference is None and one.reason.endswith(reason)
    assert one.found.reported == theirs_of(1.0)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {**PETS["data"], "subset": 10.0}},
        {"mode": "head-then-all", "head": "sgd"},
        {"arch": "resnet10_narrow"},
        {"set": "folder"},
        {"data": {**PETS["data"], "downscale": 48}},
    ],
)
def test_what_nobody_reported_stands_alone(
    write: Write, settings: Settings, fields: dict[str, Any]
) -> None:
    write(1.0, 80.0, **{**PETS, **fields})
    assert published_of(settings()) == []


def test_the_source_is_named_wherever_theirs_stands(write: Write, tmp_path: Path) -> None:
    write(1.0, 80.0, mode="full-network", **PETS)
    page, text = compare([tmp_path / "runs"], tmp_path / "report")
    source = "reported, submission of June 2020"
    assert f"Beside figures {source}" in text and source in page.read_text()
    (line,) = csv.DictReader((page.parent / "transfer_reported.csv").read_text().splitlines())
    assert line["source"] == source
    assert float(line["theirs"]) == theirs_of(1.0, "full-network").accuracy
