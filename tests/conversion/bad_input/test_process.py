"""The command line as a real process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from robust_det.models import build_classifier
from robust_det.models.spelling import COUNTER
from tests.support import run_tool

from .network import ARCH


def test_the_command_line_in_a_process_of_its_own(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    torch.save(nn.DataParallel(build_classifier(ARCH, 10).body), tmp_path / "whole.pth")
    there: dict[str, Any] = {"process": True, "cwd": tmp_path}
    done = run_tool("convert_backbone", "whole.pth", "out.pth", **there)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "error: whole.pth holds an object of class torch.nn.parallel.data_parallel.DataParallel,"
        " which is not rebuilt, since that would run code; save the network's state_dict()"
        " instead\n"
    )
    assert not (tmp_path / "out.pth").exists()

    half = {n: t if COUNTER in n else t.half() for n, t in state.items()}
    torch.save(half, tmp_path / "half.pth")
    done = run_tool("convert_backbone", "half.pth", "out.pth", **there)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1:5] == [
        "read as: state dict in torchvision's names",
        "PIXEL_MEAN [123.675, 116.28, 103.53], PIXEL_STD [58.395, 57.12, 57.375], INPUT.FORMAT RGB",
        "note: weights are float16 in the file and were converted to float32",
        "note: the file does not say its normalisation; ImageNet's mean and std are assumed",
    ]
