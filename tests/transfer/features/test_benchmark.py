from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from tests.support import ROOT


def test_the_small_mode_runs_and_its_table_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, record = ROOT / "benchmarks", tmp_path / "features.jsonl"
    monkeypatch.syspath_prepend(folder)  # as for a script that is started

    def printed(*arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["features.py", *map(str, arguments)])
        runpy.run_path(str(folder / "features.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    assert "resnet10_narrow at 32 px" in printed("--small", "--output", record)[-1]
    [result] = map(json.loads, record.read_text().splitlines())
    assert result["ms"].keys() == {"extraction", "bare", "own pass"}
    # both sides computed the same features
    assert 0 < result["apart"] < 1e-4
    head, _, row = printed("--table", record)
    assert head.count("|") == row.count("|")
    assert row.startswith("| resnet10_narrow | 32 | 96 x 72 |")
