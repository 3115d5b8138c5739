"""What is comparable, what is one row, and what is the baseline."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from robust_det.analysis.grouping import (
    Setting,
    _letter,
    format_eps,
    group_runs,
    setting_differences,
)
from robust_det.analysis.runs import load_runs
from robust_det.core.errors import UserError

WriteRun = Callable[..., Path]


def settings_of(*folders: Path) -> list[Setting]:
    return group_runs(load_runs(folders)[0])


def test_seeds_are_averaged_and_compared_with_the_baseline(write_run: WriteRun) -> None:
    (setting,) = settings_of(
        write_run("r1", 1.0, 41.0, seed=1),
        write_run("r0", 1.0, 40.0, seed=0),
        write_run("s0", 0.0, 38.0, seed=0),
        write_run("s1", 0.0, 39.0, seed=1),
    )
    standard, robust = setting.rows
    assert [run.seed for run in robust.runs] == [0, 1]
    assert standard.baseline is None
    assert robust.baseline is standard
    assert robust.summary("bbox").mean == pytest.approx(40.5)
    assert robust.summary("bbox").std == pytest.approx(math.sqrt(0.5))
    delta = robust.delta("bbox")
    assert delta is not None
    assert delta.mean == pytest.approx(2.0)
    assert delta.std == pytest.approx(1.0)  # sqrt(0.5 + 0.5)
    assert setting.best("bbox") is robust
    assert setting.notes == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"iterations": 200}, "SOLVER.MAX_ITER"),
        ({"test": "other_val"}, "test data: name"),
        ({"protocol": {"MODEL.META_ARCHITECTURE": "RetinaNet"}}, "MODEL.META_ARCHITECTURE"),
        ({"evaluator": {"name": "VOC", "library": "pycocotools 2.0.11"}}, "evaluator"),
        (
            {"evaluator": {"name": "COCOEvaluator", "library": "faster-coco-eval 1.8.0"}},
            "evaluator library",
        ),
        (
            {
                "data": {
                    "train": [{"name": "shapes_train", "images": 160, "sha256": "cc" * 32}],
                    "test": [{"name": "shapes_val", "images": 40, "sha256": "bb" * 32}],
                }
            },
            "train data: sha256",
        ),
    ],
)
def test_other_data_schedule_or_evaluator_is_another_setting(
    write_run: WriteRun, change: dict, key: str
) -> None:
    first, second = settings_of(
        write_run("standard", 0.0, 38.0), write_run("robust", 1.0, 40.0, **change)
    )
    assert (first.letter, second.letter) == ("A", "B")
    assert [found[0] for found in setting_differences(first, second)] == [key]
    assert second.rows[0].baseline is None
    assert "no baseline" in second.notes[0]
    assert second.rows[0].delta("bbox") is None


def test_differences_show_both_values_and_absent_keys(write_run: WriteRun) -> None:
    one, two = settings_of(
        write_run("a", 0.0, 1.0), write_run("b", 0.0, 1.0, schedule={"SOLVER.MAX_ITER": 5})
    )
    assert setting_differences(one, two) == [
        ("SOLVER.BASE_LR", "0.02", "absent"),
        ("SOLVER.MAX_ITER", "100", "5"),
    ]


def test_one_standard_run_is_the_baseline_of_both_norms(write_run: WriteRun) -> None:
    (setting,) = settings_of(
        write_run("standard", 0.0, 38.0, norm="linf"),
        write_run("l2", 1.0, 40.0),
        write_run("linf", 4 / 255, 37.0, norm="linf"),
        write_run("other", 1.0, 50.0, arch="resnet50"),
    )
    deltas = {row.label: row.delta("bbox") for row in setting.rows}
    assert deltas["resnet18 L2 ε 1"].mean == pytest.approx(2.0)  # type: ignore[union-attr]
    assert deltas["resnet18 L∞ ε 4/255"].mean == pytest.approx(-1.0)  # type: ignore[union-attr]
    assert deltas["resnet18 standard"] is None
    assert deltas["resnet50 L2 ε 1"] is None  # a baseline of another architecture is none
    assert any("no eps-0 run of resnet50" in note for note in setting.notes)


def test_norm_does_not_split_the_standard_row(write_run: WriteRun) -> None:
    (setting,) = settings_of(
        write_run("a", 0.0, 38.0, seed=0, norm="l2", sha256="same"),
        write_run("b", 0.0, 40.0, seed=1, norm="linf", sha256="same"),
    )
    (row,) = setting.rows
    assert row.summary("bbox").mean == pytest.approx(39.0)


def test_two_standard_backbones_are_no_baseline(write_run: WriteRun) -> None:
    (setting,) = settings_of(
        write_run("a", 0.0, 38.0, sha256="1" * 64),
        write_run("b", 0.0, 39.0, sha256="2" * 64),
        write_run("c", 1.0, 40.0),
    )
    assert [row.label for row in setting.rows] == [
        "resnet18 standard (11111111)",
        "resnet18 standard (22222222)",
        "resnet18 L2 ε 1",
    ]
    assert setting.rows[2].delta("bbox") is None
    assert "2 eps-0 backbones of resnet18" in setting.notes[0]


def test_the_same_seed_twice_is_an_error_that_names_both(write_run: WriteRun) -> None:
    a, b = write_run("a", 0.0, 38.0), write_run("b", 0.0, 38.5)
    with pytest.raises(UserError, match=r"a/record\.json and .*b/record\.json .* seed 0"):
        settings_of(a, b)


def test_the_same_path_twice_counts_once(write_run: WriteRun) -> None:
    folder = write_run("a", 0.0, 38.0)
    (setting,) = settings_of(folder, folder / "record.json", folder)
    assert setting.rows[0].summary("bbox").n == 1


def test_one_seed_is_said(write_run: WriteRun) -> None:
    (setting,) = settings_of(write_run("a", 0.0, 38.0), write_run("b", 1.0, 39.0))
    assert "no measure of the spread" in setting.notes[0]
    (mixed,) = settings_of(
        write_run("c", 0.0, 38.0, seed=4), write_run("d", 0.0, 38.0, seed=5), write_run("e", 1.0, 1)
    )
    assert mixed.notes == ["One seed only, so no spread is known: resnet18 L2 ε 1."]


def test_undefined_ap_is_neither_zero_nor_best(write_run: WriteRun) -> None:
    (setting,) = settings_of(write_run("a", 0.0, None), write_run("b", 1.0, math.nan))
    assert setting.rows[0].summary("bbox").n == 0
    assert setting.best("bbox") is None


def test_order_and_letters() -> None:
    assert [_letter(n) for n in (0, 25, 26, 52)] == ["A", "Z", "AA", "BA"]
    assert format_eps("L∞", 4 / 255) == "4/255"
    assert format_eps("L∞", 0.5 / 255) == "0.5/255"
    assert format_eps("L∞", 0.01) == "0.01"
    assert format_eps("L2", 4 / 255) == "0.0156863"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"eps": -1}, "field 'eps' is -1.0, not a number from 0 up"),
        ({"eps": "1"}, "field 'eps' is a str, not a int or float"),
        ({"eps": 1, "norm": None}, "field 'norm' is missing, with eps 1"),
        ({"seed": True}, "field 'seed' is a bool"),
        ({"weights": {"path": "x"}}, "field 'weights.sha256' is missing"),
        ({"metrics": {}}, "field 'metrics' is empty"),
        ({"metrics": {"bbox": {"AP50": 1.0}}}, "field 'metrics.bbox.AP' is missing"),
        ({"metrics": {"bbox": {"AP": "38"}}}, "field 'metrics.bbox.AP' is '38', not a number"),
        ({"metrics": {"bbox": 38.0}}, "field 'metrics.bbox' is a float, not a dict"),
        ({"data": {"train": [], "test": []}}, "field 'data.test' is empty"),
        ({"data": {"train": [3], "test": []}}, "field 'data.train' needs entries with a name"),
        ({"evaluator": None}, "field 'evaluator.name' is missing"),
        ({"pictures": [{"image": "a"}]}, "field 'pictures' needs entries with image, ground"),
        ({"kind": "transfer"}, "field 'kind' is \"transfer\""),
    ],
)
def test_malformed_records_name_path_and_field(
    write_run: WriteRun, fields: dict, message: str
) -> None:
    folder = write_run("bad", 0.0, 38.0)
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(UserError) as caught:
        load_runs([folder])
    text = str(caught.value)
    assert text.startswith(f"run record {path}: ")
    assert message in text
    assert "\n" not in text


def test_backbones_alone_are_not_enough(write_run: WriteRun) -> None:
    folder = write_run("pre", 1.0, None, kind="pretrain", metrics={"clean_top1": 40.0, "x": None})
    with pytest.raises(UserError, match="no detection run"):
        load_runs([folder])
    runs, backbones = load_runs([folder, write_run("det", 1.0, 38.0)])
    assert len(runs) == 1
    assert backbones[0].metrics == {"clean_top1": 40.0}
