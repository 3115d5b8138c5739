"""A record describes the detector that was evaluated, whatever the config says."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.grouping import group_runs
from robust_det.analysis.runs import runs_of
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.detection.categories import ClassNames
from robust_det.detection.config import load_config, load_detector_config, load_evaluation_config
from robust_det.detection.evaluation.by_name import renumbering
from robust_det.detection.finetuning.jobs import FINAL, evaluate, finetune
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import load_records

Finished = tuple[Path, Path, tuple[str, str]]
FEW = {"TEST.DETECTIONS_PER_IMAGE": 9}
QUICK = ["TEST.PICTURES", "0", "TEST.DETECTIONS_PER_IMAGE", "9"]


def evaluated(config: Path, file: Path, folder: Path, *keys: str) -> DetectionRecord:
    """The record of an evaluation into a new folder."""
    where = ["OUTPUT_DIR", str(folder), *QUICK, *keys]
    cfg, card, detector = load_evaluation_config(str(config), where, None, file)
    evaluate(cfg, card, "x", detector)
    return read_record(folder / "eval", DetectionRecord)


def test_a_record_has_the_facts_of_the_file(
    finished: Finished, backbone_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, folder, _ = finished
    trained = read_record(folder, DetectionRecord)
    lies = ["SEED", "7", "SOLVER.BASE_LR", "0.5", "SOLVER.MAX_ITER", "30", "SOLVER.STEPS", "[]"]
    lies += ["INPUT.MIN_SIZE_TRAIN", "(64,)", "MODEL.RPN.BATCH_SIZE_PER_IMAGE", "8"]
    lies += ["DATASETS.TRAIN", "['finished_val']", "MODEL.RESNETS.NORM", "FrozenBN"]
    record = evaluated(config, folder / "model_0000009.pth", tmp_path, *lies)
    assert "does not say" not in caplog.text and "trained on" not in caplog.text
    for field in ("seed", "schedule", "weights", "arch", "eps"):
        assert getattr(record, field) == getattr(trained, field)
    assert record.data.train == trained.data.train
    assert record.detector is not None and trained.detector is not None
    assert (record.detector.iterations, record.detector.planned) == (10, 60)
    assert (trained.detector.iterations, trained.detector.planned) == (60, 60)
    assert record.detector.assumed == () == trained.detector.assumed
    assert record.detector.unfinished and not trained.detector.unfinished
    # what concerns evaluation is the config's
    assert record.protocol == {**trained.protocol, **FEW}
    # another setting, which the table names
    _, text = compare([folder, tmp_path / "eval"], tmp_path / "report")
    assert "Setting B — Box AP on finished_val, detectors after 10 of 60 iterations" in text
    assert "detector at the end of its training vs after 10 of 60 iterations" in text


def test_one_detector_is_one_run_and_seeds_are_those_of_training(
    finished: Finished, tmp_path: Path
) -> None:
    config, folder, _ = finished
    other = load_checkpoint(folder / FINAL)
    other["provenance"]["config"]["SEED"] = 1
    save_checkpoint(tmp_path / "other.pth", other)
    for name, file, seed in (
        ("a", folder / FINAL, "0"),
        ("b", folder / FINAL, "1"),
        ("c", tmp_path / "other.pth", "0"),
    ):
        evaluated(config, file, tmp_path / name, "SEED", seed)
    paths = [tmp_path / name / "eval/record.json" for name in "abc"]
    (setting,) = group_runs(runs_of(load_records(paths, DetectionRecord)))
    (row,) = setting.rows
    assert [(run.path.parts[-3], run.seed) for run in row.runs] == [("a", 0), ("c", 1)]
    assert any(f"{paths[1]} is of the same detector as {paths[0]}" in n for n in setting.notes)


def test_no_evaluation_replaces_another_and_none_is_done_twice(
    finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, folder, _ = finished
    evaluated(config, folder / FINAL, tmp_path)
    first = (tmp_path / "eval/record.json").read_bytes()
    evaluated(config, folder / "model_0000009.pth", tmp_path)
    assert (tmp_path / "eval/record.json").read_bytes() == first
    second = read_record(tmp_path / "eval-2", DetectionRecord)
    assert second.detector is not None
    assert second.detector.sha256 == sha256_file(folder / "model_0000009.pth")
    saved = second.detections["finished_val"]
    assert sha256_file(tmp_path / "eval-2" / saved.path) == saved.sha256
    with caplog.at_level(logging.INFO):
        evaluated(config, folder / "model_0000009.pth", tmp_path, "DATALOADER.NUM_WORKERS", "0")
    assert f"was evaluated like this already, record in {tmp_path / 'eval-2'}" in caplog.text
    assert not (tmp_path / "eval-3").exists()
    evaluated(config, folder / FINAL, tmp_path, "TEST.DETECTIONS_PER_IMAGE", "3")
    assert (tmp_path / "eval-3/record.json").exists()
    # below a folder without a run, all of them count; of a run's folder, its own record alone
    _, text = compare([tmp_path], tmp_path / "report")
    assert all(f"Setting {letter} — Box AP" in text for letter in "ABC")
    assert "count where they are named" not in text
    shutil.copy(folder / "record.json", tmp_path)
    _, text = compare([tmp_path], tmp_path / "report")
    assert "Setting B" not in text and f"where they are named: {tmp_path / 'eval'}, " in text


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "MODEL.ANCHOR_GENERATOR.SIZES",
            "[[20], [40], [80], [160], [320]]",
            r"SIZES is \[\[20\], .* but .* needs \[\[",
        ),
        ("MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION", "9", "POOLER_RESOLUTION is 9"),
        ("MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS", "(20.0, 20.0, 5.0, 5.0)", "_WEIGHTS is .20.000"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign", "TYPE is ROIAlign in .* needs ROIAlignV2"),
        ("MODEL.MASK_ON", "False", "MASK_ON is False in the config, but .* needs True"),
        ("MODEL.META_ARCHITECTURE", "RetinaNet", "is RetinaNet in the config"),
    ],
)
def test_a_model_of_the_same_shapes_and_another_meaning_is_refused(
    finished: Finished, key: str, value: str, message: str
) -> None:
    config, folder, _ = finished
    for load in (
        lambda keys: load_evaluation_config(str(config), keys, None, folder / FINAL),
        lambda keys: load_detector_config(str(config), keys, folder / FINAL),
    ):
        with pytest.raises(UserError, match=message):
            load([key, value])


def test_what_a_config_leaves_out_of_the_model_is_the_files(
    finished: Finished, tmp_path: Path
) -> None:
    config, folder, _ = finished
    content = load_checkpoint(folder / FINAL)
    content["provenance"]["config"]["MODEL"]["ANCHOR_GENERATOR"]["OFFSET"] = 0.5
    save_checkpoint(tmp_path / "other.pth", content)
    cfg, _, _ = load_evaluation_config(str(config), [], None, tmp_path / "other.pth")
    assert cfg.MODEL.ANCHOR_GENERATOR.OFFSET == 0.5


def test_an_older_file_is_said_not_to_know(
    finished: Finished, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, folder, _ = finished
    content = load_checkpoint(folder / "model_0000009.pth")
    for key in ("provenance", "categories"):
        del content[key]
    save_checkpoint(tmp_path / "old.pth", content)
    record = evaluated(config, tmp_path / "old.pth", tmp_path, "SEED", "5")
    assert record.detector is not None and record.seed == 5
    assert record.detector.assumed == ("seed", "data.train", "schedule")
    assert record.detector.unfinished  # its iteration it says
    assert "does not say its seed, training data and schedule" in caplog.text
    assert "does not name its classes; they are taken to be those of data set 'finished_" in (
        caplog.text
    )
    _, text = compare([tmp_path / "eval"], tmp_path / "report")
    assert "does not say its seed, training data and schedule" in text
    content["provenance"] = {"config": 3}
    save_checkpoint(tmp_path / "damaged.pth", content)
    with pytest.raises(UserError, match=r"damaged description of its training .*; copy the file"):
        evaluated(config, tmp_path / "damaged.pth", tmp_path)


def test_how_a_detector_was_chosen_and_what_it_saw_is_said(
    write_config: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = ["SOLVER.MAX_ITER", "2", "SOLVER.STEPS", "[]", "SOLVER.EMA.ENABLED", "True"]
    short += ["TEST.KEEP_BEST", "bbox/AP", "TEST.EVAL_PERIOD", "1"]
    same = ["DATASETS.TRAIN", "['scenes_val']", "MODEL.MASK_ON", "False"]
    config = write_config()
    cfg, card = load_config(str(config), [*short, *same, *QUICK])
    finetune(cfg, card, "same")
    assert "the detector was trained on test set 'scenes_val'" in caplog.text
    _, text = compare([tmp_path / "run"], tmp_path / "report")
    assert "trained on test set scenes_val" in text
    caplog.clear()
    best = tmp_path / "run/model_best.pth"
    record = evaluated(config, best, tmp_path / "e", "MODEL.MASK_ON", "False")
    assert "the detector was trained on test set 'scenes_val'" in caplog.text
    assert [one.name for one in record.data.train] == ["scenes_val"]
    # of a checkpoint that was kept as the best, and of averaged weights, too
    assert record.detector is not None and record.detector.averaged
    assert record.detector.best_by == "bbox/AP" and record.detector.best is not None
    assert record.schedule["SOLVER.EMA.ENABLED"] is True
    _, text = compare([tmp_path / "e"], tmp_path / "best")
    assert "detectors best by bbox/AP" in text


def test_classes_of_pixels_are_those_of_the_file(write_config: Any) -> None:
    cfg, _ = load_config(str(write_config()))
    names = ClassNames(objects=tuple(reversed(_classes())))
    numbers = renumbering(cfg, "scenes_val", names)
    assert numbers is not None and numbers.objects == tuple(range(7, -1, -1))
    assert renumbering(cfg, "scenes_val", ClassNames()) is None


def _classes() -> tuple[str, ...]:
    from robust_det.detection.datasets import describe_dataset

    return describe_dataset("scenes_val").classes
