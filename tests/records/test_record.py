from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.records import environment, read_record, write_record

RECORD: dict[str, Any] = {
    "kind": "pretrain",
    "name": "x",
    "arch": "resnet18",
    "norm": "l2",
    "eps": 0.5,
    "metrics": {"clean_top1": 12.5},
    "config": {},
    "environment": {},
}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_record(tmp_path / "run", RECORD)
    assert path == tmp_path / "run" / "record.json"
    assert read_record(path) == read_record(path.parent) == {"schema": 1, **RECORD}


def test_incomplete_records_are_refused(tmp_path: Path) -> None:
    short = {k: v for k, v in RECORD.items() if k not in ("arch", "eps")}
    with pytest.raises(ValueError, match="lacks arch, eps"):
        write_record(tmp_path, short)
    path = tmp_path / "record.json"
    for text, message in (
        (None, "no run record"),
        ("{", "cannot be read"),
        ("[]", "not a run record of schema 1"),
        ('{"schema": 2}', "not a run record of schema 1"),
        (json.dumps({"schema": 1, **short}), "lacks arch, eps"),
    ):
        if text is not None:
            path.write_text(text)
        with pytest.raises(UserError, match=message):
            read_record(tmp_path)


def test_hash(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "x") == known


def test_environment_says_what_ran() -> None:
    found = environment("cpu")
    assert (
        found["versions"]["torch"] == torch.__version__.split("+")[0]
        or "torch" in found["versions"]
    )
    assert found["device"].startswith("cpu")
    json.dumps(found)
