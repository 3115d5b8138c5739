"""The command line as a real process."""

from __future__ import annotations

import subprocess
import sys

import torch
from torch import nn

from robust_det.models import build_classifier
from robust_det.models.spelling import COUNTER

from .tool import ARCH, TOOL


def test_the_command_line_in_a_process_of_its_own(tmp_path, state):
    def run(*arguments):
        command = [sys.executable, TOOL, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    torch.save(nn.DataParallel(build_classifier(ARCH, 10).body), tmp_path / "whole.pth")
    done = run("whole.pth", "out.pth")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: whole.pth holds an object of class torch.nn.parallel.data_parallel.DataParallel,"
        " which is not rebuilt, since that would run code; save the network's state_dict()"
        " instead\n"
    )
    assert not (tmp_path / "out.pth").exists()

    half = {n: t if COUNTER in n else t.half() for n, t in state.items()}
    torch.save(half, tmp_path / "half.pth")
    done = run("half.pth", "out.pth")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:5] == [
        "read as: state dict in torchvision's names",
        "PIXEL_MEAN [123.675, 116.28, 103.53], PIXEL_STD [58.395, 57.12, 57.375], INPUT.FORMAT RGB",
        "note: weights are float16 in the file and were converted to float32",
        "note: the file does not say its normalisation; ImageNet's mean and std are assumed",
    ]
