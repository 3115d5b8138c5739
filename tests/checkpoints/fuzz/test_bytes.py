"""Files that are cut off, and files of which some bytes are others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st

from robust_det.checkpoints.model import Model

from .cases import Case, fuzz
from .files import BASES, REAL, WHOLE
from .reading import same

CHECKED = ("zip", "zip4", "torchvision_zip.ckpt")  # an archive has checksums; nothing else does
# the real files are larger and slower, and most of them is weights
NAMES = st.sampled_from([*WHOLE, *WHOLE, *WHOLE, *REAL])


def places(length: int) -> st.SearchStrategy[int]:
    """Places in a file, mostly where it is not just weights."""
    return st.one_of(
        st.integers(0, length - 1),
        st.integers(0, min(length, 4000) - 1),
        st.integers(max(0, length - 8000), length - 1),
    )


@st.composite
def truncated(draw: Any) -> Case:
    name = draw(NAMES)
    at = draw(places(len(BASES[name])))
    return Case(name, f"first {at} bytes", BASES[name][:at])


@st.composite
def flipped(draw: Any) -> Case:
    name = draw(NAMES)
    data = bytearray(BASES[name])
    bits = draw(st.lists(st.tuples(places(len(data)), st.integers(0, 7)), min_size=1, max_size=8))
    for at, bit in bits:
        data[at] ^= 1 << bit
    return Case(name, f"bits {bits}", bytes(data))


@st.composite
def overwritten(draw: Any) -> Case:
    name = draw(NAMES)
    data = BASES[name]
    at = draw(places(len(data)))
    new = draw(st.one_of(st.binary(max_size=64), st.integers(0, 300).map(bytes)))
    old = draw(st.one_of(st.just(len(new)), st.integers(0, 300)))
    return Case(name, f"{old} bytes at {at} are {new!r}", data[:at] + new + data[at + old :])


def test_truncated_files(attempt: Any) -> None:
    fuzz("truncated", truncated(), lambda case: _refused(attempt(case.data)))


def _refused(result: Model | str) -> None:
    assert isinstance(result, str), "it was read"


@pytest.mark.parametrize("kind, cases", [("flipped", flipped()), ("overwritten", overwritten())])
def test_damaged_bytes(kind: str, cases: Any, attempt: Any, intact: dict[str, Model]) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        if isinstance(result, Model) and case.base in CHECKED:
            assert same(result, intact[case.base].state)

    fuzz(kind, cases, check)
