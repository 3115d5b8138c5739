"""A run that starts from a trained detector."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.analysis.labels import condition_labels
from robust_det.analysis.runs import runs_of
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.config import load_config
from robust_det.detection.finetuning.jobs import FINAL, finetune
from robust_det.detection.finetuning.trainer import RobustTrainer
from robust_det.records import read_record
from robust_det.records.detection import DetectionRecord
from tests.support import refused

SOON = ["SOLVER.MAX_ITER", "1", "SOLVER.STEPS", "[]", "TEST.PICTURES", "0", "MODEL.WEIGHTS", ""]


@pytest.fixture
def renamed(scenes: Path, tmp_path: Path) -> list[dict[str, str]]:
    """The scenes' data, with the classes in another order, the first of them under a new name."""
    entries = []
    for part in ("train", "val"):
        document = json.loads((scenes / f"annotations/instances_{part}.json").read_text())
        numbers = sorted(c["id"] for c in document["categories"])
        turned = dict(zip(numbers, reversed(numbers), strict=True))
        first = document["categories"][0]["name"]
        for category in document["categories"]:
            category["id"] = turned[category["id"]]
            category["name"] = "new" if category["name"] == first else category["name"]
        for annotation in document["annotations"]:
            annotation["category_id"] = turned[annotation["category_id"]]
        (tmp_path / f"{part}.json").write_text(json.dumps(document))
        where = {"JSON": str(tmp_path / f"{part}.json"), "IMAGES": str(scenes / part)}
        entries.append({"NAME": f"renamed_{part}", **where})
    return entries


def start(config: Path, folder: Path, *overrides: str) -> Any:
    """A trainer that has done nothing yet."""
    where = ["MODEL.INIT_DETECTOR", str(folder / FINAL), *SOON, *overrides]
    cfg, card = load_config(str(config), where)
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    trainer = RobustTrainer(cfg, card)
    drawn = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.resume_or_load(resume=False)
    assert trainer.start_iter == 0
    return trainer, drawn


def test_the_same_classes_keep_all_weights(
    finished: tuple[Path, Path, Any], tmp_path: Path
) -> None:
    config, folder, _ = finished
    trainer, _ = start(config, folder, "OUTPUT_DIR", str(tmp_path / "on"))
    then = load_checkpoint(folder / FINAL)["model"]
    now = trainer.model.state_dict()
    assert then.keys() == now.keys() and all(torch.equal(now[n], then[n]) for n in now)
    assert not trainer.optimizer.state


