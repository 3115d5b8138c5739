"""Transfers by SGD that were stopped go on exactly, or not at all."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.core.errors import UserError
from robust_det.transfer.sgd.task import TransferTask
from tests.support.sgd_transfer import Transfer, state_of

TWO: dict[str, Any] = {
    "TRANSFER__MODE": "full-network",
    "OPTIM__LR": [0.01, 0.001],
    "OPTIM__EMA_DECAY": 0.5,
    "OPTIM__SCHEDULE": "cosine",
}
ONE: dict[str, Any] = {**TWO, "OPTIM__LR": 0.01}


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Compare all of two checkpoints bit by bit, but for clocks and the folder."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert list(a) == list(b), where
        for key in a:
            if key not in ("seconds", "OUTPUT_DIR"):
                assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def test_a_transfer_that_was_stopped_goes_on_bit_for_bit(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = Transfer(transfer.root, transfer.backbone, tmp_path / "whole")
    expected = whole(**TWO)
    validations = 0
    accuracies = TransferTask.accuracies

    def interrupted(
        self: TransferTask, model: nn.Module, stop: Callable[[], bool]
    ) -> dict[str, float]:
        nonlocal validations
        validations += 1
        if validations == 3:  # the first of the second run
            os.kill(os.getpid(), signal.SIGTERM)
        return accuracies(self, model, stop)

    with monkeypatch.context() as patch:
        patch.setattr(TransferTask, "accuracies", interrupted)
        with pytest.raises(SystemExit) as ended:
            transfer(**TWO)
    assert ended.value.code == 143
    first = transfer.output / "choice/lr0.01_wd0.0005/last.pth"
    second = transfer.output / "choice/lr0.001_wd0.0005/last.pth"
    assert (state_of(first)["step"], state_of(second)["step"]) == (8, 4)
    assert not (transfer.output / "final").exists()
    with pytest.raises(UserError, match="holds a run; pass --resume"):
        transfer(**TWO)
    time = first.stat().st_mtime_ns
    outcome = transfer(**TWO, resume=True)
    assert first.stat().st_mtime_ns == time
    assert (outcome.chosen, outcome.tried) == (expected.chosen, expected.tried)
    for name in ("choice/lr0.01_wd0.0005", "choice/lr0.001_wd0.0005", "final"):
        ours, theirs = (state_of(each.output / name / "last.pth") for each in (transfer, whole))
        assert ours["optimizer"]["state"] and ours["ema"]
        assert_same(ours, theirs)


def test_a_finished_transfer_is_not_trained_again_and_refuses_what_it_was_not(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    outcome = transfer(**ONE, TRAIN__EPOCHS=1)
    before = outcome.weights.stat().st_mtime_ns

    def refuse(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(TransferTask, "update", refuse)
    again = transfer(**ONE, TRAIN__EPOCHS=1, DATA__WORKERS=1, EVAL__BATCH_SIZE=7, resume=True)
    assert again.weights.stat().st_mtime_ns == before and again.chosen == outcome.chosen
    last = transfer.output / "final/last.pth"
    state = state_of(last)  # as before there were methods
    del state["config"]["TRAIN"]["METHOD"], state["config"]["ATTACK"]["WARMUP_EPOCHS"]
    torch.save(state, last)
    assert transfer(**ONE, TRAIN__EPOCHS=1, resume=True).chosen == outcome.chosen

    with pytest.raises(UserError, match=r"another config \(OPTIM\.LR: 0\.01 -> 0\.02\)"):
        transfer(**{**ONE, "OPTIM__LR": 0.02}, TRAIN__EPOCHS=1, resume=True)

    other = tmp_path / "other.pth"
    content = state_of(transfer.backbone)
    content["model"]["conv1.weight"][0, 0, 0, 0] += 1
    torch.save(content, other)
    with pytest.raises(UserError) as raised:
        Transfer(transfer.root, other, transfer.output)(**ONE, TRAIN__EPOCHS=1, resume=True)
    assert str(raised.value) == (
        f"{last} is of a run with the backbone {transfer.backbone}, not with {other}, which is"
        " another file; choose another OUTPUT_DIR"
    )

    def relabelled(data: Any) -> Any:
        first, *rest = data.manifest.train
        odd = dataclasses.replace(first, label="green")
        manifest = dataclasses.replace(data.manifest, train=(odd, *rest))
        return dataclasses.replace(data, manifest=manifest)

    with pytest.raises(UserError, match="other images, labels or splits than those of"):
        transfer(**ONE, TRAIN__EPOCHS=1, resume=True, change=relabelled)


def test_weights_that_are_gone_are_written_again_or_said(transfer: Transfer) -> None:
    outcome = transfer(**ONE, TRAIN__EPOCHS=1, PAPER__BEST_EPOCH=True)
    final = outcome.weights.with_name("final.pth")
    expected = state_of(final)
    final.unlink()
    transfer(**ONE, TRAIN__EPOCHS=1, PAPER__BEST_EPOCH=True, resume=True)
    assert_same(state_of(final), expected)
    outcome.weights.unlink()
    with pytest.raises(UserError, match=r"is finished, and its best\.pth is gone; put it back"):
        transfer(**ONE, TRAIN__EPOCHS=1, PAPER__BEST_EPOCH=True, resume=True)


def test_another_rate_that_is_added_is_all_that_is_trained(
    transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfer(**TWO, TRAIN__EPOCHS=1)
    trained = set()
    update = TransferTask.update

    def watched(self: TransferTask, *how: Any) -> Any:
        trained.add(self.run.folder.name)
        return update(self, *how)

    monkeypatch.setattr(TransferTask, "update", watched)
    more: dict[str, Any] = {**TWO, "OPTIM__LR": [0.01, 0.001, 0.00001]}
    outcome = transfer(**more, TRAIN__EPOCHS=1, resume=True)
    assert trained == {"lr1e-05_wd0.0005"} and len(outcome.tried) == 3

    # the last run of another choice is not taken for that of this one
    monkeypatch.setattr(TransferTask, "score", lambda self, values: 101.0)
    more["OPTIM__LR"] = [0.01, 0.001, 0.02]
    with pytest.raises(UserError) as raised:
        transfer(**more, TRAIN__EPOCHS=1, resume=True)
    assert str(raised.value) == (
        f"{transfer.output}/final/last.pth is of a run at the learning rate 0.01 and weight decay"
        " 0.0005, which was chosen from others, and 0.02 and 0.0005 are chosen now; delete"
        f" {transfer.output}/final, or choose another OUTPUT_DIR"
    )
