"""What the other tests take for granted."""

from __future__ import annotations

import pickle
from typing import Any

from robust_det.checkpoints.model import Model

from .assembler import array, got, kept, mapping, number, row, sequence, text
from .cases import COUNTS
from .files import REAL
from .networks import SMALL, STATE, TINY
from .parts import PARTS, beside
from .reading import same


def test_two_thousand_files_are_tried() -> None:
    assert sum(COUNTS.values()) >= 2000


def test_undamaged_files_are_read(intact: dict[str, Model]) -> None:
    assert len(REAL) == 3
    for name, model in intact.items():
        assert model.arch == (SMALL if name in REAL else TINY)
        if name not in REAL:
            assert same(model, STATE), name


def test_the_assembler_assembles(attempt: Any) -> None:
    for kind in PARTS:
        extra = row(number(2**70), text("x"), sequence(b"N", number(-1)), mapping(a=b"N"))
        data = beside(kind, kept(0, extra) + got(0))
        assert same(attempt(data), STATE)
    value = pickle.loads(b"\x80\x02" + kept(0, extra) + got(0) + b".")
    assert value == (2**70, "x", [None, -1], {"a": None})
    assert pickle.loads(b"\x80\x02" + array(row(number(2), number(2))) + b".").shape == (2, 2)
