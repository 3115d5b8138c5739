"""Miniature trees of the sets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from tests.support.transfer_trees import TREES


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that writes the official layout of a set, and returns its folder."""
    kept = [
        (official, key, copy.deepcopy(getattr(official, key)))
        for official in (CIFAR10, CIFAR100)
        for key in ("train_list", "test_list", "meta")
    ]

    def make(name: str) -> Path:
        root = tmp_path / name
        root.mkdir()
        TREES[name](root)
        return root

    yield make
    # a tree of CIFAR has put its own MD5s into them
    for official, key, value in kept:
        setattr(official, key, value)
