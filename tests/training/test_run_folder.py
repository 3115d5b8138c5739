"""Whose a run's folder is."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.training.run_folder import refuse_other_config, refuse_other_run

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
    with pytest.raises(UserError, match=r"holds another run; pass --resume"):
        refuse_other_run(tmp_path, PRODUCTS, False, resumed_from=("last.pth",))
    refuse_other_run(tmp_path, PRODUCTS, True, resumed_from=("last.pth",))


def test_another_config_is_named_by_its_keys(tmp_path: Path) -> None:
    old, new = {"A": {"LR": 0.1, "X": 1}, "OUTPUT": "a"}, {"A": {"LR": 0.2, "X": 1}, "OUTPUT": "b"}
    with pytest.raises(UserError, match=r"another config \(A.LR: 0.1 -> 0.2\); use that config"):
        refuse_other_config(old, new, ("OUTPUT",), tmp_path)
    refuse_other_config(old, new, ("OUTPUT", "A.LR"), tmp_path)
