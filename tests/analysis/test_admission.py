"""What may enter a mean: one rule for comparison, questions and ``records check``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.admission import BY_SETTING, admit, check
from robust_det.analysis.compare import compare
from robust_det.core.errors import UserError
from robust_det.records import write_record
from robust_det.records.base import Weights, as_json
from robust_det.records.pretrain import ImageSets, PretrainRecord, TrainImages, ValImages
from robust_det.records.store import find_records, load_records
from tests.analysis.conftest import WriteRun
from tests.support.transfer_records import ENVIRONMENT, attack_of, write_transfer

Found = list[tuple[str, str, str]]


def found_in(folder: Path) -> Found:
    """The names of what is left out, with cause and figure."""
    out = check([folder]).left_out
    names = [one.path.parent if one.path.name == "record.json" else one.path for one in out]
    return [(each.name, one.cause, one.figure) for each, one in zip(names, out, strict=True)]


def changed(folder: Path, **fields: Any) -> None:
    path = folder / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture
def pretrain(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the record of a pretraining and returns its folder."""

    def write(name: str, eps: float, seed: int, sha256: str, **fields: Any) -> Path:
        record = PretrainRecord(
            **{
                "name": name,
                "arch": "resnet18",
                "norm": "l2",
                "eps": eps,
                "weights": Weights(f"{name}.pth", sha256),
                "seed": seed,
                "raw_config": as_json({"SEED": seed}),
                "environment": ENVIRONMENT,
                "wall_time_s": 1.0,
                "data": ImageSets(TrainImages(4, 2), ValImages(2)),
                "evaluators": [],
                "metrics": {"clean_top1": 50.0, "train_loss": 1.0},
                "processes": 1,
                **fields,
            }
        )
        write_record(tmp_path / "runs" / name, record)
        return tmp_path / "runs" / name

    return write


def test_seeds_backbones_and_settings_are_all_in(write_run: WriteRun, tmp_path: Path) -> None:
    for eps in (0.0, 1.0):
        for seed in (0, 1):
            write_run(f"e{eps}_{seed}", eps, 38.0 + seed, seed=seed)
    write_run("longer", 0.0, 39.0, iterations=200)
    done = check([tmp_path / "runs"])
    assert (done.records, done.admitted, done.left_out, done.doubts) == (5, 5, [], [])


