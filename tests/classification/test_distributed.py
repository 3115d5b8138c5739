"""Two processes on the CPU, by torchrun and gloo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.checkpoint_evaluation import evaluate_checkpoint
from robust_det.classification.settings import load_config

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")

# writes what each process ends with
WORKER = """
import os, sys
from pathlib import Path
import torch
from robust_det.core.device import resolve_device
from robust_det.classification.settings import load_config
from robust_det.training.world import joined_world
from robust_det.classification.pretraining import pretraining_engine
cfg = load_config(sys.argv[1])
device = resolve_device(cfg.DEVICE)
with joined_world(device) as world:
    run = pretraining_engine(cfg, "tiny", device, world, False)
    run.run()
    torch.save(
        {"model": run.state.network.state_dict(), "ema": run.state.average.network.state_dict()},
        Path(sys.argv[2]) / f"rank{world.rank}.pth",
    )
"""


@pytest.mark.slow
def test_two_processes_end_with_one_network(
    tmp_path: Path, tiny: Path, finish: Any, pretrain: Any
) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    process = subprocess.Popen(
        [sys.executable, *TORCHRUN, str(tmp_path / "worker.py"), str(tiny), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    outcome = finish(process)
    assert outcome.code == 0, outcome.err
    ranks = [torch.load(tmp_path / f"rank{i}.pth", weights_only=True) for i in range(2)]
    for kind in ("model", "ema"):
        for name, value in ranks[0][kind].items():
            assert torch.equal(value, ranks[1][kind][name]), (kind, name)

    folder = tmp_path / "run"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    record = json.loads((folder / "record.json").read_text())
    assert record["processes"] == 2

    # 15 images over 2 processes, 8 and 7: the same numbers as one process finds
    alone = evaluate_checkpoint(load_config(str(tiny)), NetworkFile(folder / "final.pth"))
    assert alone == {k: lines[-1][k] for k in alone}

    error = pretrain("--resume").error
    assert "was written by 2 processes, this run has 1" in error


@pytest.mark.slow
def test_an_error_in_a_worker_comes_out_as_its_line(start: Any, finish: Any) -> None:
    outcome = finish(start("DATA.ROOT", "/nowhere", launcher=TORCHRUN))
    assert outcome.code != 0
    lines = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert 1 <= len(lines) <= 2  # one a process
    for line in lines:
        assert re.fullmatch(r"error: \[process \d\] no folder /nowhere/train; DATA\.ROOT .*", line)
