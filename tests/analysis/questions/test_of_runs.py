"""The questions on records whose truth is known."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.questions import QUESTIONS
from robust_det.analysis.questions.answer import Answer
from robust_det.analysis.questions.evidence import evidence_of, read_evidence
from robust_det.core.errors import UserError
from robust_det.records import write_record
from robust_det.records.base import File, Weights, as_json
from robust_det.records.pretrain import ImageSets, PretrainRecord, TrainImages, ValImages
from robust_det.records.transfer import Selection, Tried
from tests.support.transfer_records import ENVIRONMENT, write_transfer

Write = Callable[..., Path]
RESULTS = Path(__file__).parents[3] / "docs/results"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return :func:`.write_transfer` in a folder of its own each time."""
    made = list[Path]()

    def write(*arguments: Any, **fields: Any) -> Path:
        made.append(write_transfer(tmp_path / f"run{len(made):02}", *arguments, **fields))
        return made[-1]

    return write


def write_pretraining(folder: Path, transfer: Path, seed: int, top1: float, **fields: Any) -> None:
    """Write the record of the pretraining of a transfer's backbone."""
    from robust_det.records import read_record

    run = read_record(transfer)
    folder.mkdir()
    record = PretrainRecord(
        **{
            "name": folder.name,
            "arch": run.arch,
            "norm": run.norm,
            "eps": run.eps or 0.0,
            "weights": Weights(run.weights.path, run.weights.sha256),
            "seed": seed,
            "raw_config": as_json({}),
            "environment": ENVIRONMENT,
            "wall_time_s": 1.0,
            "data": ImageSets(TrainImages(100, 10), ValImages(50)),
            "evaluators": [],
            "metrics": {"clean_top1": top1},
            "processes": 1,
            **fields,
        }
    )
    write_record(folder, record)


def answered(name: str, *paths: Path) -> Answer:
    return QUESTIONS[name].of_runs(read_evidence(paths))


def rows_of(answer: Answer, number: int = 0) -> list[Mapping[str, Any]]:
    return list(csv.DictReader(answer.sheets[number].csv.splitlines()))


LOW, HIGH = [60.1, 64.0, 62.2], [61.0, 65.2, 63.0]


