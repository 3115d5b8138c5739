"""A trained detector is evaluated again."""

import shutil
from pathlib import Path

import pytest

from robust_det.analysis.runs import runs_of
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config, load_evaluation_config
from robust_det.detection.finetuning.jobs import FINAL, evaluate
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import load_records
from tests.support import refused, run_tool


def test_eval_only_gives_the_same_and_leaves_the_run_alone(
    finished: tuple[Path, Path, tuple[str, str]],
) -> None:
    config, folder, _ = finished
    before = (folder / "record.json").read_bytes()
    done = run_tool("train_net", "--config", config, "--eval-only")
    assert done.code == 0, done.err
    assert (folder / "record.json").read_bytes() == before
    trained, again = (
        read_record(folder, DetectionRecord),
        read_record(folder / "eval", DetectionRecord),
    )
    for task, values in trained.metrics.items():
        assert again.metrics[task] == pytest.approx(values, abs=1e-9, nan_ok=True)
    assert again.detector.sha256 == trained.detector.sha256
    one, two = runs_of(
        load_records([folder / "eval/record.json", folder / "record.json"], DetectionRecord)
    )
    assert one.setting == two.setting
    assert f"evaluating {folder / FINAL} on " in done.out
    assert f"record in {folder / 'eval'}" in done.out


def test_a_run_folder_can_be_moved(
    finished: tuple[Path, Path, tuple[str, str]], tmp_path: Path
) -> None:
    _, folder, _ = finished
    moved = shutil.copytree(folder, tmp_path / "moved", ignore=shutil.ignore_patterns("eval"))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    done = run_tool(
        "train_net", "--config", moved / "config.yaml", "--eval-only", "TEST.PICTURES", "0"
    )
    assert done.code == 0, done.err
    record = read_record(moved / "eval", DetectionRecord)
    assert (record.name, record.detector.path) == ("moved", str(moved / FINAL))
    (moved / FINAL).unlink()
    with pytest.raises(UserError, match=f"no detector at {moved / FINAL}; train it first"):
        load_evaluation_config(str(moved / "config.yaml"))
    # what the command line says comes first
    cfg, _, _ = load_evaluation_config(str(moved / "config.yaml"), ["OUTPUT_DIR", str(folder)])
    assert str(folder) == cfg.OUTPUT_DIR
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_evaluation_does_not_need_the_backbone(
    finished: tuple[Path, Path, tuple[str, str]], backbone_file: Path, tmp_path: Path
) -> None:
    config, folder, _ = finished
    where = ["MODEL.WEIGHTS", "robust://no_such_backbone", "OUTPUT_DIR", str(tmp_path)]
    cfg, card, detector = load_evaluation_config(str(config), where, None, folder / FINAL)
    evaluate(cfg, card, "without", detector)
    record, trained = (
        read_record(tmp_path / "eval", DetectionRecord),
        read_record(folder, DetectionRecord),
    )
    # those that it was trained from, wherever the config says they are
    assert record.weights == trained.weights and record.weights.source_sha256 != ""
    assert (record.norm, record.eps) == ("l2", 0.5)
    assert record.metrics["bbox"] == pytest.approx(trained.metrics["bbox"], nan_ok=True)
    with pytest.raises(UserError, match="is a backbone; give the detector that was trained"):
        load_evaluation_config(str(config), [], None, backbone_file)
    error = refused("train_net", "--config", config, "--weights", folder / FINAL)
    assert "--detector belongs to --eval-only" in error


def test_wrong_detectors_are_refused(
    finished: tuple[Path, Path, tuple[str, str]],
    backbone_file: Path,
    tmp_path: Path,
    malicious: tuple[Path, Path],
    classifier_file: Path,
) -> None:
    config, folder, _ = finished
    path, marker = malicious
    other = load_checkpoint(folder / FINAL)
    other["robust_det"]["source_sha256"] = "00" * 32
    save_checkpoint(tmp_path / "other.pth", other)
    cfg, card = load_config(str(config), ["OUTPUT_DIR", str(tmp_path / "run")])
    for file, message in (
        (path, "nothing was executed"),
        (backbone_file, "is a backbone, and its detector has yet to be trained"),
        (tmp_path / "other.pth", "was trained from the backbone of sha256 0000"),
        (classifier_file, "was trained from no backbone|is a classifier"),
    ):
        with pytest.raises(UserError, match=message):
            evaluate(cfg, card, "x", file)
    assert not marker.exists() and not (tmp_path / "run").exists()
    absent = refused(
        "train_net", "--config", config, "--eval-only", "OUTPUT_DIR", str(tmp_path / "empty")
    )
    assert "train it first, or give --weights FILE" in absent


def test_absent_gpus_are_one_line(finished: tuple[Path, Path, tuple[str, str]]) -> None:
    error = refused("train_net", "--config", finished[0], "--num-gpus", 99)
    assert error.startswith("--num-gpus 99 was asked for, but there are ")
