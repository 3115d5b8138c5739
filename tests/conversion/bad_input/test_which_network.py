"""Files that could be several networks, or hold several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.checkpoints.model_file import read_model
from robust_det.models import (
    ARCHITECTURES,
    build_classifier,
)
from robust_det.models.catalogue import _narrow
from robust_det.models.registry import Architecture, ResNetLayout, register
from tests.support import Outcome

from .network import ARCH


@pytest.fixture
def twin() -> Iterator[None]:
    """Another architecture with the tensors of the narrow network."""
    layout = ResNetLayout((1, 1, 1, 1), False, 16, 16, 16)
    register(
        Architecture(
            "resnet10_twin", _narrow, head="fc", stem="maxpool", stages=layout.stages, layout=layout
        )
    )
    yield
    del ARCHITECTURES["resnet10_twin"]


def test_two_architectures_that_it_could_be(
    twin: None,
    source: Path,
    tmp_path: Path,
    refused: Callable[..., str],
    tool: Callable[..., Outcome],
) -> None:
    assert refused(source, tmp_path / "out.pth") == (
        f"{source} could be resnet10_narrow or resnet10_twin; say which with --arch resnet10_narrow"
    )
    for arch in (ARCH, "resnet10_twin"):
        code, out, err = tool(source, tmp_path / f"{arch}.pth", "--arch", arch)
        assert (code, err) == (0, "") and out.startswith(f"{arch}, ")
        # the answer is kept in the file
        assert read_model(tmp_path / f"{arch}.pth").arch == arch
    assert refused(tmp_path / f"{ARCH}.pth", tmp_path / "out.pth", "--arch", "resnet10_twin") == (
        f"{tmp_path / ARCH}.pth says that it is resnet10_narrow, but its tensors are those of"
        " resnet10_twin"
    )


@pytest.mark.parametrize("together", [False, True])
def test_two_networks_in_one_file(
    tmp_path: Path,
    refused: Callable[..., str],
    tool: Callable[..., Outcome],
    state: dict[str, torch.Tensor],
    together: bool,
) -> None:
    path = tmp_path / "weights.pth"
    other = build_classifier(ARCH, 10).body.state_dict()
    if together:
        content: dict[str, Any] = {f"student.{n}": t for n, t in state.items()}
        content.update({f"teacher.{n}": t for n, t in other.items()})
        student, teacher = "student.", "teacher."
    else:
        content = {"student": state, "teacher": other}
        student, teacher = "student/", "teacher/"
    torch.save(content, path)
    assert refused(path, tmp_path / "out.pth") == (
        f"{path} holds 2 different networks resnet10_narrow, at '{student}', '{teacher}'; choose"
        f" with --prefix '{student}'"
    )
    assert refused(path, tmp_path / "out.pth", "--prefix", "pupil") == (
        f"{path} has no network at --prefix 'pupil', but at '{student}', '{teacher}'"
    )
    for place, expected in ((student, state), (teacher, other)):
        code, _, err = tool(path, tmp_path / "out.pth", "--prefix", place, "--overwrite")
        assert (code, err) == (0, "")
        read = read_model(tmp_path / "out.pth").state
        assert all(torch.equal(read[name], tensor) for name, tensor in expected.items())


def test_an_object_beside_two_networks_is_not_the_problem(
    tmp_path: Path, refused: Callable[..., str], state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "weights.pth"
    other = build_classifier(ARCH, 10).body.state_dict()
    torch.save({"student": state, "teacher": other, "criterion": nn.CrossEntropyLoss()}, path)
    assert "choose with --prefix 'student/'" in refused(path, tmp_path / "out.pth")


def test_two_names_of_one_network_are_one(
    tmp_path: Path, tool: Callable[..., Outcome], state: dict[str, torch.Tensor]
) -> None:
    both = {**{f"a.{n}": t for n, t in state.items()}, **{f"b.{n}": t for n, t in state.items()}}
    torch.save(both, tmp_path / "weights.pth")
    code, _, err = tool(tmp_path / "weights.pth", tmp_path / "out.pth")
    assert (code, err) == (0, "")
