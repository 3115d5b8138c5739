"""A transfer by SGD in two processes on the CPU, by torchrun and gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score

from robust_det import load_classifier
from robust_det.models.stages import tensor_stages
from tests.support.sgd_transfer import Transfer, colours, state_of, tensors
from tests.support.tools import ROOT

KEYS = {
    "DATA.IMAGE_SIZE": 32,
    "DATA.RESIZE": 32,
    "DATA.WORKERS": 0,
    "DEVICE": "cpu",
    "EVAL.EPS": 0,
    "OPTIM.LR": [0.01, 0.001],
    "TRAIN.EPOCHS": 1,
    "TRAIN.BATCH_SIZE": 6,
    "TRANSFER.FREEZE": "res3",
    "TRANSFER.MODE": "full-network",
}


@pytest.mark.slow
def test_two_processes_train_one_network_and_measure_what_one_does(
    tmp_path: Path, classifier_file: Path
) -> None:
    root, out = colours(tmp_path / "images"), tmp_path / "run"
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(ROOT / "tools/transfer.py")),
            *("--data", str(root), "--backbone", str(classifier_file), "--output", str(out)),
            *(str(word) for pair in KEYS.items() for word in pair),
        ],
        check=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )
    record = json.loads((out / "record.json").read_text())
    assert record["processes"] == 2 and len(record["selection"]["tried"]) == 2
    backbone, stages = tensors(classifier_file), tensor_stages("resnet10_narrow")
    ours = tensors(out / "final/final.pth")
    same = {name for name in ours if torch.equal(ours[name], backbone[name])}
    assert same == {name for name, stage in stages.items() if stage in ("stem", "res2", "res3")}
    assert len(state_of(out / "final/last.pth")["rng"]) == 2

    settings = {key.replace(".", "__"): value for key, value in KEYS.items()}
    transfer = Transfer(root, classifier_file, out)
    images = transfer.data(**settings).images(transfer.cfg(**settings), "test")
    pixels = torch.stack([images[0, i][0] for i in range(len(images))]).float() / 255
    predicted = load_classifier(out / "final.pth")(pixels).argmax(1).numpy()
    expected = 100 * balanced_accuracy_score(images.targets, predicted)
    assert record["metrics"]["mean_per_class"] == pytest.approx(expected)
