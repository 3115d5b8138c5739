"""Our adversarial examples against those recorded from the `robustness` library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.models import Classifier

VECTORS = Path(__file__).parent.parent / "fixtures" / "robustness_vectors.pt"
RECORDED = torch.load(VECTORS, weights_only=True)


@pytest.fixture(scope="module")
def model() -> Classifier:
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    body.load_state_dict(RECORDED["weights"])
    # in train mode: it is `frozen` that switches to eval
    return Classifier(body, RECORDED["mean"], RECORDED["std"]).train()


def name_of(case: dict[str, Any]) -> str:
    iterate = "best" if case["best"] else "last"
    start = "-started" if "start" in case else ""
    return f"{case['norm']}-{case['eps']:.3g}-{case['steps']}-{iterate}{start}"


@pytest.mark.parametrize("case", RECORDED["cases"], ids=name_of)
def test_examples_equal_the_library_s(case: dict[str, Any], model: Classifier) -> None:
    attack = PGD(
        make_threat(case["norm"], case["eps"]),
        case["steps"],
        case["step_size"],
        best_iterate=case["best"],
    )
    images = RECORDED["pixels"].float() / 255
    with frozen(model) as network:
        objective = classifier_objective(network, RECORDED["targets"])
        ours = attack(objective, images, start=case.get("start"))
    assert (ours - case["result"]).abs().max() <= 1e-5
    assert (ours - images).abs().max() > 0.5 / 255


def test_the_cases_tell_best_from_last_iterate() -> None:
    cases = RECORDED["cases"]
    pairs = [
        (a["result"], b["result"])
        for a in cases
        for b in cases
        if a["norm"] == b["norm"] and a["eps"] == b["eps"] and a["steps"] == b["steps"] == 3
        if a["best"] and not b["best"] and "start" not in a
    ]
    assert len(pairs) == 6
    assert any((best - last).abs().max() > 1e-3 for best, last in pairs)
