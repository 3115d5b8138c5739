"""The command line of the converter, and files it can or cannot use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from robust_det.models import Classifier, build_classifier
from tests import support
from tests.support import Outcome

from .network import ARCH


@pytest.fixture
def network(randomise: Callable[..., Classifier]) -> torch.nn.Module:
    torch.manual_seed(0)
    return randomise(build_classifier(ARCH, 10)).body


@pytest.fixture
def state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return network.state_dict()


@pytest.fixture
def source(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    """A file that can be converted."""
    torch.save(state, tmp_path / "good.pth")
    return tmp_path / "good.pth"


@pytest.fixture
def tool() -> Callable[..., Outcome]:
    return functools.partial(support.run_tool, "convert_backbone")


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Return a function that expects the converter to refuse its arguments, and returns the line;
    no file below ``tmp_path`` changes."""
    return functools.partial(support.refused, "convert_backbone", untouched=tmp_path)
