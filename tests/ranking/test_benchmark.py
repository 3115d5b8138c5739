from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.mark.slow  # a process of its own
def test_the_small_mode_runs_and_its_table_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, record = ROOT / "benchmarks", tmp_path / "rank.jsonl"
    monkeypatch.syspath_prepend(folder)  # as for a script that is started

    def printed(*arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["rank.py", *map(str, arguments)])
        runpy.run_path(str(folder / "rank.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    assert " s of processor time)" in printed("--small", "--output", record)[-1]
    [result] = map(json.loads, record.read_text().splitlines())
    assert result["boxes"] > 10 and result["processor_seconds"] > 0
    head, _, row = printed("--table", record)
    assert head.count("|") == row.count("|")
    assert row.startswith("| 2 resnet10_narrow | 6 at 64 px | ")
