"""What a run may go on with: the data that it learnt from, wherever they are, and a schedule."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.finetuning import jobs, resuming
from robust_det.detection.finetuning.jobs import finetune
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import run_tool

SHORT = {"MAX_ITER": 2, "STEPS": [], "IMS_PER_BATCH": 2, "WARMUP_ITERS": 0}
FEW = {"PICTURES": 0, "DETECTIONS_PER_IMAGE": 5}
LONGER = ["SOLVER.MAX_ITER", "4", "SOLVER.STEPS", "[3]"]


def train(config: Path, overrides: list[str] | None = None, **how: bool) -> Path:
    cfg, card = load_config(str(config), overrides or [], by_name=True)
    finetune(cfg, card, "run", **how)
    return Path(cfg.OUTPUT_DIR)


def without_an_object(path: Path) -> str:
    """Take an object out of annotations; return what they were."""
    before = path.read_text()
    content = json.loads(before)
    content["annotations"].pop()
    path.write_text(json.dumps(content))
    return before


def test_other_data_are_told(
    scenes: Path, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "kept"
    shutil.copytree(scenes, data)
    config = write_config(SOLVER=SHORT, TEST=FEW, MODEL={"MASK_ON": False})
    config.write_text(config.read_text().replace(str(scenes), str(data)))

    def resumed() -> Any:
        return run_tool(
            "train_net", "--config", config, "--resume", "OUTPUT_DIR", folder, process=True
        )

    assert resumed().code == 0
    annotations = data / "annotations/instances_train.json"
    before = without_an_object(annotations)
    # finished, and not: both learnt from what was there
    for record in (folder / "record.json", tmp_path / "aside.json"):
        refused = resumed()
        assert refused.code == 2
        assert re.search(r"scenes_train' changed since .* for 2 iterations .* objects", refused.err)
        if record.parent == folder:
            record.rename(tmp_path / "aside.json")
    annotations.write_text(before)
    without_an_object(data / "annotations/instances_val.json")
    said = resumed()
    assert said.code == 0 and "the test data changed" in said.out
    [change] = read_record(folder, DetectionRecord).changes
    assert (change.step, change.key) == (2, "DATASETS.TEST")
    assert change.before[0].startswith("scenes_val: 6 images, ") and change.before != change.after


def test_a_longer_schedule_is_asked_for_and_said(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    config = write_config(SOLVER=SHORT, TEST=FEW, MODEL={"MASK_ON": False})
    folder = train(config)
    with pytest.raises(UserError, match=r"MAX_ITER: 2 -> 4.*--resume --new-schedule"):
        train(config, LONGER, resume=True)
    with pytest.raises(UserError, match="--new-schedule changes nothing"):
        train(config, resume=True, new_schedule=True)
    with pytest.raises(
        UserError, match=r"another config .SEED: 0 -> 1.*changes SOLVER.MAX_ITER, ST"
    ):
        train(config, [*LONGER, "SEED", "1"], resume=True, new_schedule=True)
    with pytest.raises(UserError, match=r"has done 2 iterations, and SOLVER.MAX_ITER is 1"):
        train(config, ["SOLVER.MAX_ITER", "1"], resume=True, new_schedule=True)
    with pytest.raises(UserError, match="holds no run that --new-schedule"):
        train(config, ["OUTPUT_DIR", str(tmp_path / "new")], resume=True, new_schedule=True)
    assert (folder / "record.json").exists() and not (folder / "record_2.json").exists()

    old = load_checkpoint(folder / "model_final.pth")["model"]
    train(config, LONGER, resume=True, new_schedule=True)
    whole = train(config, [*LONGER, "OUTPUT_DIR", str(tmp_path / "whole")])
    ours, theirs = (load_checkpoint(f / "model_final.pth") for f in (folder, whole))
    assert ours["iteration"] == 3
    # the rate was the same until then, so that both learnt the same
    for name, value in theirs["model"].items():
        assert torch.equal(ours["model"][name], value), name
    for name, value in load_checkpoint(folder / "model_0000001.pth")["model"].items():
        assert torch.equal(old[name], value)

    record = read_record(folder, DetectionRecord)
    said = [(c.step, c.key, c.before, c.after) for c in record.changes]
    assert said == [(2, "SOLVER.MAX_ITER", 2, 4), (2, "SOLVER.STEPS", [], [3])]
    assert record.schedule["SOLVER.MAX_ITER"] == 4
    assert not read_record(whole, DetectionRecord).changes
    assert json.loads((folder / "record_2.json").read_text())["schedule"]["SOLVER.MAX_ITER"] == 2


def test_the_new_rate_holds_from_the_first_step(
    write_config: Callable[..., Path], tmp_path: Path
) -> None:
    cosine = {**SHORT, "LR_SCHEDULER_NAME": "WarmupCosineLR", "REFERENCE_BATCH": 0}
    config = write_config(SOLVER=cosine, TEST=FEW, MODEL={"MASK_ON": False})
    train(config)

    def rate(*overrides: str) -> float:
        cfg, card = load_config(str(config), overrides, by_name=True)
        trainer = RobustTrainer(cfg, card)
        trainer.resume_or_load()
        assert trainer.start_iter == 2
        found = {group["lr"] for group in trainer.optimizer.param_groups}
        assert len(found) == 1
        return found.pop()

    assert rate() == 0  # the end of its cosine
    new = ["SOLVER.MAX_ITER", "4", "SOLVER.BASE_LR", "0.004", "SOLVER.WARMUP_ITERS", "3"]
    # half of a cosine, of which a linear warm-up has come to two thirds
    begin, end = 0.004 * 0.001, 0.004 * (1 + math.cos(math.pi * 3 / 4)) / 2
    assert rate(*new) == pytest.approx(begin + 2 / 3 * (end - begin))


@pytest.mark.parametrize("cut", ["write_atomically", "set_aside", "RobustTrainer"])
def test_a_longer_schedule_that_is_killed_as_it_begins(
    cut: str, write_config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(SOLVER=SHORT, TEST=FEW, MODEL={"MASK_ON": False})
    folder = train(config)
    old = load_checkpoint(folder / "model_final.pth")["model"]

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    longer = {"resume": True, "new_schedule": True}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(jobs if cut == "RobustTrainer" else resuming, cut, killed)
        train(config, LONGER, **longer)
    if cut != "RobustTrainer":  # whose config is in the folder already
        # as before, by the schedule of before
        train(config, resume=True)
        assert read_record(folder, DetectionRecord).schedule["SOLVER.MAX_ITER"] == 2
        new = load_checkpoint(folder / "model_final.pth")["model"]
        assert all(torch.equal(new[name], old[name]) for name in old)
    # the job is started once more
    train(config, LONGER, **longer)
    record = read_record(folder, DetectionRecord)
    assert [change.key for change in record.changes] == ["SOLVER.MAX_ITER", "SOLVER.STEPS"]
    assert record.detector is not None and record.detector.iterations == 4
    assert (folder / "record_2.json").exists()
    train(config, LONGER, **longer)  # and once more: there is nothing to do
    assert read_record(folder, DetectionRecord) == record
