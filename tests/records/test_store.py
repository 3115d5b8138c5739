"""Where records are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.records.store import Readable, find_records, load_records
from tests.support import ROOT


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


def test_records_that_are_not_kept_are_read_again_and_what_cannot_be_is_said_once(
    tmp_path: Path,
) -> None:
    good = find_records([ROOT / "docs/results/first-run/runs"]).records[:2]
    bad = tmp_path / "record.json"
    bad.write_text("{")
    said: list[Path] = []
    records = Readable([good[0], bad, good[1]], lambda path, error: said.append(path))
    assert records.complete  # nothing has been read
    first, second = ([(path, one.name) for path, one in records] for _ in range(2))
    assert first == second and [path for path, _ in first] == list(good)
    assert said == [bad] and not records.complete
