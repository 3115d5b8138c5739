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
    folder, record = ROOT / "benchmarks", tmp_path / "probes.jsonl"
    monkeypatch.syspath_prepend(folder)  # as for a script that is started

    def printed(*arguments: object) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["probes.py", *map(str, arguments)])
        runpy.run_path(str(folder / "probes.py"), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    assert "3 of 3 strengths measured" in printed("--small", "--output", record)[-1]
    [result] = map(json.loads, record.read_text().splitlines())
    assert all(fit["ours"]["converged"] for fit in result["fits"])
    for fit in result["fits"]:
        # scikit-learn stops a little above the optimum
        assert fit["ours"]["objective"] < fit["theirs"]["objective"] * (1 + 1e-5)
    head, _, row = printed("--table", record)
    assert head.count("|") == row.count("|") and row.startswith("| 500 | 32 | 5 | 3 | 1e-04 |")


def test_fits_of_scikit_learn_are_kept_from_run_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, record, kept = ROOT / "benchmarks", tmp_path / "probes.jsonl", tmp_path / "kept"
    monkeypatch.syspath_prepend(folder)
    words = ["probes.py", "--small", "--every", "2", "--kept", str(kept), "--output", str(record)]
    monkeypatch.setattr(sys, "argv", words)
    for _ in range(2):
        runpy.run_path(str(folder / "probes.py"), run_name="__main__")
    first, second = map(json.loads, record.read_text().splitlines())
    assert len(list(kept.iterdir())) == 2 and first["settings"]["kept"] is True
    theirs = [[fit["theirs"] for fit in one["fits"][::2]] for one in (first, second)]
    assert theirs[0] == theirs[1]
    assert str(kept) not in str(first["settings"])
