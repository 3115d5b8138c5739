from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.core.journal import Journal, OtherSettings, UnreadableJournal

SETTINGS = {"weights": "aa", "eps": [0.25, 1 / 3], "deep": {"x": 1}}


def test_what_is_kept_is_there_again_but_for_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "made" / "journal.jsonl"
    journal = Journal(path, SETTINGS)
    journal.add([{"n": 1}, {"n": 2, "name": "\udcff"}])
    journal.add([])
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"n": 3')
    again = Journal(path, SETTINGS)
    assert again.results == journal.results == [{"n": 1}, {"n": 2, "name": "\udcff"}]
    assert path.read_bytes() == whole
    again.add([{"n": 3}])
    assert Journal(path, SETTINGS).results[2:] == [{"n": 3}]
    assert Journal(path, SETTINGS, anew=True).results == []


def test_other_settings_and_other_files_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, SETTINGS)
    with pytest.raises(OtherSettings) as caught:
        Journal(path, {**SETTINGS, "deep": {"x": 2}})
    assert caught.value.differing == ["deep.x: 1 -> 2"]
    for content in ("", "x\n", "[1]\n", '{"a": 1}\n', '{"settings": 3}\n'):
        path.write_text(content)
        with pytest.raises(UnreadableJournal, match="cannot be read"):
            Journal(path, SETTINGS)
