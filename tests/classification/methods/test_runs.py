"""Whole runs by each method: resumed to the same bits, with their cost, and when they collapse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.classification import adversarial_step
from robust_det.classification.methods.warm_up import strength
from robust_det.classification.pretraining import Pretraining

RUNS = {
    "pgd": "TRAIN.AWP_GAMMA 0.01 TRAIN.CLEAN_SHARE 0.34 ATTACK.WARMUP_EPOCHS 0.5",
    "apgd": "TRAIN.METHOD pgd ATTACK.NAME apgd ATTACK.RANDOM_START True ATTACK.STEPS 2",
    "trades": "TRAIN.TRADES_BETA 6 MODEL.SEPARATE_NORMS True",
    "mart": "TRAIN.MART_LAMBDA 5 TRAIN.AWP_GAMMA 0.01",
    "free": "TRAIN.REPLAYS 2",
    "fast": "TRAIN.CLEAN_SHARE 0.34 MODEL.SEPARATE_NORMS True",
}
COSTS = {
    "pgd": (0.66 + 2, 0.66 + 2),
    "apgd": (3 + 1, 2 + 1),
    "trades": (2 + 2, 1 + 2),
    "mart": (1 + 4, 1 + 4),
    "free": (1, 1),
    "fast": (0.66 + 1, 0.66 + 1),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_that_was_killed_goes_on_to_the_same_bits(
    name: str,
    tmp_path: Path,
    pretrain: Any,
    killed_and_resumed: Callable[..., Any],
    assert_same_tensors: Callable[[Path, Path], None],
) -> None:
    method = () if name == "apgd" else ("TRAIN.METHOD", name)
    options = (*method, *RUNS[name].split(), "TRAIN.CHECKPOINT_STEPS", 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    outcome = pretrain(*options, "OUTPUT_DIR", whole)
    assert outcome.code == 0, outcome.err
    killed_and_resumed(*options, "OUTPUT_DIR", broken)
    assert_same_tensors(whole / "last.pth", broken / "last.pth")

    record = json.loads((broken / "record.json").read_text())
    assert record["cost"] == {
        "method": "pgd" if name == "apgd" else name,
        **({"attack": name} if name == "apgd" else {}),
        "forward": pytest.approx(COSTS[name][0]),
        "backward": pytest.approx(COSTS[name][1]),
        "images": 2 * 36,
    }
    said = f"{COSTS[name][0]:.3g} forward and {COSTS[name][1]:.3g} backward passes an image"
    steps = {"apgd": 2, "free": 3, "fast": 3}.get(name, 1)
    passes = steps + 1
    beside = f"PGD-AT by {steps} steps: {passes} forward and {passes} backward"
    assert said in outcome.out and beside in outcome.out
    assert ("in 1 epochs of 2 replays" in outcome.out) == (name == "free")
    # a plain network comes out, whatever was beside it
    weights = torch.load(broken / "final.pth", weights_only=True)
    assert not any("norms" in key for key in (*weights, *weights["model"]))
    kept = torch.load(broken / "last.pth", weights_only=True)
    assert ("clean_norms" in kept) == ("SEPARATE" in RUNS[name])
    assert ("carried" in kept) == (name == "free")
    if "clean_norms" in kept:
        assert "those of attacked images are the network's" in outcome.out
        own, other = kept["clean_norms"]["norms.0.running_mean"], kept["model"]["bn1.running_mean"]
        assert own.shape == other.shape and not torch.equal(own, other)


def test_the_warm_up_counts_the_steps_of_a_run(
    pretrain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = []
    scaled = adversarial_step.scaled

    def noted(attack: Any, share: float) -> Any:
        shares.append(share)
        return scaled(attack, share)

    monkeypatch.setattr(adversarial_step, "scaled", noted)
    assert pretrain("ATTACK.WARMUP_EPOCHS", 1.5).code == 0
    assert shares == [strength(step, 6, 1.5) for step in range(12)]
    assert shares[8] < 1 == shares[9]


_SMALLER = "a smaller ATTACK.STEP_SIZE or "
_ONE_STEP = ("ATTACK.STEPS", 1)


@pytest.mark.parametrize(
    "method, keys, accuracies, told, instead",
    [
        ("fast", (), [40.0, 30.0, 10.0], [3], f"{_SMALLER}TRAIN.METHOD pgd and more ATTACK.STEPS"),
        ("fast", (), [40.0, 10.0, 30.0], [2], f"{_SMALLER}TRAIN.METHOD pgd and more ATTACK.STEPS"),
        ("fast", (), [40.0, 30.0, 20.0], [], ""),
        ("pgd", ("ATTACK.STEPS", 2), [40.0, 30.0, 10.0], [], ""),
        ("pgd", _ONE_STEP, [40.0, 30.0, 10.0], [3], f"{_SMALLER}more ATTACK.STEPS"),
        # APGD refuses a step size
        ("pgd", (*_ONE_STEP, "ATTACK.NAME", "apgd"), [40.0, 30.0, 10.0], [3], "more ATTACK.STEPS"),
    ],
)
def test_a_collapse_is_told_and_the_weights_of_before_are_meant(
    method: str,
    keys: tuple[Any, ...],
    accuracies: list[float],
    told: list[int],
    instead: str,
    tmp_path: Path,
    pretrain: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = iter(accuracies)
    validate = Pretraining.validate

    def measured(self: Pretraining, stop: Callable[[], bool]) -> dict[str, float]:
        return {**validate(self, stop), "adversarial_top1": next(left)}

    monkeypatch.setattr(Pretraining, "validate", measured)
    outcome = pretrain("TRAIN.EPOCHS", 3, "TRAIN.METHOD", method, *keys)
    assert outcome.code == 0, outcome.err
    best = tmp_path / "run" / "best.pth"
    warnings = [
        "training by one step has collapsed: accuracy under attack is 10.00% after epoch"
        f" {epoch}, and was 40.00% after epoch 1, whose weights are in {best}; take those, or begin"
        f" anew with {instead}\n"
        for epoch in told
    ]
    said = outcome.out + outcome.err
    assert said.count("has collapsed") == len(told)
    assert all(warning in said for warning in warnings)
    command = f"robust-det convert {best} output/backbones/tiny.pth"
    assert (command in said) == (told == [3])
    assert torch.load(best, weights_only=True)["step"] == 6
