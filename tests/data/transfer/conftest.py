"""Miniature trees of the sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.transfer_trees import trees_below


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that writes the official layout of a set, and returns its folder."""
    with trees_below(tmp_path) as make:
        yield make
