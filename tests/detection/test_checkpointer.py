"""Detector checkpoints: safe to read, complete or refused, and never lost."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model

from robust_det.backbones.builders import build_resnet
from robust_det.checkpoints.backbone_file import read_card
from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.errors import UserError
from robust_det.detection.checkpointer import RobustCheckpointer
from robust_det.detection.config import load_config
from robust_det.models import Classifier
from tests.support import run_python


@pytest.fixture
def model_and_card(write_config: Callable[..., Path]) -> Any:
    cfg, card = load_config(str(write_config()))
    return build_model(cfg), card


def test_a_backbone_fills_its_part_and_no_other(model_and_card: Any, backbone_file: Path) -> None:
    model, _ = model_and_card
    before = {name: value.clone() for name, value in model.state_dict().items()}
    RobustCheckpointer(model).load(str(backbone_file))
    own = load_checkpoint(backbone_file)["model"]
    for name, value in model.state_dict().items():
        short = name.removeprefix("backbone.bottom_up.")
        assert torch.equal(value, own[short] if short != name else before[name])
    assert len(own) == sum(name.startswith("backbone.bottom_up.") for name in before)


def test_a_detector_comes_back_with_its_card(model_and_card: Any, tmp_path: Path) -> None:
    model, card = model_and_card
    checkpointer = RobustCheckpointer(model, str(tmp_path), card=card)
    checkpointer.save("model_0000001", iteration=1)
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_0000001.pth")
    assert read_card(tmp_path / "model_0000001.pth") == card
    state = {name: value.clone() for name, value in model.state_dict().items()}
    for value in model.state_dict().values():
        value.zero_()
    extra = RobustCheckpointer(model).load(str(tmp_path / "model_0000001.pth"))
    assert extra["iteration"] == 1
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_a_c4_head_gets_res5(
    write_config: Callable[..., Path], tmp_path: Path, write_classifier: Callable[..., Classifier]
) -> None:
    from robust_det.conversion.convert import convert

    write_classifier(tmp_path / "in.pth", "resnet50")
    convert(tmp_path / "in.pth", tmp_path / "out.pth")
    config = write_config(
        MODEL={
            "WEIGHTS": str(tmp_path / "out.pth"),
            "MASK_ON": False,
            "BACKBONE": {"NAME": "build_robust_backbone"},
            "RESNETS": {"OUT_FEATURES": ["res4"]},
            "RPN": {"IN_FEATURES": ["res4"]},
            "ANCHOR_GENERATOR": {"SIZES": [[32, 64]]},
            "ROI_HEADS": {"NAME": "Res5ROIHeads", "IN_FEATURES": ["res4"]},
        }
    )
    cfg, _ = load_config(str(config), ["MODEL.RESNETS.NORM", "FrozenBN"])
    model = build_model(cfg)
    RobustCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    own, file = model.state_dict(), load_checkpoint(tmp_path / "out.pth")["model"]
    for name, value in file.items():
        place = "roi_heads." if name.startswith("res5.") else "backbone."
        assert torch.equal(own[place + name], value)
    # and the head computes what the backbone would
    whole = build_resnet("resnet50").eval()
    whole.load_state_dict(file)
    features = torch.rand(1, 1024, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(model.eval().roi_heads.res5(features), whole.res5(features))


@pytest.mark.parametrize(
    "damage",
    [
        lambda model: model.pop("res5.0.conv1.weight"),
        lambda model: model.update({"res3.1.conv1.weight": torch.zeros(1)}),
        lambda model: model.update({"stem.conv1.weight": torch.zeros(64, 3, 7, 7)}),
        lambda model: model.update({"stem.conv1.weight": "text"}),
    ],
    ids=["missing", "unexpected", "shape", "no tensor"],
)
def test_weights_of_another_architecture(
    damage: Any, model_and_card: Any, backbone_file: Path, tmp_path: Path
) -> None:
    content = load_checkpoint(backbone_file)
    damage(content["model"])
    save_checkpoint(tmp_path / "other.pth", content)
    with pytest.raises(UserError, match=r"another architecture: .*1 ") as caught:
        RobustCheckpointer(model_and_card[0]).load(str(tmp_path / "other.pth"))
    assert "\n" not in str(caught.value)


def test_batch_norm_is_not_dropped_silently(
    write_config: Callable[..., Path],
    backbone_file: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # a tool that ran before this test keeps the lines to itself
    monkeypatch.setattr(logging.getLogger("robust_det"), "propagate", True)
    with pytest.raises(UserError, match=r"unknown MODEL\.RESNETS\.NORM ''; use FrozenBN, BN"):
        load_config(str(write_config()), ["MODEL.RESNETS.NORM", ""])
    cfg, _ = load_config(str(write_config()), ["MODEL.RESNETS.NORM", "GN"])
    RobustCheckpointer(build_model(cfg)).load(str(backbone_file))
    # by the logger that the tools show
    own = [r for r in caplog.records if r.name.startswith("robust_det.")]
    (warning,) = {r.getMessage() for r in own if r.levelname == "WARNING"}
    assert "no running statistics, so 24 statistics of" in warning


def test_a_detector_of_another_kind(
    model_and_card: Any, tmp_path: Path, write_config: Callable[..., Path]
) -> None:
    model, _ = model_and_card
    RobustCheckpointer(model, str(tmp_path)).save("mask")
    cfg, _ = load_config(str(write_config()), ["MODEL.MASK_ON", "False"])
    with pytest.raises(UserError, match="weights of another detector: 0 tensors missing"):
        RobustCheckpointer(build_model(cfg)).load(str(tmp_path / "mask.pth"))


def test_files_that_are_no_checkpoints(
    model_and_card: Any,
    tmp_path: Path,
    classifier_file: Path,
    backbone_file: Path,
    malicious: tuple[Path, Path],
) -> None:
    path, marker = malicious
    (tmp_path / "cut.pth").write_bytes(backbone_file.read_bytes()[:-2000])
    (tmp_path / "model.pkl").write_bytes(path.read_bytes())
    save_checkpoint(tmp_path / "other.pth", {"state": 1})
    for file, message in (
        (path, "refused, nothing was executed"),
        (tmp_path / "model.pkl", r"only \.pth files are read"),
        (tmp_path / "cut.pth", "truncated or not a checkpoint"),
        (classifier_file, r"is a classifier; convert it with robust-det convert"),
        (tmp_path / "other.pth", "neither a converted backbone nor a detector"),
    ):
        with pytest.raises(UserError, match=message):
            RobustCheckpointer(model_and_card[0]).load(str(file))
    assert not marker.exists()


def test_resuming_from_a_malicious_checkpoint(
    model_and_card: Any, tmp_path: Path, malicious: tuple[Path, Path]
) -> None:
    path, marker = malicious
    (tmp_path / "last_checkpoint").write_text(path.name)
    with pytest.raises(UserError, match="nothing was executed"):
        RobustCheckpointer(model_and_card[0], str(tmp_path)).resume_or_load("", resume=True)
    assert not marker.exists()


def test_a_last_checkpoint_that_is_gone(model_and_card: Any, tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_text("model_0000009.pth")
    with pytest.raises(UserError, match=r"names .*model_0000009\.pth, which is not there"):
        RobustCheckpointer(model_and_card[0], str(tmp_path)).resume_or_load("", resume=True)


def test_a_checkpoint_of_another_backbone(model_and_card: Any, tmp_path: Path) -> None:
    model, card = model_and_card
    other = type(card)(**{**card.__dict__, "source_sha256": "00" * 32})
    RobustCheckpointer(model, str(tmp_path), card=other).save("model")
    with pytest.raises(UserError, match="fine-tuned from another backbone"):
        RobustCheckpointer(model, str(tmp_path), card=card).load(str(tmp_path / "model.pth"))


def test_a_full_disk_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys, torch\n"
        "import robust_det.detection\n"
        "from robust_det.detection.checkpointer import RobustCheckpointer\n"
        "from robust_det.core.errors import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "checkpointer = RobustCheckpointer(torch.nn.Linear(500, 500), sys.argv[1])\n"
        "checkpointer.save('model_0')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "for name in ('model_0', 'model_1'):\n"
        "    try:\n"
        "        checkpointer.save(name)\n"
        "    except UserError as error:\n"
        "        print(error)\n"
    )
    done = run_python(code, tmp_path)
    assert done.code == 0, done.err
    over, new = done.out.splitlines()
    assert "cannot write" in over and "the previous file is kept" in over
    assert "cannot write" in new and "model_1.pth" in new
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last_checkpoint", "model_0.pth"]
    assert (tmp_path / "last_checkpoint").read_text() == "model_0.pth"
    assert load_checkpoint(tmp_path / "model_0.pth")["model"]["weight"].shape == (500, 500)
