"""What a backbone's file settles of a config."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.core.errors import UserError
from robust_det.transfer.resolve import normalisation, resolved
from robust_det.transfer.settings import explain
from tests.transfer.conftest import write_backbone

SGD = ("TRANSFER.MODE", "full-network")


def read(tmp_path: Path, eps: float | None) -> Model:
    return NetworkFile(write_backbone(tmp_path / f"{eps}.pth", eps=eps)).read()


def threat(model: Model, *pairs: str) -> tuple[str, float]:
    cfg, _ = explain(None, ["DATA.ROOT", "x", *pairs])
    cfg, _ = resolved(cfg, model, "b.pth")
    return cfg.EVAL.NORM, cfg.EVAL.EPS


def test_accuracy_is_measured_under_the_backbones_threat_model(tmp_path: Path) -> None:
    robust, standard, unknown = (read(tmp_path, eps) for eps in (0.5, 0.0, None))
    assert threat(robust) == ("l2", 0.5)
    assert threat(standard)[1] == threat(unknown)[1] == 0
    asked = ("EVAL.NORM", "linf", "EVAL.EPS", "4/255")
    assert {threat(model, *asked) for model in (robust, standard, unknown)} == {("linf", 4 / 255)}
    with pytest.raises(UserError, match=r"EVAL\.NORM linf needs EVAL\.EPS: eps 0\.5 of b\.pth"):
        threat(robust, "EVAL.NORM", "linf")


def test_what_is_trained_against_is_measured_where_the_backbone_has_no_eps(tmp_path: Path) -> None:
    trained = (*SGD, "ATTACK.NORM", "linf", "ATTACK.EPS", "2/255")
    for eps in (0.0, None):
        assert threat(read(tmp_path, eps), *trained) == ("linf", 2 / 255)
    assert threat(read(tmp_path, 0.5), *trained) == ("l2", 0.5)
    with pytest.raises(UserError, match=r"EVAL\.NORM l2 needs EVAL\.EPS: ATTACK\.EPS"):
        threat(read(tmp_path, 0.0), *trained, "EVAL.NORM", "l2")


def test_sizes_are_those_of_the_backbone_unless_asked_for(tmp_path: Path) -> None:
    model = read(tmp_path, 0.5)
    cfg, _ = explain(None, ["DATA.ROOT", "x"])
    own, remarks = resolved(cfg, model, "b.pth")
    assert (own.DATA.IMAGE_SIZE, own.DATA.RESIZE) == (32, 37)
    assert own.DATA.WORKERS >= 1 and not remarks
    cfg.defrost()
    cfg.DATA.IMAGE_SIZE = 64
    own, [remark] = resolved(cfg, model, "b.pth")
    assert own.DATA.RESIZE == 73 and "was trained on images of 32 px" in remark
    cfg.DATA.RESIZE = 60
    with pytest.raises(UserError, match=r"DATA\.RESIZE 60 must not be below"):
        resolved(cfg, model, "b.pth")


def test_the_papers_normalisation_is_none_but_for_cifar(tmp_path: Path) -> None:
    model = dataclasses.replace(read(tmp_path, 0.5), mean=(0.1, 0.2, 0.3))
    cfg, _ = explain(None, ["DATA.ROOT", "x"])
    assert normalisation(cfg, model)[0] == (0.1, 0.2, 0.3)
    cfg, _ = explain(None, ["DATA.ROOT", "x", "PAPER.NORMALISATION", "True"])
    assert normalisation(cfg, model) == ((0, 0, 0), (1, 1, 1))
    cfg, _ = explain(None, ["DATA.ROOT", "x", "DATA.SET", "cifar10", "PAPER.NORMALISATION", "True"])
    assert normalisation(cfg, model)[0] == pytest.approx((0.4914, 0.4822, 0.4465))
