"""Opcodes in great number, and keys that take long to compare."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from ..assembler import STORAGE, binary, call, got, kept, named, number, row, sequence, text
from ..parts import PARTS, beside
from ..reading import READ, REFUSED
from .bomb import MANY, Bomb


def many() -> Iterator[Bomb]:
    """The most memory and time that an opcode takes."""
    yield "sets", READ, beside("zip", b"(" + b"\x8f" * MANY + b"l")
    yield "a million sets", READ, beside("zip", b"(" + b"\x8f" * 990_000 + b"l")
    yield "more than a million", REFUSED, beside("zip", b"(" + b"N" * 1_100_000 + b"l")
    yield "dicts", READ, beside("zip", b"(" + b"}NNs" * (MANY // 4) + b"l")
    fill = kept(0, named("collections.OrderedDict")) + kept(1, b"(" + b"(NNl" * 9000 + b"l")
    yield "copies", REFUSED, beside("zip", fill + sequence((got(0) + got(1) + b"\x85R") * 9000))
    items, data = sequence(b"N" * 9000), b"\x96" + struct.pack("<Q", 10**6) + bytes(10**6)
    for copier in ("list", "tuple", "set", "dict", "bytes", "bytearray"):
        code = kept(0, named(f"builtins.{copier}"))
        code += kept(1, data if copier.startswith("bytes") else items)
        code += sequence((got(0) + got(1) + b"\x85R") * 9000)
        yield f"copies by {copier}", REFUSED, beside("zip", code)
    long = kept(0, text("x" * 1_000_000))
    yield (
        "long names",
        REFUSED,
        beside("zip", long + sequence((got(0) + got(0) + b"\x93") * 20_000)),
    )
    yield "long name", REFUSED, beside("zip", b"(i" + b"x" * 1_000_000 + b"\ny\n")
    lines = text("os\nos") + text("x\ry") + b"\x93)R"
    yield "names of lines", REFUSED, PARTS["zip"].file(b"\x80\x02" + lines + b".")
    data = kept(0, binary(bytes(1_000_000))) + kept(1, call("numpy.dtype", text("f4")))
    args = kept(2, row(got(0), got(1), row(number(250_000))))
    code = data + args + kept(3, named("numpy.core.numeric._frombuffer"))
    yield (
        "copies of arrays",
        REFUSED,
        beside("zip", code + sequence((got(3) + got(2) + b"R") * 3000)),
    )
    made = kept(0, named("torch._utils._rebuild_tensor_v2"))
    made += kept(1, row(STORAGE, number(0), b")", b")", b"N", b"N"))
    yield "tensors", READ, beside("zip", made + sequence((got(0) + got(1) + b"R") * (MANY // 3)))
    reference = kept(0, text("storage")) + kept(1, named("torch.FloatStorage"))
    storages = (row(got(0), got(1), number(i), b"N", b"N") + b"Q" for i in range(MANY // 9))
    yield "storages", READ, beside("zip", reference + sequence(*storages))


def keys() -> Iterator[Bomb]:
    """Keys that take long to compare, or that all have one hash."""
    for name, key in {
        "number": number(1 << 8_000_000),
        "text": text("x" * 1_000_000),
        "tuple": row(b"N" * 50_000),
        "tuple of numbers": row(number(1 << 8_000_000)),
    }.items():
        code = kept(0, key) + b"}(" + (got(0) + b"N") * 30_000 + b"u"
        yield f"long {name} as key", READ, beside("zip", code)
    same_text = b"".join(text("x" * 100_000) + b"N" for _ in range(50))
    yield "equal texts as keys", READ, beside("zip", b"(" + same_text + b"d")
    numbers = b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1, 30_000))
    yield "colliding numbers", READ, beside("zip", b"(" + numbers + b"d")
    ones = itertools.product((number(-1), number(-2)), repeat=15)
    tuples = b"".join(row(*items) + b"N" for items in itertools.islice(ones, 10_000))
    yield "colliding tuples", READ, beside("zip", b"(" + tuples + b"d")
    yield "colliding set", READ, beside("zip", b"\x8f(" + numbers + b"\x90")
