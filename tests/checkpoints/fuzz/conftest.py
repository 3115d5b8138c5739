"""The registry while these tests run, and readers of bytes and of the undamaged files."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from robust_det.checkpoints.model import Model
from robust_det.models import ARCHITECTURES

from .files import BASES
from .networks import SMALL, TINY, register_networks
from .reading import examine, examine_bytes, warm_up


@pytest.fixture(scope="module", autouse=True)
def networks() -> Iterator[None]:
    gc.collect()  # what other tests left might open files at the end of its life
    before = dict(ARCHITECTURES)
    register_networks()
    # the other networks would take most of the time; the bombs meet them all
    for name in ARCHITECTURES.keys() - {TINY, SMALL, "resnet18"}:
        del ARCHITECTURES[name]
    yield
    ARCHITECTURES.clear()
    ARCHITECTURES.update(before)


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[bytes], Model | str]:
    """Return :func:`examine` of bytes."""
    path, marker = tmp_path / "file", tmp_path / "executed"
    warm_up(path)

    def run(data: bytes) -> Model | str:
        result = examine_bytes(path, data)
        assert not marker.exists()
        return result

    return run


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The networks in the files before they are damaged."""
    folder = tmp_path_factory.mktemp("intact")
    models = {}
    for name, data in BASES.items():
        (folder / name).write_bytes(data)
        model = examine(folder / name)
        assert isinstance(model, Model), model
        models[name] = model
    return models
