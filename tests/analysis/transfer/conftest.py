"""Records of transfers, and what is made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from robust_det.analysis.transfer.grouping import Setting, group_runs
from robust_det.analysis.transfer.runs import runs_of
from robust_det.records.store import find_records, load_records
from robust_det.records.transfer import TransferRecord
from tests.support.transfer_records import Write, writer_below


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return :func:`.write_transfer` in a folder of its own each time."""
    return writer_below(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[], list[Setting]]:
    """Return what makes settings of all records written."""

    def settings() -> list[Setting]:
        found = find_records([tmp_path / "runs"]).records
        return group_runs(runs_of(load_records(found, TransferRecord)))

    return settings
