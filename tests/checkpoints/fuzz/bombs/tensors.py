"""Tensors that are larger than their file."""

from __future__ import annotations

import io
import pickletools
import struct
from collections.abc import Iterator

from ..assembler import (
    STORAGE,
    array,
    binary,
    got,
    kept,
    mapping,
    named,
    number,
    row,
    sequence,
    tensor,
    text,
)
from ..parts import PARTS, beside
from ..reading import EITHER, READ, REFUSED
from .bomb import Bomb


def tensors() -> Iterator[Bomb]:
    """Tensors that are larger than their file, as the network and beside it."""
    big = number(2**40)
    for name, code in {
        "expanded": tensor(row(big), row(number(0))),
        "huge": tensor(row(big, big), row(big, number(1))),
        "far": tensor(row(number(1)), row(number(1)), number(2**47)),
        "empty of huge": tensor(row(number(0), big, big), row(number(1), number(1), number(1))),
        "without values": tensor(row(number(4)), row(number(1)), number(0), STORAGE),
    }.items():
        yield f"{name} tensor", READ, beside("zip", code)
        weight = mapping(**{"conv1.weight": code})
        merged = b"\x80\x02" + PARTS["zip"].body + text("conv1.weight") + code + b"s."
        yield f"{name} weight", REFUSED, PARTS["zip"].file(merged)
        yield f"{name} weight alone", REFUSED, PARTS["zip"].file(b"\x80\x02" + weight + b".")
    step = text("bn1.num_batches_tracked")
    for size in (row(), row(number(1)), row(number(4)), row(number(0))):
        stride = size if size == row() else row(number(1))
        counted = PARTS["zip"].body + step + tensor(size, stride) + b"s."
        yield f"counter of a size {size!r}", EITHER, PARTS["zip"].file(b"\x80\x02" + counted)
    for name, size in {
        "negative": row(number(-1)),
        "overflowing": row(number(2**63)),
        "of texts": row(text("1")),
        "of truth": row(b"\x88"),
        "of fractions": row(b"G?\xf0\x00\x00\x00\x00\x00\x00"),
        "missing": b"N",
    }.items():
        yield f"tensor of a size {name}", REFUSED, beside("zip", tensor(size, row(number(1))))
        yield f"array of a shape {name}", REFUSED, beside("pickle", array(size))
    ones = kept(0, row(number(1) * 50_000)) + kept(1, named("torch._utils._rebuild_tensor_v2"))
    ones += kept(2, row(STORAGE, number(0), got(0), got(0), b"N", b"N"))
    ones += kept(3, row(got(1), b"N", got(2), b"N"))
    ones += kept(4, named("torch._tensor._rebuild_from_type_v2"))
    yield (
        "tensors of endless sizes",
        REFUSED,
        beside("zip", ones + sequence((got(4) + got(3) + b"R") * 20_000)),
    )
    for spec in ("O", "O8", "V99999999", "S2147483647", "U9", "M8", "f16", "f4,f4", "(9999,)f4"):
        yield f"array of {spec}", READ, beside("pickle", array(row(number(1)), text(spec)))
    yield "huge array", REFUSED, beside("pickle", array(row(big, big)))
    yield (
        "empty huge array",
        EITHER,
        beside("pickle", array(row(number(0), big, big), data=binary(b""))),
    )
    yield "array of 70 dimensions", REFUSED, beside("pickle", array(row(number(1) * 70)))
    for count in (2**62, -1, -(2**63), 2**63 - 1):
        legacy = PARTS["legacy"]
        keys = next(iter(pickle_ends(legacy.after)))
        lie = legacy.after[:keys] + struct.pack("<q", count) + legacy.after[keys + 8 :]
        yield f"storage of {count}", REFUSED, legacy.before + legacy.pickled + lie


def pickle_ends(data: bytes) -> Iterator[int]:
    file = io.BytesIO(data)
    for _ in pickletools.genops(file):
        pass
    yield file.tell()
