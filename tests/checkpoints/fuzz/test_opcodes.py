"""Pickles whose opcodes are rearranged."""

from __future__ import annotations

import pickletools
from typing import Any

from hypothesis import strategies as st

from .assembler import STORAGE, named, number, row, text
from .cases import Case, fuzz
from .parts import SAVED


def split(pickled: bytes) -> list[bytes]:
    """Return the opcodes, each with its argument."""
    at = [position or 0 for _, _, position in pickletools.genops(pickled)]
    return [pickled[start:end] for start, end in zip(at, [*at[1:], len(pickled)], strict=True)]


SEGMENTS = {name: split(parts.pickled) for name, parts in SAVED.items()}
SNIPPETS = [
    *(
        bytes([opcode])
        for opcode in b"(.012NQRabdelostu})]\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92"
    ),
    *(b"\x93", b"\x94", b"\x97", b"\x98", b"h\x00", b"h\x01", b"q\x00", b"\x82\x01", b"P7\n"),
    number(-1),
    number(2**63),
    text("fc.weight"),
    STORAGE,
    named("os.system"),
    named("collections.OrderedDict"),
    row(),
]


@st.composite
def reassembled(draw: Any) -> Case:
    name = draw(st.sampled_from(sorted(SEGMENTS)))
    segments = list(SEGMENTS[name])
    changes = []
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(segments) - 1))
        how = draw(st.sampled_from(["drop", "double", "swap", "copy", "replace", "insert"]))
        other = draw(st.integers(0, len(segments) - 1))
        if how == "drop":
            del segments[at]
        elif how == "double":
            segments.insert(at, segments[at])
        elif how == "swap":
            segments[at], segments[other] = segments[other], segments[at]
        elif how == "copy":
            segments[at] = segments[other]
        elif how == "replace":
            segments[at] = draw(st.sampled_from(SNIPPETS))
        else:
            segments.insert(at, draw(st.sampled_from(SNIPPETS)))
        changes.append((how, at, other))
    return Case(name, str(changes), SAVED[name].file(b"".join(segments)))


def test_rearranged_opcodes(attempt: Any) -> None:
    fuzz("opcodes", reassembled(), lambda case: attempt(case.data))