def test_rows_follow_the_names_of_classes(
    finished: tuple[Path, Path, Any],
    renamed: list[dict[str, str]],
    write_config: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, folder, _ = finished
    sets = {"CUSTOM": renamed, "TRAIN": ["renamed_train"], "TEST": ["renamed_val"]}
    config = write_config(DATASETS=sets, MODEL={"RESNETS": {"NORM": "BN"}})
    caplog.set_level(logging.INFO)
    trainer, drawn = start(config, folder)
    then, now = load_checkpoint(folder / FINAL)["model"], trainer.model.state_dict()
    for name in ("cls_score.weight", "cls_score.bias"):
        name = f"roi_heads.box_predictor.{name}"
        # the first class is the last now, under a new name
        assert torch.equal(now[name][:7], then[name][1:8].flip(0))
        assert torch.equal(now[name][7], drawn[name][7])
        assert torch.equal(now[name][8], then[name][8])  # the background
    name = "roi_heads.box_predictor.bbox_pred.weight"
    assert torch.equal(now[name][:4], then[name][28:]) and torch.equal(
        now[name][28:], drawn[name][28:]
    )
    name = "roi_heads.mask_head.predictor.weight"
    assert torch.equal(now[name][0], then[name][7]) and torch.equal(now[name][7], drawn[name][7])
    name = "roi_heads.box_head.fc1.weight"
    assert torch.equal(now[name], then[name])
    assert "of 8 classes 7 keep their weights (" in caplog.text
    assert "and 1 are drawn anew (new), in 6 tensors of the heads" in caplog.text


def test_its_record_says_what_it_started_from(
    finished: tuple[Path, Path, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, folder, _ = finished
    where = ["OUTPUT_DIR", str(tmp_path / "on"), "MODEL.INIT_DETECTOR", str(folder / FINAL)]
    cfg, card = load_config(str(config), where + SOON[:6])
    finetune(cfg, card, "on")
    before, record = (
        read_record(folder, DetectionRecord),
        read_record(tmp_path / "on", DetectionRecord),
    )
    assert record.init_detector is not None and before.detector is not None
    assert record.init_detector.sha256 == before.detector.sha256
    assert record.init_detector.iterations == 60
    assert (record.eps, record.weights) == (before.eps, before.weights)
    [run] = runs_of([(tmp_path / "on/record.json", record)])
    said = condition_labels(run.setting)["started from"]
    assert said.startswith("a detector of 60 iterations on finished_train (")
    [run] = runs_of([(folder / "record.json", before)])
    assert condition_labels(run.setting)["started from"] == "a backbone"
    # another detector is another run
    other = load_checkpoint(folder / FINAL)
    save_checkpoint(tmp_path / "other.pth", {**other, "iteration": 3})
    where[-1] = str(tmp_path / "other.pth")
    cfg, card = load_config(str(config), where + SOON[:6])
    with pytest.raises(UserError, match=r"another config \(MODEL.INIT_DETECTOR"):
        finetune(cfg, card, "on", resume=True)


def test_what_no_run_can_start_from_is_refused(
    finished: tuple[Path, Path, Any],
    backbone_file: Path,
    classifier_file: Path,
    tmp_path: Path,
    write_config: Callable[..., Path],
) -> None:
    config, folder, _ = finished
    bare = load_checkpoint(folder / FINAL)
    del bare["robust_det"], bare["provenance"]
    save_checkpoint(tmp_path / "bare.pth", bare)
    for file, message in (
        (tmp_path / "none.pth", "no detector at"),
        (tmp_path / "model.pkl", "no detector at"),
        (backbone_file, "is a backbone, not a trained detector; give it as --backbone"),
        (classifier_file, "is no detector that robust-det train made"),
        (tmp_path / "bare.pth", "is no detector that robust-det train made"),
    ):
        with pytest.raises(UserError, match=message):
            load_config(str(config), ["MODEL.INIT_DETECTOR", str(file)])
    (tmp_path / "model.pkl").write_bytes(b"")
    with pytest.raises(UserError, match=r"is not a \.pth file"):
        load_config(str(config), ["MODEL.INIT_DETECTOR", str(tmp_path / "model.pkl")])
    start = ["MODEL.INIT_DETECTOR", str(folder / FINAL)]
    with pytest.raises(UserError, match=r"MODEL\.WEIGHTS is robust://resnet18, and the detector"):
        load_config(str(config), [*start, "MODEL.WEIGHTS", "robust://resnet18"])
    with pytest.raises(UserError, match=r"is a detector of another MODEL\.META_ARCHITECTURE"):
        load_config(str(config), [*start, "MODEL.META_ARCHITECTURE", "RetinaNet"])
    wide = [*start, "MODEL.ROI_BOX_HEAD.FC_DIM", "32", "OUTPUT_DIR", str(tmp_path / "wide")]
    cfg, card_ = load_config(str(config), wide)
    with pytest.raises(UserError, match="holds the weights of another detector than this config's"):
        finetune(cfg, card_, "wide")
    arguments = ("train_net", "--config", config, "--init-detector", folder / FINAL)
    assert refused(*arguments, "--eval-only").startswith("--eval-only evaluates a detector that is")
    assert "say the same" in refused(*arguments, "MODEL.INIT_DETECTOR", "x.pth")


def test_a_backbone_that_cannot_be_compared_is_said(
    finished: tuple[Path, Path, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, folder, _ = finished
    content = load_checkpoint(folder / FINAL)
    del content["provenance"]
    path = tmp_path / "before.pth"
    save_checkpoint(path, content)
    start = ["MODEL.INIT_DETECTOR", str(path), "MODEL.WEIGHTS"]
    cfg, card = load_config(str(config), [*start, str(tmp_path / "gone.pth")])
    assert card is not None and card.arch == cfg.MODEL.BACKBONE.ARCH
    assert f"compared with the detector's backbone: {tmp_path / 'gone.pth'} is not" in caplog.text
    caplog.clear()
    load_config(str(config), ["MODEL.INIT_DETECTOR", str(path)])  # of the config, which is there
    assert "not compared" not in caplog.text
    content["robust_det"]["source_sha256"] = "0" * 64
    save_checkpoint(path, content)
    with pytest.raises(UserError, match="was trained from another backbone; leave --backbone out"):
        load_config(str(config), ["MODEL.INIT_DETECTOR", str(path)])
