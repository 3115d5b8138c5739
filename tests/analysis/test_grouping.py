"""What is comparable, what is one row, and what is the baseline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.grouping import (
    Setting,
    _letter,
    group_runs,
    setting_differences,
)
from robust_det.analysis.runs import runs_of
from robust_det.core.epsilon import format_eps
from robust_det.core.errors import UserError
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import find_records, load_records

WriteRun = Callable[..., Path]
COCO = {"name": "COCOEvaluator", "library": "pycocotools", "version": "2.0.11"}
# as the fixture has them
TRAIN = {"name": "shapes_train", "images": 160, "annotations": 9, "classes": 3, "sha256": ""}
TEST = {
    "name": "shapes_val",
    "images": 40,
    "annotations": 5,
    "classes": 3,
    "sha256": "bb" * 32,
}


def settings_of(*folders: Path) -> list[Setting]:
    return group_runs(runs_of(load_records(find_records(folders).records, DetectionRecord)))


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
    assert (robust.summary("bbox").low, robust.summary("bbox").high) == (40.0, 41.0)
    delta = robust.delta("bbox")
    assert delta is not None
    assert delta.mean == pytest.approx(2.0)
    assert (delta.low, delta.high) == (1.0, 3.0)  # 40 - 39 and 41 - 38
    assert setting.best("bbox") is robust
    assert setting.notes == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"iterations": 200}, "SOLVER.MAX_ITER"),
        ({"test": "other_val"}, "test data: name"),
        ({"protocol": {"MODEL.META_ARCHITECTURE": "RetinaNet"}}, "MODEL.META_ARCHITECTURE"),
        ({"evaluators": [{**COCO, "name": "VOC"}]}, "evaluator"),
        (
            {"evaluators": [{**COCO, "library": "faster-coco-eval", "version": "1.8.0"}]},
            "evaluator library",
        ),
        ({"evaluators": [{**COCO, "version": "2.0.8"}]}, "evaluator library"),
        (
            {
                "data": {
                    "train": [{**TRAIN, "sha256": "cc" * 32}],
                    "test": [TEST],
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
    assert mixed.notes == [
        "Means are over different numbers of seeds: resnet18 standard 2, resnet18 L2 ε 1 1."
        " Where it is one, no spread is known."
    ]


def test_undefined_ap_is_neither_zero_nor_best(write_run: WriteRun) -> None:
    (setting,) = settings_of(write_run("a", 0.0, None), write_run("b", 1.0, None))
    assert setting.rows[0].summary("bbox").n == 0
    assert setting.best("bbox") is None


def test_order_and_letters() -> None:
    assert [_letter(n) for n in (0, 25, 26, 52)] == ["A", "Z", "AA", "BA"]
    assert format_eps("linf", 4 / 255) == "4/255"
    assert format_eps("linf", 0.5 / 255) == "0.5/255"
    assert format_eps("linf", 0.01) == "0.01"
    assert format_eps("l2", 4 / 255) == "0.0156863"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"eps": -1}, "Expected `float` >= 0.0 - at `$.eps`"),
        ({"eps": "1"}, "Expected `float | null`, got `str` - at `$.eps`"),
        ({"eps": 1, "norm": None}, "Expected `str`, got `null` - at `$.norm`"),
        ({"seed": True}, "Expected `int`, got `bool` - at `$.seed`"),
        ({"weights": {"path": "x"}}, "missing required field `sha256` - at `$.weights`"),
        ({"metrics": {}}, "field 'metrics' is empty"),
        ({"metrics": {"bbox": {"AP50": 1.0}}}, "field 'metrics.bbox.AP' is missing"),
        ({"metrics": {"bbox": {"AP": "38"}}}, "got `str` - at `$.metrics[...][...]`"),
        ({"metrics": {"bbox": 38.0}}, "Expected `object`, got `float` - at `$.metrics[...]`"),
        ({"data": {"train": [], "test": []}}, "field 'data.test' is empty"),
        ({"data": {"train": [3], "test": []}}, "got `int` - at `$.data.train[0]`"),
        ({"evaluators": None}, "Expected `array`, got `null` - at `$.evaluators`"),
        ({"pictures": [{"image": "a"}]}, "field `ground_truth` - at `$.pictures[0]`"),
        ({"kind": "segmenter"}, "field 'kind' is \"segmenter\""),
        ({"config": 3}, "field 'config' is not an object"),
        ({"more": 1}, "Object contains unknown field `more`"),
    ],
)
def test_malformed_records_name_path_and_field(
    write_run: WriteRun, tmp_path: Path, fields: dict, message: str
) -> None:
    folder = write_run("bad", 0.0, 38.0)
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(UserError) as caught:
        compare([folder], tmp_path / "report")
    text = str(caught.value)
    assert text.startswith(f"run record {path}: ")
    assert message in text
    assert "\n" not in text
    assert not (tmp_path / "report").exists()


def test_runs_are_found_below_a_folder(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = write_run("a", 0.0, 38.0), write_run("b", 1.0, 40.0)
    # what lies in a run's folder is not the run
    (a / "eval").mkdir()
    (a / "eval/record.json").write_text((a / "record.json").read_text())
    (tmp_path / "runs/failed").mkdir()
    _, text = compare([tmp_path / "runs"], tmp_path / "below")
    assert text == compare([a, b], tmp_path / "named")[1]
    assert not caplog.records


def test_a_texture_trained_backbone_is_no_standard_one(write_run: WriteRun, tmp_path: Path) -> None:
    from robust_det.zoo.published import STYLIZED

    model = STYLIZED["resnet50_stylized"]
    sha256 = model.sha256_prefix + "0" * 56
    runs = [
        write_run("s", 0.0, 38.0, arch="resnet50"),
        write_run("r", 1.0, 41.0, arch="resnet50"),
        write_run("t", 0.0, 30.0, arch="resnet50", sha256=sha256),
    ]
    (setting,) = settings_of(*runs)
    labels = [row.label for row in setting.rows]
    assert labels == ["resnet50 standard", "resnet50 L2 ε 1", f"{model.name} texture-trained"]
    # else there were two baselines, and so none
    assert setting.rows[1].baseline is setting.rows[0] and setting.rows[2].baseline is None
    assert any(note.startswith(f"{model.name} was trained on") for note in setting.notes)
    _, text = compare(runs, tmp_path / "report")
    assert f"Box AP on shapes_val, {model.name}: 30.0; texture-trained" in text
    (without,) = settings_of(runs[1], runs[2])
    assert [row.baseline for row in without.rows] == [None, None]
