"""Where records are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.records.store import find_records, load_records


def test_the_nearest_records_are_found_once_and_in_order(tmp_path: Path) -> None:
    for name in ("b", "a", "a/eval", "deep/er/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "record.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    found = find_records([tmp_path])
    assert [str(p.parent.relative_to(tmp_path)) for p in found.records] == ["a", "b", "deep/er/c"]
    assert found.without == ()
    mixed = [tmp_path / "b", tmp_path / "link", tmp_path / "a/eval", tmp_path / "empty", tmp_path]
    found = find_records(mixed)
    names = [str(p.parent.relative_to(tmp_path)) for p in found.records]
    assert names == ["b", "a/eval", "a", "deep/er/c"]
    assert found.without == (tmp_path / "empty",)


def test_a_file_that_is_not_there_is_said_when_it_is_read(tmp_path: Path) -> None:
    missing = find_records([tmp_path / "gone"]).records
    with pytest.raises(UserError, match=f"no run record at {tmp_path / 'gone'}"):
        load_records(missing)
