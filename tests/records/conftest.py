"""The records under docs/results, as they are read and as they are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from robust_det.records import Record
from robust_det.records.store import find_records, load_records
from tests.support import ROOT

RESULTS = ROOT / "docs" / "results"


@pytest.fixture(scope="session")
def records() -> list[tuple[Path, Record]]:
    """Those of this project's studies, of two schemas and four kinds."""
    return load_records(find_records([RESULTS]).records)


@pytest.fixture(scope="session")
def plain(records: list[tuple[Path, Record]]) -> dict[str, dict[str, Any]]:
    """The same as plain JSON, by their paths."""
    return {str(path): json.loads(path.read_text()) for path, _ in records}