def test_a_run_without_a_record_is_named_with_what_it_said(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("good", 0.0, 38.0)
    runs = tmp_path / "runs"
    (runs / "good/log.txt").touch()
    for name, file, content in (
        ("cut", "metrics.json", ""),
        ("failed", "output.txt", "12 it\rerror: out of memory; take less\n"),
        ("no_run", "notes.md", ""),
        # of a process that is no more: its number is beyond the largest
        ("killed", ".lock", json.dumps({"pid": 2**22 + 1, "host": "elsewhere"})),
    ):
        (runs / name).mkdir()
        (runs / name / file).write_text(content)
    assert [name for name, _, _ in found_in(runs)] == ["cut", "failed", "killed"]
    whys = [one.why for one in check([runs]).left_out]
    assert whys[0] == "it has no run record: it was interrupted, or has failed"
    assert whys[1] == "it has no run record, and has failed: out of memory; take less"
    # of another machine nobody knows whether it is alive
    assert whys[2] == "it has no run record yet: another process is at work there"


def test_what_cannot_be_read_is_named(write_run: WriteRun, tmp_path: Path) -> None:
    for name in ("good", "newer", "broken", "text"):
        write_run(name, 0.0, 38.0, seed=len(name))
    runs = tmp_path / "runs"
    changed(runs / "newer", schema=3)
    (runs / "broken/record.json").write_text('{"schema": 2, "ki')
    text = (runs / "text/record.json").read_text()
    (runs / "text/record.json").write_text(text.replace("38.0", "NaN"))
    assert found_in(runs) == [(name, "unreadable", "") for name in ("broken", "newer", "text")]
    whys = [one.why for one in check([runs]).left_out]
    assert "Input data was truncated" in whys[0] and "is of schema 3" in whys[1]
    assert check([runs]).admitted == 1


def test_a_copy_counts_once_whatever_its_layout(write_run: WriteRun, tmp_path: Path) -> None:
    first = write_run("a", 0.0, 38.0)
    write_run("b", 1.0, 40.0)
    shutil.copytree(first, tmp_path / "runs/c")
    changed(tmp_path / "runs/c")  # another layout of the same
    assert found_in(tmp_path / "runs") == [("c", "copy", "")]
    changed(tmp_path / "runs/c", wall_time_s=1.0)  # another run of the same seed
    assert found_in(tmp_path / "runs") == [("c", "repeat", "")]


def test_comparison_leaves_a_copy_out_and_says_it(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, other = write_run("a", 0.0, 38.0), write_run("b", 1.0, 40.0)
    copy = tmp_path / "runs/c"
    shutil.copytree(first, copy)
    _, text = compare([first, other, copy], tmp_path / "report")
    rows = [line.split() for line in text.splitlines() if line.startswith("resnet18 ")]
    assert [(row[1], row[-1]) for row in rows] == [("standard", "1"), ("L2", "1")]  # seeds
    assert [one.getMessage() for one in caplog.records] == [
        f"left out {copy}/record.json: it is a copy of {first}/record.json"
    ]


def test_a_detector_that_was_evaluated_twice_counts_once(
    write_run: WriteRun, tmp_path: Path
) -> None:
    detector = {"path": "model_final.pth", "sha256": "d" * 64}
    write_run("a", 0.0, 38.0, detector=detector)
    write_run("b", 0.0, 38.0, detector=detector)
    assert found_in(tmp_path / "runs") == [("b", "repeat", "")]


def test_a_detector_before_its_end_is_no_finished_run(write_run: WriteRun, tmp_path: Path) -> None:
    unfinished = {"path": "m.pth", "sha256": "d" * 64, "iterations": 50, "planned": 100}
    write_run("a", 0.0, 38.0)
    write_run("b", 0.0, 30.0, seed=1, detector=unfinished)
    (left,) = check([tmp_path / "runs"]).left_out
    assert (left.cause, left.why) == ("interrupted", "its detector has 50 of 100 iterations")
    # comparison has a table of its own for it
    records = load_records(find_records([tmp_path / "runs"]).records)
    assert len(admit(records, BY_SETTING).records) == 2


def test_what_has_no_value_is_left_out_figure_by_figure(
    write_run: WriteRun, pretrain: Callable[..., Path], tmp_path: Path
) -> None:
    write_run("a", 0.0, None, segm=30.0)
    pretrain("diverged", 0.0, 0, "a" * 64, metrics={"clean_top1": 1.0, "train_loss": None})
    runs = tmp_path / "runs"
    write_transfer(runs / "t", 1.0, 60.0, attack=attack_of("l2", 1.0), adversarial=None)
    assert found_in(runs) == [
        ("a", "undefined", "bbox.AP"),
        ("diverged", "undefined", "train_loss"),
        ("t", "undefined", "adversarial_top1"),
    ]
    assert check([runs]).admitted == 3


def test_two_seeds_with_one_file_are_one_pretraining(
    pretrain: Callable[..., Path], tmp_path: Path
) -> None:
    pretrain("p0", 1.0, 0, "a" * 64)
    pretrain("p1", 1.0, 1, "a" * 64)
    pretrain("p2", 1.0, 2, "b" * 64)
    (left,) = check([tmp_path / "runs"]).left_out
    assert (left.path.parent.name, left.cause) == ("p1", "one hash")
    assert left.why.endswith("p0/record.json: seeds 0 and 1")


def test_weights_of_two_eps_are_of_none(
    pretrain: Callable[..., Path], write_run: WriteRun, tmp_path: Path
) -> None:
    pretrain("p", 1.0, 0, "a" * 64)
    write_run("d", 0.0, 38.0, sha256="a" * 64)
    write_run("other", 0.0, 38.0)
    runs = tmp_path / "runs"
    assert found_in(runs) == [("d", "contradiction", ""), ("p", "contradiction", "")]
    why = check([runs]).left_out[0].why
    assert "are resnet18 standard here and resnet18 L2 ε 1 in " in why
    with pytest.raises(UserError, match="none of the records may be compared"):
        compare([runs / "p", runs / "d"], tmp_path / "report")


def test_modified_code_stands_beside_modified_code_alone(
    write_run: WriteRun, tmp_path: Path
) -> None:
    folders = [write_run(str(seed), 0.0, 38.0, seed=seed) for seed in range(3)]
    environment = json.loads((folders[0] / "record.json").read_text())["environment"]
    for folder in folders[:2]:
        changed(folder, environment={**environment, "modified": True})
    assert found_in(tmp_path / "runs") == [("0", "modified", ""), ("1", "modified", "")]
    shutil.rmtree(folders[2])
    done = check([tmp_path / "runs"])
    assert (done.admitted, done.left_out) == (2, [])
    assert [one.path.parent.name for one in done.doubts] == ["0", "1"]


def test_another_way_of_evaluation_is_named_with_the_difference(
    write_run: WriteRun, tmp_path: Path
) -> None:
    protocol = {"MODEL.META_ARCHITECTURE": "GeneralizedRCNN", "TEST.DETECTIONS_PER_IMAGE": 100}
    for seed in range(3):
        write_run(str(seed), 0.0, 38.0, seed=seed, protocol=protocol)
    other = {**protocol, "TEST.DETECTIONS_PER_IMAGE": 10}
    write_run("few", 0.0, 30.0, seed=3, protocol=other)
    write_run("as_well", 0.0, 30.0, seed=0, protocol=other)
    (left,) = check([tmp_path / "runs"]).left_out
    assert left.path.parent.name == "few" and left.cause == "evaluation"
    assert left.why.startswith("TEST.DETECTIONS_PER_IMAGE 10, not 100, as in 3 runs such as ")


def test_another_attack_leaves_out_the_figure_under_it(tmp_path: Path) -> None:
    for seed, eps in enumerate((0.25, 0.25, 0.5)):
        attack = attack_of("l2", eps)
        folder = tmp_path / "runs" / str(seed)
        write_transfer(folder, 1.0, 60.0, seed=seed, attack=attack, adversarial=20.0)
    assert found_in(tmp_path / "runs") == [("2", "evaluation", "adversarial_top1")]


def test_a_transfer_counts_once_but_for_its_other_attack(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, eps in (("a", 0.25), ("b", 0.5), ("c", 0.5)):
        attack = attack_of("l2", eps)
        write_transfer(runs / name, 1.0, 60.0, attack=attack, adversarial=20.0, name="one")
    changed(runs / "c", wall_time_s=5.0)
    assert found_in(runs) == [
        ("b", "repeat", "mean_per_class"),
        ("b", "repeat", "top1"),
        ("c", "repeat", ""),
    ]


def test_what_comparison_refuses_is_left_out_by_name(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("good", 0.0, 38.0)
    write_run("empty", 0.0, 38.0, seed=1, metrics={})
    write_run("scratch", 0.0, 38.0, seed=2)
    changed(tmp_path / "runs/scratch", eps=None, norm="")
    left = check([tmp_path / "runs"]).left_out
    assert [(one.path.parent.name, one.cause) for one in left] == [
        ("empty", "lacking"),
        ("scratch", "lacking"),
    ]
    assert left[0].why == "field 'metrics' is empty" and left[1].why.startswith("no eps (")


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run below"):
        check([tmp_path])
    with pytest.raises(UserError, match="gone is not there"):
        check([tmp_path / "gone"])
