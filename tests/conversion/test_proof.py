"""What the proof refuses to prove."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.conversion import proof
from robust_det.conversion.convert import convert
from robust_det.core.errors import UserError


@pytest.fixture
def altered(tmp_path: Path, classifier_file: Path) -> Callable[..., Any]:
    """Return a function that fills all tensors of some modules and writes the file again."""

    def write(value: Any, *modules: Any) -> Any:
        content = load_checkpoint(classifier_file)
        for name, tensor in content["model"].items():
            if name.startswith(modules) and tensor.is_floating_point():
                tensor.fill_(value)
        save_checkpoint(tmp_path / "in.pth", content)
        return tmp_path / "in.pth"

    return write


@pytest.mark.parametrize(
    "modules, stage",
    [
        (("",), "res2"),
        (("layer4.",), "res5"),
        # each channel has its own value, and says it everywhere
        (("layer4.0.downsample.0", "layer4.0.conv2"), "res5"),
    ],
)
def test_a_dead_stage_is_refused(
    altered: Callable[..., Any], tmp_path: Path, modules: Any, stage: str
) -> None:
    source = altered(0, *modules)
    with pytest.raises(UserError, match=f"^features of {stage} are the same for all images: "):
        convert(source, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


def test_a_dead_branch_is_no_dead_stage(altered: Callable[..., Any], tmp_path: Path) -> None:
    done = convert(altered(0, "layer4.0.conv1.", "layer4.0.bn2."), tmp_path / "out.pth")
    assert 0 <= done.differences["real"]["res5"] <= 1e-4


def test_features_that_are_endless_are_not_called_dead(
    altered: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="features of res2 are not finite"):
        convert(altered(1e38, "layer1."), tmp_path / "out.pth")


def test_rounding_is_told_from_another_network(
    tmp_path: Path, classifier_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some networks amplify float32's rounding beyond any limit: float64 decides about them."""
    monkeypatch.setattr(proof, "TOLERANCE", 1e-12)
    done = convert(classifier_file, tmp_path / "out.pth")
    largest = max(max(stages.values()) for stages in done.differences.values())
    assert 1e-8 < largest < 1e-5  # float32's are still what is reported
    (note,) = done.notes
    found = re.fullmatch(
        r"rounding to float32 alone makes (\S+) in this network; computed in float64, the largest"
        r" difference is (\S+)",
        note,
    )
    assert float(found[1]) == pytest.approx(largest, rel=0.05) and float(found[2]) < 1e-12
    monkeypatch.setattr(proof, "_NOISE", 1e-9)
    with pytest.raises(UserError, match="features of res2 differ by"):
        convert(classifier_file, tmp_path / "noise.pth")
    monkeypatch.setattr(proof, "_NOISE", 1e-2)
    monkeypatch.setattr(proof, "_EXACT_TOLERANCE", 0.0)
    with pytest.raises(UserError, match=r"features of res2 differ by \S+ relative on random"):
        convert(classifier_file, tmp_path / "not.pth")
    assert not (tmp_path / "not.pth").exists()


def test_links_in_a_circle(tmp_path: Path, classifier_file: Path) -> None:
    circle = tmp_path / "circle.pth"
    circle.symlink_to(circle)
    with pytest.raises(UserError, match=f"^no checkpoint at {circle}$"):
        convert(circle, tmp_path / "out.pth")
    with pytest.raises(UserError, match=f"^cannot make folder {circle}: it is no folder;"):
        convert(classifier_file, circle / "out.pth")
    convert(classifier_file, circle, overwrite=True)  # the link is replaced, like any file
    assert os.path.isfile(circle) and torch.load(circle)["robust_det"]["norm"] == "l2"
