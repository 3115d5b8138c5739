"""What is averaged, and what never is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.compare import compare
from robust_det.analysis.transfer.cells import figure_cell
from robust_det.analysis.transfer.grouping import Setting
from robust_det.core.errors import UserError
from robust_det.records.base import Weights
from robust_det.records.transfer import Selection
from tests.support.transfer_records import attack_of

Write = Callable[..., Path]
Settings = Callable[[], list[Setting]]
ATTACK = attack_of("l2", 1.0)


def test_transfer_seeds_are_averaged_before_pretraining_runs(
    write: Write, settings: Settings
) -> None:
    accuracies = {0: [60.0, 61.0, 65.0], 1: [63.0], 2: [58.0, 59.0]}
    for pretraining, values in accuracies.items():
        for seed, value in enumerate(values):
            write(1.0, value, pretraining=pretraining, seed=seed)
    (setting,) = settings()
    (row,) = setting.rows
    means = [np.mean(values) for values in accuracies.values()]
    low, high = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    figure = setting.figure(row)
    assert figure.n == 3 and figure.mean == pytest.approx(np.mean(means))
    assert [figure.low, figure.high] == pytest.approx([low, high])
    assert "different numbers of transfer seeds, 1 to 3" in setting.notes[0]


def test_many_transfer_seeds_of_one_backbone_give_no_interval(
    write: Write, settings: Settings
) -> None:
    for seed in range(5):
        write(1.0, 60.0 + seed, seed=seed)
    (setting,) = settings()
    figure = setting.figure(setting.rows[0])
    assert figure.n == 1 and figure.mean == 62.0 and np.isnan(figure.low)
    assert setting.notes == ["1 pretraining run each: no interval."]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"quirks": ["PAPER.SELECT_ON_TEST"]}, "quirks none vs PAPER.SELECT_ON_TEST"),
        ({"data": {"manifest": "ab" * 32}}, "data: manifest dtd000000000 vs abababababab"),
        ({"data": {"test": 90}}, "data: test 100 vs 90"),
        ({"data": {"skipped": 3}}, "data: skipped 0 vs 3"),
        ({"data": {"headline": "mean_per_class"}}, "data: headline top1 vs mean_per_class"),
        ({"config": {"TRANSFER": {"VALIDATION": 0.3}}}, "TRANSFER.VALIDATION absent vs 0.3"),
        ({"config": {"DATA": {"IMAGE_SIZE": 32}}}, "DATA.IMAGE_SIZE 64 vs 32"),
    ],
)
def test_other_protocols_are_settings_of_their_own_and_told(
    write: Write, settings: Settings, fields: dict[str, Any], said: str
) -> None:
    write(1.0, 60.0)
    write(1.0, 70.0, pretraining=1, **fields)
    first, second = settings()
    assert [first.figure(one).mean for one in first.rows] == [60.0]
    assert [one.name for one in (first, second)] == ["T1", "T2"]
    told = next(note for note in second.notes if note.startswith("Not averaged with T1"))
    assert said in told


@pytest.mark.parametrize(
    "fields",
    [
        {"set": "cars"},
        {"mode": "full-network"},
        {"head": "ridge"},
        {"data": {"downscale": 32}},
        {"data": {"subset": 10.0, "train": 8, "val": 2}},
    ],
)
def test_sets_modes_heads_sizes_and_subsets_are_settings(
    write: Write, settings: Settings, fields: dict[str, Any]
) -> None:
    write(1.0, 60.0)
    write(1.0, 70.0, **fields)
    first, second = settings()
    assert first.heading != second.heading
    assert not any(note.startswith("Not averaged") for note in second.notes)


def test_places_devices_and_the_attack_of_the_evaluation_do_not_tell_runs_apart(
    write: Write, settings: Settings
) -> None:
    write(0.0, 60.0, config={"DATA": {"ROOT": "a"}, "DEVICE": "cpu", "EVAL": {"EPS": 0.0}})
    write(1.0, 70.0, config={"DATA": {"ROOT": "b"}, "DEVICE": "cuda", "EVAL": {"EPS": 1.0}})
    (setting,) = settings()
    assert [row.eps for row in setting.rows] == [0.0, 1.0]


def test_a_set_of_ones_own_is_called_what_its_folder_is(write: Write, settings: Settings) -> None:
    write(1.0, 60.0, config={"DATA": {"ROOT": "datasets/rocks/"}}, data={"set": "folder"})
    (setting,) = settings()
    assert setting.heading.startswith("rocks ")


def test_the_same_run_twice_counts_once_and_is_told(write: Write, settings: Settings) -> None:
    first, again = write(1.0, 60.0), write(1.0, 60.0)
    other = write(1.0, 64.0)
    (setting,) = settings()
    assert setting.figure(setting.rows[0]).mean == 60.0 and len(setting.runs) == 1
    assert setting.notes[:2] == [
        f"{again}/record.json has weights, seed and config of {first}/record.json, and counts"
        " once.",
        f"{other}/record.json has weights, seed and config of {first}/record.json, and counts"
        " once; its figures differ, and those of the latter are taken.",
    ]


def test_one_run_under_two_attacks_counts_once_clean_and_under_each(
    write: Write, settings: Settings
) -> None:
    weak = attack_of("l2", 0.5)
    write(1.0, 60.0, attack=ATTACK, adversarial=20.0)
    write(1.0, 60.0, attack=weak, adversarial=40.0)
    (setting,) = settings()
    (row,) = setting.rows
    assert len(setting.runs) == 1 and row.attacks == [ATTACK, weak]
    assert row.figure_under(ATTACK, "adversarial_top1").mean == 20.0
    assert row.figure_under(weak, "adversarial_top1").mean == 40.0
    assert "counts once but for its other attack" in setting.notes[0]


def test_an_unknown_eps_is_a_row_of_each_backbone(write: Write, settings: Settings) -> None:
    write(None, 50.0)
    write(None, 52.0, pretraining=1)
    write(1.0, 60.0)
    (setting,) = settings()
    assert [row.eps for row in setting.rows] == [1.0, None, None]
    labels = {row.eps_label for row in setting.rows[1:]}
    assert len(labels) == 2 and all(label.startswith("ε unknown (") for label in labels)


def test_networks_with_the_same_figure_are_told(write: Write, settings: Settings) -> None:
    write(1.0, 60.0)
    write(1.0, 60.0, pretraining=1)
    (setting,) = settings()
    assert "resnet18 L2 ε 1 have the same accuracy to the last digit" in setting.notes[0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"metrics": {"top1": 3.0}}, "field 'metrics.mean_per_class' is missing"),
        ({"weights": {"path": "b.pth", "sha256": ""}}, "field 'weights.sha256' is empty"),
        ({"evaluators": [{}, {}]}, "field 'evaluators' has 2 attacks"),
        ({"data": {"set": "imagenet"}}, "field 'data.set' is 'imagenet'"),
        ({"data": {"headline": "f1"}}, "field 'data.headline' is 'f1'"),
    ],
)
def test_a_record_that_cannot_be_placed_is_refused(
    write: Write, tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    path = write(1.0, 60.0, attack=ATTACK, adversarial=2.0) / "record.json"
    record = json.loads(path.read_text())
    for key, value in fields.items():
        if key == "evaluators":
            record[key] *= 2
        else:
            record[key] = {**record[key], **value} if key == "data" else value
    path.write_text(json.dumps(record))
    with pytest.raises(UserError) as caught:
        compare([path], tmp_path / "report")
    assert str(caught.value).startswith(f"run record {path}: ") and said in str(caught.value)
    assert not (tmp_path / "report").exists()


def test_how_settings_were_chosen_is_told(write: Write, settings: Settings) -> None:
    edge = Selection("test", {"strength": 1e5}, remarks=["the strength is the largest tried"])
    write(1.0, 60.0, selection=edge)
    write(1.0, 61.0, seed=1)
    (setting,) = settings()
    assert "Settings were chosen on the test images" in setting.notes[1]
    assert setting.notes[2] == (
        "Remarks on the choice of settings stand by 1 run of 2; most often, 1 time: the strength is"
        " the largest tried"
    )


def test_an_interval_is_shown_within_what_an_accuracy_can_be(
    write: Write, settings: Settings
) -> None:
    write(1.0, 90.0)
    write(1.0, 99.0, pretraining=1)
    (setting,) = settings()
    figure = setting.figure(setting.rows[0])
    half = stats.t.ppf(0.975, 1) * np.std([90, 99], ddof=1) / np.sqrt(2)
    assert figure.high == pytest.approx(94.5 + half)
    assert figure_cell(figure) == f"94.5 [{94.5 - half:.1f}, 100.0]"


def test_a_conversion_and_its_source_are_one_pretraining(write: Write, settings: Settings) -> None:
    source = "a" * 64
    write(1.0, 60.0, seed=0, weights=Weights("source.pth", source))
    write(1.0, 62.0, seed=1, weights=Weights("converted.pth", "b" * 64, source))
    write(1.0, 50.0, seed=0, pretraining=1)
    (setting,) = settings()
    figure = setting.figure(setting.rows[0])
    assert figure.n == 2 and figure.mean == pytest.approx((61 + 50) / 2)


def test_a_texture_trained_backbone_is_not_averaged_with_standard_ones(
    write: Write, settings: Settings, tmp_path: Path
) -> None:
    for run, value in enumerate((60.0, 62.0)):
        write(0.0, value, pretraining=run, arch="resnet50")
    weights = Weights("robust://resnet50_stylized", "c8e5653e" + "0" * 56)
    write(0.0, 40.0, arch="resnet50", weights=weights)
    (setting,) = settings()
    found = [(row.label, setting.figure(row).mean) for row in setting.rows]
    assert found == [("resnet50 standard", 61.0), ("resnet50_stylized texture-trained", 40.0)]
    assert setting.notes[0].startswith("resnet50_stylized was trained on Stylized-ImageNet")
