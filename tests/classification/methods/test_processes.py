"""Two processes learn as one does, by every method."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from robust_det.training.world import World
from tests.support.method_steps import CASES, states_after_steps
from tests.support.tools import ROOT


@pytest.mark.slow
def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    code = (
        "from robust_det.training.spawning import spawn\n"
        "from tests.support.method_steps import write_states\n"
        f"spawn(write_states, ({str(tmp_path)!r},), 2)"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    alone = states_after_steps(World())
    first, second = (torch.load(tmp_path / f"{rank}.pth", weights_only=True) for rank in (0, 1))
    for name in CASES:
        for key, value in alone[name].items():
            assert torch.equal(first[name][key], second[name][key]), (name, key)
            if name != "separate":
                torch.testing.assert_close(first[name][key], value, atol=2e-6, rtol=1e-4)
