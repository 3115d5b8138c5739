"""``TRAIN.COMPILE`` builds real kernels, so these need a C++ compiler and some seconds."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.attacks import PGD, make_threat
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.models import Classifier

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="no compiler"),
]


def test_a_compiled_step_equals_an_eager_one() -> None:
    torch.manual_seed(0)
    # small: most of the time goes into the compiler
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    eager = Classifier(body.append(nn.Linear(900, 4)))
    compiled = copy.deepcopy(eager)
    compiled.compile()
    pixels = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
    targets = torch.arange(4)
    attack = PGD(make_threat("l2", 0.5), 2, 1 / 3)
    results = []
    for model in (eager, compiled):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        step = TrainingStep(model, model, optimizer, attack)
        results.append([step(pixels, targets)[0].item() for _ in range(3)])
    assert results[1] == pytest.approx(results[0], rel=1e-3)
    # the names in a checkpoint do not tell
    assert list(compiled.state_dict()) == list(eager.state_dict())
    for a, b in zip(eager.parameters(), compiled.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=1e-2)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] >= 2
    assert not torch._dynamo.utils.counters["graph_break"]


def test_the_switch_compiles_training_attack_and_validation(
    tmp_path: Path, pretrain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters = torch._dynamo.utils.counters
    counters.clear()
    # traced by the real thing, run by the plain kernels: no compiler, and the very same numbers
    monkeypatch.setattr(
        Classifier, "compile", lambda self: nn.Module.compile(self, backend="eager")
    )
    options = ("TRAIN.EPOCHS", 1, "TRAIN.CHANNELS_LAST", True, "ATTACK.ITERATE", "best")
    for compiled in (False, True):
        outcome = pretrain(
            *options, "TRAIN.COMPILE", compiled, "OUTPUT_DIR", tmp_path / f"{compiled}"
        )
        assert outcome.code == 0, outcome.err
        assert (counters["stats"]["unique_graphs"] > 0) == compiled
    a, b = (
        torch.load(tmp_path / name / "final.pth", weights_only=True)["model"]
        for name in ("False", "True")
    )
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], atol=1e-5, rtol=1e-4)