def test_seeds_are_paired_where_records_of_pretraining_say_so(write: Write, tmp_path: Path) -> None:
    for eps, values in ((0.0, LOW), (1.0, HIGH)):
        for seed in (2, 0, 1):
            run = write(eps, values[seed], pretraining=seed)
            write_pretraining(tmp_path / f"p{eps}{seed}", run, seed, 50.0)
    fixed, chosen = rows_of(answered("fixed-feature", tmp_path))
    theirs = stats.ttest_rel(HIGH, LOW)
    interval = theirs.confidence_interval()
    assert fixed["paired"] == "1" and float(fixed["p"]) == pytest.approx(theirs.pvalue)
    found = [float(fixed["low"]), float(fixed["high"])]
    assert found == pytest.approx([interval.low, interval.high])
    # one robust eps can only be chosen: by Nadeau & Bengio its variance is (1/3 + 1/2) s^2
    gaps = np.subtract(HIGH, LOW)
    half = stats.t.ppf(0.975, 2) * np.std(gaps, ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    assert float(chosen["high"]) - float(chosen["difference"]) == pytest.approx(half)


def test_seeds_that_started_elsewhere_are_no_pairs(write: Write, tmp_path: Path) -> None:
    for eps, values in ((0.0, LOW), (1.0, HIGH)):
        for seed in range(3):
            run = write(eps, values[seed], pretraining=seed)
            start = File("start.pth", f"{eps}{seed}" * 8)
            write_pretraining(tmp_path / f"p{eps}{seed}", run, seed, 50.0, started_from=start)
    fixed, _ = rows_of(answered("fixed-feature", tmp_path))
    theirs = stats.ttest_ind(HIGH, LOW, equal_var=False)
    assert fixed["paired"] == "0" and float(fixed["p"]) == pytest.approx(theirs.pvalue)


def test_validation_of_the_other_runs_chooses(write: Write, tmp_path: Path) -> None:
    def selection(accuracy: float) -> Selection:
        return Selection("validation", {"C": 1.0}, [Tried({"C": 1.0}, accuracy)])

    # validation says eps 1, the test images eps 3
    for seed, luck in enumerate((0.0, 0.4, 0.9)):
        write(0.0, 60.0 + luck, pretraining=seed, selection=selection(50.0))
        write(1.0, 61.0 - luck, pretraining=seed, selection=selection(58.0))
        write(3.0, 66.0 + luck, pretraining=seed, selection=selection(55.0))
    answer = answered("fixed-feature", tmp_path)
    (chosen,) = [row for row in rows_of(answer) if row["choice"]]
    assert chosen["choice"] == "nested, by validation" and chosen["eps"] == "L2 ε 1"
    assert float(chosen["difference"]) == pytest.approx(1.0 - 2 * (0.4 + 0.9) / 3)


def test_one_pretraining_run_is_said_to_be_one(write: Write, tmp_path: Path) -> None:
    for seed in range(3):
        write(0.0, 60.0 + seed, seed=seed)
        write(3.0, 70.0 + 2 * seed, seed=seed)
    answer = answered("fixed-feature", tmp_path)
    assert "1 an ε" in answer.basis and "there is no interval" in answer.basis
    assert answer.findings[0].startswith("Not known")
    theirs = stats.ttest_ind([70, 72, 74], [60, 61, 62], equal_var=False).confidence_interval()
    said = f"[+{theirs.low:.1f}, +{theirs.high:.1f}]"
    assert (
        answer.findings[1].startswith("Of the backbones at hand alone")
        and said in (answer.findings[1])
    )
    (more,) = answer.missing
    assert any("robust-det pretrain" in line and "SEED 1" in line for line in more.commands)
    assert any("SEED {0,1,2}" in line for line in more.commands)


def test_the_best_eps_is_known_where_it_is_far_above(write: Write, tmp_path: Path) -> None:
    for seed, luck in enumerate((0.0, 0.5, 0.3)):
        for set, best in (("dtd", 1.0), ("flowers", 3.0)):
            for eps in (0.0, 1.0, 3.0):
                top1 = 60 + luck + eps / 10 + (10 if eps == best else 0)
                write(eps, top1, pretraining=seed, set=set)
    answer = answered("eps", tmp_path)
    assert answer.findings[0].startswith("Yes, on this data: the best ε differs")
    found = {(r["subject"], r["eps"]) for r in rows_of(answer) if r["may_be_best"] == "1"}
    assert found == {("DTD", "1.0"), ("Flowers-102", "3.0")}


def test_shrinking_is_measured_on_the_same_backbones(write: Write, tmp_path: Path) -> None:
    small = {"data": {"downscale": 32}, "config": {"TRANSFER": {"DOWNSCALE": 32}}}
    gains = [8.0, 9.0, 8.4]
    for seed, gain in enumerate(gains):
        for eps in (0.0, 3.0):
            write(eps, 70.0 + seed + eps, pretraining=seed)
            write(eps, 40.0 + 3 * seed + (gain if eps else 0), pretraining=seed, **small)
    answer = answered("granularity", tmp_path)
    assert answer.findings[0].startswith("Yes, on this data: on shrunk images")
    (sheet,) = [one for one in answer.sheets if one.name == "granularity_shrinking"]
    (row,) = csv.DictReader(sheet.csv.splitlines())
    # each run less itself: -30, -28, -26 at eps 0, and these with the gain less 3 at eps 3
    standard = np.array([-30.0, -28.0, -26.0])
    theirs = stats.ttest_ind(standard + np.array(gains) - 3, standard, equal_var=False)
    assert float(row["difference"]) == pytest.approx(np.mean(gains) - 3)
    assert float(row["p"]) == pytest.approx(theirs.pvalue)


def test_gains_are_ranked_by_classes(write: Write, tmp_path: Path) -> None:
    for set, classes, gain in (
        ("cifar10", 10, 9.0),
        ("pets", 37, 6.0),
        ("flowers", 102, 7.0),
        ("food", 101, 3.0),
        ("sun397", 397, -2.0),
    ):
        write(0.0, 60.0, set=set, data={"classes": classes})
        write(3.0, 60.0 + gain, set=set, data={"classes": classes})
    answer = answered("granularity", tmp_path)
    rho = stats.spearmanr([10, 37, 102, 101, 397], [9, 6, 7, 3, -2])
    assert f"{rho.statistic:+.2f} at L2 ε 3 (p {rho.pvalue:.3f})" in answer.findings[1]


def test_wider_networks_are_compared_at_the_same_eps(write: Write, tmp_path: Path) -> None:
    wide = [64.0, 66.1, 65.0]
    for seed, luck in enumerate((0.0, 0.4, 0.1)):
        write(1.0, 60.0 + luck, pretraining=seed, arch="resnet50")
        write(1.0, wide[seed], pretraining=seed, arch="wide_resnet50_2")
        write(3.0, 60.0 + luck, pretraining=seed, arch="resnet50")
    (row,) = rows_of(answered("width", tmp_path))
    theirs = stats.ttest_ind(wide, [60.0, 60.4, 60.1], equal_var=False)
    assert row["eps"] == "1.0" and float(row["p"]) == pytest.approx(theirs.pvalue)


def test_texture_trained_backbones_are_compared_and_are_no_standard_ones(
    write: Write, tmp_path: Path
) -> None:
    for seed, luck in enumerate((0.0, 0.6)):
        write(0.0, 62.0 + luck, pretraining=seed, arch="resnet50")
        write(3.0, 66.0 + luck, pretraining=seed, arch="resnet50")
    weights = Weights("robust://resnet50_stylized", "c8e5653e" + "0" * 56)
    write(0.0, 50.0, arch="resnet50", weights=weights)
    rows = rows_of(answered("texture", tmp_path))
    assert [(row["eps"], row["textured_mean"]) for row in rows] == [
        ("0.0", "50.0"),
        ("3.0", "50.0"),
    ]
    assert [float(row["difference"]) for row in rows] == pytest.approx([12.3, 16.3])
    fixed = rows_of(answered("fixed-feature", tmp_path))[0]
    assert float(fixed["standard_mean"]) == pytest.approx(62.3)


def test_texture_without_such_backbones_says_how_they_are_made(
    write: Write, tmp_path: Path
) -> None:
    write(0.0, 60.0, arch="resnet50")
    with pytest.raises(UserError, match=r"texture-trained backbones .* are missing.*resnet50_styl"):
        answered("texture", tmp_path)


def test_a_fit_of_transfer_on_pretraining(write: Write, tmp_path: Path) -> None:
    xs, ys = [40.0, 44.0, 47.0, 50.0], [60.0, 63.5, 63.0, 67.0]
    for seed, (x, y) in enumerate(zip(xs, ys, strict=True)):
        run = write(1.0, y, pretraining=seed)
        write_pretraining(tmp_path / f"p{seed}", run, seed, x)
    lonely = write(1.0, 99.0, pretraining=9)  # of which no accuracy is known
    answer = answered("accuracy-vs-transfer", tmp_path)
    fit = stats.linregress(xs, ys)
    row = rows_of(answer)[0]
    assert float(row["r2"]) == pytest.approx(fit.rvalue**2)
    half = stats.t.ppf(0.975, 2) * fit.stderr
    assert float(row["low"]) == pytest.approx(fit.slope - half)
    assert lonely.exists() and "1.0-9.pth" in answer.missing[0].commands[0]


def test_detectors_enter_with_their_box_ap() -> None:
    answer = answered("full-network", RESULTS / "detection/eps/runs")
    fixed = [row for row in rows_of(answer) if not row["choice"]]
    assert {row["subject"] for row in fixed} == {"Box AP on bccd_test"}
    with (RESULTS / "detection/eps/ap.csv").open() as file:
        kept = [row for row in csv.DictReader(file) if row["metric"] == "AP" and row["delta"]]
    assert [float(row["difference"]) for row in fixed] == pytest.approx(
        [float(row["delta"]) for row in kept]
    )
    assert answer.findings[0].startswith("Not known")  # one pretraining run of each eps


def test_settings_of_one_test_set_are_told_apart() -> None:
    folders = (RESULTS / "detection/eps/runs", RESULTS / "first-run/runs")
    answer = answered("full-network", *folders, RESULTS / "transfer/bccd/runs")
    told = [line for line in answer.left_out if line.startswith("Setting ")]
    assert len(told) == 2 and "SOLVER.MAX_ITER 600 vs 200" in told[1]
    # a note on the rows of comparison, where several have no baseline; here they are one arm
    assert not any("none of them is the baseline" in line for line in answer.left_out)
    lines = [line for one in answer.missing for line in one.commands]
    assert len(lines) == len(set(lines))
    # each is made as the runs of its own setting were
    of_eps, of_first, _ = (line for line in lines if "sweep" in line and "bccd" in line)
    assert "SEED {0,1,2}" in of_eps and "SEED {0,1}" in of_first


def test_sets_that_are_not_shrunk_come_with_the_commands(write: Write) -> None:
    for eps in (0.0, 3.0):
        path = write(eps, 60.0)
    answer = answered("granularity", path.parent)
    (missing,) = [one for one in answer.missing if one.words.startswith("No set is there both")]
    (line,) = missing.commands
    assert "TRANSFER.DOWNSCALE 32" in line and "{0.0-0.pth,3.0-0.pth} SEED 0" in line


def test_many_lines_are_one_sentence(write: Write, tmp_path: Path) -> None:
    for seed, x in enumerate([40.0, 44.0, 47.0, 50.0]):
        for set, y in (("dtd", 2 * x), ("pets", 10.0 + (-1) ** seed)):
            run = write(1.0, y, pretraining=seed, set=set)
        write_pretraining(tmp_path / f"p{seed}", run, seed, x)
    (found,) = answered("accuracy-vs-transfer", tmp_path).findings
    assert found.startswith("Yes, on 1 of 2 lines: transfer goes with top-1 in pretraining, 50 ")
    assert "at a fixed ε, 4 points a line" in found and "slope +2.00 [+2.00, +2.00]" in found
    assert "DTD" in found and "Pets" not in found


def test_where_all_runs_are_left_out_it_is_said() -> None:
    with pytest.raises(UserError, match="no run may enter a mean; robust-det records check says"):
        evidence_of([])
