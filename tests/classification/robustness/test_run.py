"""The command from a file and images to a record, stopped and gone on with, and refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from robust_det.attacks.budgets import BUDGETS
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.classification.robustness import loop
from robust_det.commands.jobs import evaluate as command
from robust_det.core.files import sha256_file
from robust_det.records import read_record, write_record
from robust_det.records.robustness import RobustnessRecord

EPS = ("--norm", "l2", "--eps", "0.5", "2")
PLAIN = (*EPS, "--check-images", 0)


def read(folder: Path) -> RobustnessRecord:
    return read_record(folder, RobustnessRecord)


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_figures_table_and_record_agree(evaluate: Any, trained: Path, tmp_path: Path) -> None:
    outcome = evaluate(*EPS, "--check-images", 6)
    assert outcome.code == 0, outcome.err
    record = read(tmp_path / "out")
    rows = table(tmp_path / "out/images.csv")
    assert [row["class"] for row in rows] == ["blue"] * 5 + ["green"] * 5 + ["red"] * 5
    right = [row["target"] == row["prediction"] for row in rows]
    assert record.correct == sum(right) > 10
    assert record.metrics == {"clean_top1": pytest.approx(100 * sum(right) / 15)}
    for one, column in zip(record.robust, ("l2_0.5", "l2_2.0"), strict=True):
        ends = [row[column] for row in rows]
        assert (ends.count("standing"), ends.count("wrong")) == (one.standing, 15 - sum(right))
        assert one.felled == {name: ends.count(name) for name in ("pgd-ce", "pgd-margin")}
        assert one.earlier == sum("@0.5" in end for end in ends)
        assert one.top1 == pytest.approx(100 * one.standing / 15)
        said = f"worst case of pgd-ce, pgd-margin: {one.top1:.1f} % [{one.low:.1f}, {one.high:.1f}]"
        assert f"{said} of 15 images" in outcome.out
    assert 0 < record.robust[0].standing < sum(right), "the test tells nothing"
    assert record.robust[1].earlier > 0
    assert (record.weights.sha256, record.norm, record.eps) == (sha256_file(trained), "l2", 0.5)
    assert record.images.sha256 == sha256_file(tmp_path / "out/images.csv")
    assert [member.loss for member in record.members] == ["cross_entropy", "margin"]
    assert record.checks is not None and (record.checks.eps, record.checks.images) == (0.5, 6)
    assert len(record.checks.outcomes) == 4
    for check in record.checks.outcomes:
        verdict = "PASS" if check.passed else "FAIL"
        assert f"{verdict} {check.name}: {check.figures[0].under}" in outcome.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "classes.csv",
        "examples.png",
        "images.csv",
        "record.json",
    ]
    # what is read is what was written, in the schema of its kind
    write_record(tmp_path / "again", record)
    assert read(tmp_path / "again") == record
    jsonschema = pytest.importorskip("jsonschema")
    from robust_det.records.json_schema import FOLDER

    schema = json.loads((FOLDER / "robustness.json").read_text())
    plain = json.loads((tmp_path / "out/record.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(plain)


def test_a_run_that_was_ended_goes_on_to_the_same_bytes(
    evaluate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (*PLAIN, "--batch-size", 4)
    assert evaluate(*settings, output="whole").code == 0
    made: list[int] = []
    fates_of = loop.fates_of

    def interrupted(network: Any, images: torch.Tensor, *more: Any, **options: Any) -> Any:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(len(images))
        return fates_of(network, images, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fates_of", interrupted)
        outcome = evaluate(*settings)
    assert outcome.code == 130 and "8 of 15 images are done and kept" in outcome.out
    assert outcome.error == "interrupted"
    journal = tmp_path / "out/images.jsonl"
    assert not (tmp_path / "out/record.json").exists()
    assert "pass --resume to go on" in evaluate(*settings).error
    # a line that a crash cut off, and other ways to compute the same
    journal.write_text(journal.read_text() + '{"seconds": 1.5, "ima')
    later: list[int] = []

    def noted(network: Any, images: torch.Tensor, *more: Any, **options: Any) -> Any:
        later.append(len(images))
        return fates_of(network, images, *more, **options)

    monkeypatch.setattr(loop, "fates_of", noted)
    outcome = evaluate(*PLAIN, "--batch-size", 5, "--resume")
    assert outcome.code == 0 and "8 of 15 images are done already" in outcome.out
    assert later == [5, 2] and not journal.exists()
    whole, part = (read(tmp_path / name) for name in ("whole", "out"))
    assert (tmp_path / "whole/images.csv").read_bytes() == (
        tmp_path / "out/images.csv"
    ).read_bytes()
    assert part.robust == whole.robust and part.config == whole.config
    # a finished one is told again, and computes nothing
    outcome = evaluate(*PLAIN, "--resume")
    assert "is finished already; nothing to do" in outcome.out and later == [5, 2]
    assert "holds a run (record.json)" in evaluate(*PLAIN).error


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("--eps", "0", "0.5"), "eps: [0.5, 2.0] -> [0.5]"),
        (("--budget", "standard"), "budget: quick -> standard"),
        (("--seed", 1), "seed: 0 -> 1"),
        (("--norm", "linf", "--eps", "4/255"), "norm: l2 -> linf"),
        (("--images", 12), "images: "),
        (("--resize", 40), "resize: 32 -> 40"),
        (("--check-images", 3), "check_images: 0 -> 3"),
    ],
)
@pytest.mark.parametrize("finished", [True, False])
def test_another_evaluation_is_not_gone_on_with(
    change: Any, message: str, finished: bool, evaluate: Any, tmp_path: Path, ended: Path
) -> None:
    shutil.copytree(ended, tmp_path / "out")
    if not finished:
        record = json.loads((ended / "record.json").read_text())
        head = json.dumps({"settings": record["config"]})
        (tmp_path / "out/record.json").unlink()
        (tmp_path / "out/images.jsonl").write_text(f"{head}\n")
    error = evaluate(*PLAIN, *change, "--resume").error
    assert "out holds an evaluation made otherwise (" in error and message in error
    assert error.endswith("use those, or choose another --output")


@pytest.fixture(scope="session")
def ended(tmp_path_factory: pytest.TempPathFactory, trained: Path, image_tree: Path) -> Path:
    """The folder of a finished evaluation; do not change it."""
    from robust_det.commands.main import run_command

    folder = tmp_path_factory.mktemp("ended") / "out"
    argv = [trained, "--data", image_tree, "--output", folder, "--resize", 32, "--workers", 0]
    assert run_command("evaluate", list(map(str, [*argv, *PLAIN, "--device", "cpu"]))) == 0
    return folder


def test_other_weights_and_images_are_not_gone_on_with(
    evaluate: Any, trained: Path, image_tree: Path, tmp_path: Path, ended: Path
) -> None:
    shutil.copytree(ended, tmp_path / "out")
    content = load_checkpoint(trained)
    content["model"]["fc.bias"] += 0.01
    save_checkpoint(tmp_path / "other.pth", content)
    assert "(weights: " in evaluate(*PLAIN, "--resume", file=tmp_path / "other.pth").error
    shutil.copytree(image_tree, tmp_path / "data")
    shutil.copy(tmp_path / "data/val/red/00.png", tmp_path / "data/val/red/02.png")
    assert "(images: " in evaluate(*PLAIN, "--data", tmp_path / "data", "--resume").error


def test_folders_of_others_are_refused(evaluate: Any, tmp_path: Path, ended: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "file is a file; give a folder" in evaluate(*PLAIN, output="file").error
    for name, content in (("none", "x\n"), ("broken", '{"settings": 1}\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "images.jsonl").write_text(content)
        error = evaluate(*PLAIN, "--resume", output=name).error
        assert "images.jsonl cannot be read; remove it to start anew" in error
    record = read(ended)
    write_record(tmp_path / "torn", replace(record, budget_version=0))
    text = (tmp_path / "torn/record.json").read_text().replace("robustness", "pretrain")
    (tmp_path / "torn/record.json").write_text(text)
    assert "run record" in evaluate(*PLAIN, "--resume", output="torn").error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--norm", "l2", "--eps", "1", "0.5"), "--eps has to rise; give --eps 0.5 1"),
        (("--norm", "linf", "--eps", "8"), "eps 8/255 was probably meant"),
        (("--norm", "l2", "--eps", "128"), "eps 128/255 was probably meant"),
        (("--eps", "0.5"), "--eps needs --norm, l2 or linf"),
        (("--eps", "0", "--norm", "l2"), "--norm would have no effect: there is no attack at eps"),
        (("--eps", "0", "--budget", "quick"), "--budget would have no effect"),
        (("--eps", "0", "--check-images", "0"), "--check-images would have no effect"),
        ((*EPS, "--images", "0"), "--images is 0; it starts from 1"),
        ((*EPS, "--size", "4"), "--size is 4; it starts from 8"),
        ((*EPS, "--size", "48"), "--resize 32 must not be below the crop of 48 px"),
        ((*EPS, "--check-images", "9", "--batch-size", "8"), "are of one batch"),
        ((*EPS, "--seed", "-1"), "SEED is -1"),
        ((*EPS, "--data", "/nowhere"), "no folder /nowhere; --data holds val/<class>/"),
        ((*EPS, "--budget", "strong"), "invalid choice: 'strong'"),
        ((*EPS, "--device", "tpu"), "unknown device 'tpu'"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: Any, message: str, evaluate: Any, tmp_path: Path
) -> None:
    assert message in evaluate(*arguments).error
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_classifier_of_the_images_are_refused(
    evaluate: Any, trained: Path, image_tree: Path, tmp_path: Path
) -> None:
    def other(name: str, **changes: Any) -> Path:
        content = load_checkpoint(trained)
        for key, value in changes.items():
            content["model" if "." in key else "meta"][key] = value
        save_checkpoint(tmp_path / name, content)
        return tmp_path / name

    nan = torch.full((3,), torch.nan)
    error = evaluate(*PLAIN, file=other("nan.pth", **{"fc.bias": nan})).error
    assert "3 of 3 values of fc.bias are NaN or Inf" in error
    named = other("named.pth", classes=["blue", "green", "violet"])
    assert "val/red is no class of the model" in evaluate(*PLAIN, file=named).error
    # without names the number of classes is all there is to go by
    bare = tmp_path / "bare.pth"
    state = load_checkpoint(trained)["model"]
    torch.save(state, bare)
    shutil.copytree(image_tree / "val", tmp_path / "two")
    shutil.rmtree(tmp_path / "two/red")
    bare_of = (*PLAIN, "--size", 32)
    error = evaluate(*bare_of, "--data", tmp_path / "two", file=bare).error
    assert "two has 2 class folders, but the model has 3 classes" in error
    torch.save({name: state[name] for name in state if not name.startswith("fc.")}, bare)
    assert "have no classification head" in evaluate(*bare_of, file=bare).error
    shutil.copytree(image_tree / "val", tmp_path / "torn")
    (tmp_path / "torn/red/03.jpg").write_bytes(b"\xff\xd8\xff")
    error = evaluate(*PLAIN, "--data", tmp_path / "torn").error
    assert "cannot decode" in error and error.endswith("repair or remove it")


def test_clean_alone_some_classes_and_a_subset(
    evaluate: Any, image_tree: Path, tmp_path: Path
) -> None:
    shutil.copytree(image_tree / "val", tmp_path / "two")
    shutil.rmtree(tmp_path / "two/red")
    outcome = evaluate("--eps", "0", "--data", tmp_path / "two", "--images", 6)
    assert outcome.code == 0, outcome.err
    assert "no attack (eps 0)" in outcome.out
    assert "has images of 2 of the 3 classes; accuracy is of these" in outcome.out
    record = read(tmp_path / "out")
    assert (record.robust, record.members, record.checks, record.budget) == ([], [], None, "")
    assert (record.data.images, record.data.of, record.data.classes) == (6, 10, 2)
    rows = table(tmp_path / "out/images.csv")
    assert list(rows[0]) == ["image", "class", "target", "prediction", "top5"]
    assert sorted(row["class"] for row in rows) == ["blue"] * 3 + ["green"] * 3


def test_a_file_of_unknown_sizes_is_told_of(evaluate: Any, trained: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.pth"
    torch.save(load_checkpoint(trained)["model"], bare)
    outcome = evaluate("--eps", "0", "--resize", 224, "--images", 3, file=bare)
    assert outcome.code == 0, outcome.err
    assert "the file does not say the size of its images: crops of 224 px are taken" in outcome.out
    assert "px, and is blown up to 224 px" in outcome.out
    outcome = evaluate("--eps", "0", "--size", 32, "--images", 3, file=bare, output="sized")
    assert "--size gives another" not in outcome.out
    assert read(tmp_path / "sized").data.size == 32


@pytest.mark.parametrize("eps, telling", [(1e-6, False), (3, True)])
def test_checks_at_an_eps_that_fells_nothing_are_told_of(
    eps: float, telling: bool, evaluate: Any, tmp_path: Path
) -> None:
    outcome = evaluate("--norm", "l2", "--eps", eps, "--check-images", 8, "--resume")
    assert outcome.code == 0, outcome.err
    assert "out holds no evaluation to go on with: one begins" in outcome.out
    checks = read(tmp_path / "out").checks
    assert checks is not None
    noise, attacked = (one.top1 for one in checks.outcomes[0].figures)
    assert (attacked < noise) == telling
    assert ("fells none that noise leaves" in outcome.out) == (not telling)


def test_other_crops_than_those_of_training_are_told_of(
    evaluate: Any, trained: Path, tmp_path: Path
) -> None:
    content = load_checkpoint(trained)
    split = {"VAL": "val", "VAL_FRACTION": 0.0, "VAL_SEED": 0, "RESIZE": 36}
    file = tmp_path / "own.pth"
    save_checkpoint(file, {**content, "config": {"DATA": split}, "data": {"names": ["", ""]}})
    images = ("--eps", "0", "--images", 3)
    said = "validated on crops of 32 px out of 36 px; these are out of 37 px, and --resize 36 takes"
    # what is asked for needs no word: the fixture asks for 32
    assert "validated on crops" not in evaluate(*images, file=file, output="a").out
    outcome = evaluate(*images, file=file, output="b", resize=None)
    assert said in outcome.out
    assert read(tmp_path / "b").data.resize == 37
    sized = evaluate(*images, "--size", 24, file=file, output="c", resize=None)
    assert "validated on crops" not in sized.out


def test_the_commands_budgets_are_those_that_there_are() -> None:
    assert tuple(BUDGETS) == command._BUDGETS
