"""Whose a run's folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.core.locks import FolderLock
from robust_det.training import run_folder
from robust_det.training.run_folder import (
    evaluation_folder,
    held_evaluation,
    refuse_other_config,
    refuse_other_run,
)
from robust_det.training.world import World

PRODUCTS = ("last.pth", "final.pth")


def test_an_empty_folder_is_anybodys(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "not there"):
        for resume in (False, True):
            refuse_other_run(folder, PRODUCTS, resume, resumed_from=("last.pth",))


def test_a_run_is_gone_on_with_only_if_asked_and_only_from_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "final.pth").touch()
    for resume in (False, True):
        with pytest.raises(UserError, match=r"\(final.pth\) and no last.pth to resume from"):
            refuse_other_run(tmp_path, PRODUCTS, resume, resumed_from=("last.pth",))
    (tmp_path / "last.pth").touch()
    with pytest.raises(UserError, match=r"holds a run; pass --resume"):
        refuse_other_run(tmp_path, PRODUCTS, False, resumed_from=("last.pth",))
    refuse_other_run(tmp_path, PRODUCTS, True, resumed_from=("last.pth",))


def test_another_config_is_named_by_its_keys(tmp_path: Path) -> None:
    old, new = {"A": {"LR": 0.1, "X": 1}, "OUTPUT": "a"}, {"A": {"LR": 0.2, "X": 1}, "OUTPUT": "b"}
    with pytest.raises(UserError, match=r"another config \(A.LR: 0.1 -> 0.2\); use that config"):
        refuse_other_config(old, new, ("OUTPUT",), tmp_path)
    refuse_other_config(old, new, ("OUTPUT", "A.LR"), tmp_path)


def test_no_evaluation_replaces_another(tmp_path: Path) -> None:
    def done(name: str) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "record.json").touch()
        return tmp_path / name

    assert evaluation_folder(tmp_path, "record.json") == (tmp_path / "eval", [])
    (tmp_path / "eval").mkdir()  # by one that was killed
    assert evaluation_folder(tmp_path, "record.json")[0] == tmp_path / "eval"
    one = done("eval")
    assert evaluation_folder(tmp_path, "record.json") == (tmp_path / "eval-2", [one])
    more = [done("eval-2"), done("eval-4")]
    done("evaluated")  # by somebody else
    assert evaluation_folder(tmp_path, "record.json") == (tmp_path / "eval-3", [one, *more])


def test_an_evaluation_that_ended_before_the_lock_was_had_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(FolderLock):
        def __init__(self, folder: str | Path) -> None:
            if Path(folder).name == "eval":  # another process, meanwhile
                Path(folder).mkdir()
                (Path(folder) / "record.json").write_text("theirs")
            super().__init__(folder)

    monkeypatch.setattr(run_folder, "FolderLock", Slow)
    with held_evaluation(tmp_path, "record.json", World()) as (folder, before):
        assert folder == tmp_path / "eval-2" and before == [tmp_path / "eval"]
        assert (folder / ".lock").exists()
    assert (tmp_path / "eval/record.json").read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["eval"]
