"""Damaged or unusual numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.models.spelling import COUNTER
from tests.support import Outcome


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["layer3.0.conv1.weight", "bn1.running_var", "fc.bias"])
def test_weights_that_are_not_finite(
    tmp_path: Path, refused: Callable[..., str], state: dict[str, torch.Tensor], name: str, bad: Any
) -> None:
    path = tmp_path / "weights.pth"
    state[name].view(-1)[:2] = bad
    torch.save(state, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} is damaged or diverged: 2 of {state[name].numel()} values of {name} are NaN or"
        " Inf; take an earlier checkpoint"
    )


def test_features_that_are_not_finite(
    tmp_path: Path, refused: Callable[..., str], state: dict[str, torch.Tensor]
) -> None:
    state["layer2.0.bn1.running_var"].fill_(-1)
    torch.save(state, tmp_path / "weights.pth")
    message = refused(tmp_path / "weights.pth", tmp_path / "out.pth")
    assert message.startswith("features of res3 are not finite on random images, so ")
    assert message.endswith("is damaged or diverged; nothing was written")


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions_are_converted_and_said(
    tmp_path: Path, tool: Callable[..., Outcome], state: dict[str, torch.Tensor], kind: str
) -> None:
    dtype = getattr(torch, kind)
    given = {n: t if COUNTER in n else t.to(dtype) for n, t in state.items()}
    torch.save(given, tmp_path / "weights.pth")
    code, out, err = tool(tmp_path / "weights.pth", tmp_path / "out.pth", "--to", "torchvision")
    assert (code, err) == (0, "")
    assert f"note: weights are {kind} in the file and were converted to float32" in out.splitlines()
    written = torch.load(tmp_path / "out.pth")
    assert written.keys() == state.keys()
    for name, tensor in given.items():
        expected = tensor if COUNTER in name else tensor.float()
        assert written[name].dtype == expected.dtype and torch.equal(written[name], expected)


def test_weights_of_integers(
    tmp_path: Path, refused: Callable[..., str], state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "weights.pth"
    integers = {n: t if COUNTER in n else (16 * t).to(torch.int8) for n, t in state.items()}
    torch.save(integers, path)
    message = refused(path, tmp_path / "out.pth")
    assert message.startswith(f"{path} has conv1.weight in int8, which are no weights")


def test_weights_without_a_head_are_said_to_have_none(
    tmp_path: Path, tool: Callable[..., Outcome], state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "weights.pth"
    torch.save({n: t for n, t in state.items() if not n.startswith("fc.")}, path)
    code, out, err = tool(path, tmp_path / "out.pth", "--to", "torchvision")
    assert (code, err) == (0, "")
    assert out.startswith("resnet10_narrow, of unknown training, no classification head, source")
    assert "note: there is no head: torchvision loads the file with strict=False" in out
