"""Flat rows of records of all kinds and ages, against the JSON that they were read from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from robust_det.records import Record, write_record
from robust_det.records.base import Weights, as_json
from robust_det.records.pretrain import ImageSets, PretrainRecord, TrainImages, ValImages
from robust_det.records.robustness import EvaluatedImages, RobustAccuracy, RobustnessRecord
from robust_det.records.rows import COLUMNS, flat, row_of
from robust_det.records.store import find_records, load_records
from robust_det.records.table import Query, rows_with, select
from tests.support import ROOT
from tests.support.transfer_records import ENVIRONMENT, write_transfer

Pairs = list[tuple[Path, Record]]
Plain = dict[str, dict[str, Any]]


def leaves(value: Any, prefix: str) -> dict[str, Any]:
    """The leaves of nested objects by their dotted names."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, inner in value.items():
        found |= leaves(inner, f"{prefix}.{key}")
    return found


def test_every_fact_of_every_record_is_in_its_row(records: Pairs, plain: Plain) -> None:
    assert {one["schema"] for one in plain.values()} == {1, 2}
    for path, record in records:
        own, row = plain[str(path)], flat(record, path)
        assert list(row)[: len(COLUMNS)] == list(COLUMNS)
        assert row["path"] == str(path)
        for name in ("kind", "name", "arch", "eps", "seed", "wall_time_s"):
            assert row[name] == own[name], (path, name)
        assert row["norm"] == (own["norm"] if own["eps"] else "")
        assert row["weights_sha256"] == own["weights"]["sha256"]
        for name in ("commit", "modified", "created", "device"):
            assert row[name] == own["environment"][name]
        metrics = leaves(own["metrics"], "metrics")
        assert {name: row[name] for name in metrics} == metrics
        for name, value in leaves(own["config"], "config").items():
            assert isinstance(value, (list, dict)) or row[name] == value, (path, name)


def test_the_headline_is_the_figure_that_comparison_goes_by(records: Pairs, plain: Plain) -> None:
    for path, record in records:
        own, row = plain[str(path)], row_of(record)
        if own["kind"] == "detection":
            assert (row["headline"], row["value"]) == ("bbox.AP", own["metrics"]["bbox"]["AP"])
        elif own["kind"] == "transfer":
            name = own["data"]["headline"]
            assert (row["headline"], row["value"]) == (name, own["metrics"][name])
        else:
            assert row["value"] == own["metrics"]["clean_top1"]


def test_tasks_say_the_family_of_the_set_and_what_is_found(records: Pairs) -> None:
    found = {(row["kind"], row["task"]) for row in (row_of(one) for _, one in records)}
    assert {task for kind, task in found if kind == "detection"} == {
        "bccd_det",
        "bccd_xml_det",
        "coco_seg",
        "voc_det",
    }
    assert {task for kind, task in found if kind == "transfer"} == {
        "caltech101_cls",
        "cifar10-12k_cls",
        "dtd10_cls",
        "flowers_cls",
    }
    _, detector = next(pair for pair in records if pair[1].kind() == "detection")
    for name, task in (("coco_2017_val", "coco_det"), ("voc_2007_test", "voc_det")):
        data = detector.data  # type: ignore[attr-defined]
        named = replace(detector, data=replace(data, test=[replace(data.test[0], name=name)]))
        assert row_of(named)["task"] == task


def test_the_seed_of_the_pretraining_is_known_by_its_record(tmp_path: Path) -> None:
    source, other = "a" * 64, "b" * 64
    common: dict[str, Any] = {
        "arch": "resnet18",
        "norm": "l2",
        "eps": 1.0,
        "raw_config": as_json({"DATA": {"ROOT": "sets/imagenet/"}}),
        "environment": ENVIRONMENT,
        "wall_time_s": 1.0,
        "data": ImageSets(TrainImages(4, 2), ValImages(2)),
        "evaluators": [],
        "metrics": {"clean_top1": 50.0},
        "processes": 1,
    }
    made = PretrainRecord(name="p", seed=7, weights=Weights("p.pth", source), **common)
    paths = [write_record(tmp_path / "p", made)]
    converted = Weights("c.pth", "c" * 64, source)
    paths.append(write_transfer(tmp_path / "t", 1.0, 60.0, seed=3, weights=converted))
    paths.append(write_transfer(tmp_path / "u", 1.0, 60.0, weights=Weights("u.pth", other)))
    rows = rows_with(load_records(paths), ())
    assert [(row["pretraining_seed"], row["seed"]) for row in rows] == [(7, 7), (7, 3), (None, 0)]
    assert rows[0]["task"] == "imagenet_cls"
    # two seeds with one file: none of them is known
    twin = replace(made, name="q", seed=8)
    rows = rows_with(load_records([*paths, write_record(tmp_path / "q", twin)]), ())
    assert [row["pretraining_seed"] for row in rows] == [7, None, None, 8]


def test_what_is_left_under_attack_is_a_figure_of_its_eps() -> None:
    record = RobustnessRecord(
        name="r",
        arch="resnet18",
        norm="linf",
        eps=4 / 255,
        weights=Weights("r.pth", "a" * 64),
        seed=0,
        raw_config=as_json({}),
        environment=ENVIRONMENT,
        wall_time_s=1.0,
        data=EvaluatedImages("sets/val", 10, 10, "d" * 64, 2, 32, 36),
        metrics={"clean_top1": 80.0},
        correct=8,
        attack_norm="linf",
        budget="quick",
        budget_version=2,
        members=[],
        notes=[],
        robust=[RobustAccuracy(0.25, 0, {"PGD": 3}, 5, 50.0, 23.7, 76.3)],
        not_finite=0,
        checks=None,
        images={"path": "images.csv", "sha256": "e" * 64},  # type: ignore[arg-type]
    )
    row = flat(record)
    assert row["metrics.robust_top1.0.25"] == 50.0 and row["protocol"] == "quick v2 linf"


@pytest.mark.parametrize("kind", ["detection", "pretrain", "transfer", "classifier_evaluation"])
def test_a_table_has_what_was_asked_for(kind: str, records: Pairs, plain: Plain) -> None:
    own = [(path, one) for path, one in records if one.kind() == kind]
    table = select(own, Query(columns=("path", "seed"), sort=("seed",), descending=True, limit=3))
    seeds = sorted((plain[str(path)]["seed"] for path, _ in own), reverse=True)
    assert [row[1] for row in table.rows] == seeds[:3] and table.of == len(own)


def test_rows_have_what_is_wanted_of_figures_and_configs_and_no_more() -> None:
    records = load_records(find_records([ROOT / "docs/results/detection/matrix/runs"]).records[:3])
    rows = rows_with(records, ("eps", "config.SEED", "metrics.bbox.AP*"))
    every = [flat(record, path) for path, record in records]
    wanted = [
        name for name in every[0] if name == "config.SEED" or name.startswith("metrics.bbox.AP")
    ]
    assert len(wanted) > 3  # AP, AP50, AP75 and the seed
    for row, whole in zip(rows, every, strict=True):
        assert {key for key in row if key not in COLUMNS} == set(wanted)
        assert all(row[key] == whole[key] for key in wanted)
    (row, *_) = rows_with(records, (), whole_config=True)
    assert json.loads(row["config"]) == records[0][1].config
