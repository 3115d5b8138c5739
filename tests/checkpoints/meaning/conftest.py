"""Files of small networks, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.core.errors import UserError
from robust_det.models import Classifier, build_classifier


@pytest.fixture(scope="module")
def network(randomise: Callable[..., Classifier]) -> Callable[..., Any]:
    """Return a function that makes a network, with statistics of no other seed's."""

    def make(seed: int = 0, arch: str = "resnet10_narrow") -> Any:
        torch.manual_seed(seed)
        return randomise(build_classifier(arch, 10), seed).body

    return make


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Model]:
    """Return a function that saves a content and reads it as a network."""

    def run(content: Any, **how: Any) -> Model:
        torch.save(content, tmp_path / "source.pth")
        return read_model(tmp_path / "source.pth", **how)

    return run


@pytest.fixture
def refused(read: Callable[..., Model]) -> Callable[..., str]:
    """Return a function that expects a content to be refused, and returns what is said of it."""

    def run(content: Any, **how: Any) -> str:
        with pytest.raises(UserError) as caught:
            read(content, **how)
        assert str(caught.value).count("\n") == 0
        return str(caught.value).split("source.pth ", 1)[1]

    return run
