"""Opcodes that promise more than there is."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from ..assembler import number, text
from ..parts import PARTS
from ..reading import READ, REFUSED
from .bomb import Bomb, everywhere


def lengths() -> Iterator[Bomb]:
    huge = struct.pack("<Q", 2**62)
    for name, code in {
        "BINBYTES8": b"\x8e" + huge,
        "BINUNICODE8": b"\x8d" + huge,
        "BYTEARRAY8": b"\x96" + huge,
        "BINBYTES": b"B\xff\xff\xff\xff",
        "LONG4": b"\x8b\xff\xff\xff\x7f",
        "negative LONG4": b"\x8b\xff\xff\xff\xff",
        "negative BINSTRING": b"T\xff\xff\xff\xff",
        "LONG": b"L" + b"9" * 1_000_000 + b"L\n",
        "INT": b"I" + b"9" * 1_000_000 + b"\n",
        "PUT": b"Np" + b"9" * 1_000_000 + b"\n",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "PERSID": b"Pos.system\n",
        "NEXT_BUFFER": b"\x97",
        "READONLY_BUFFER": b"N\x98",
        "GET of nothing": b"j\xff\xff\xff\xff",
    }.items():
        yield from everywhere(name, REFUSED, code)
    yield from everywhere("FRAME", READ, b"\x95" + huge + b"N")
    yield from everywhere("LONG_BINPUT", READ, b"Nr\xff\xff\xff\xff")
    yield from everywhere("long PUT", READ, b"Np99999999999999999999\n")
    yield from everywhere("long number", READ, number(1 << 8_000_000))
    yield from everywhere("list in itself", READ, b"]" + b"r\x00\x00\x10\x00j\x00\x00\x10\x00a")
    yield from everywhere(
        "dict in itself", READ, b"}r\x00\x00\x10\x00" + text("a") + b"j\x00\x00\x10\x00s"
    )
    inside = b"}r\x00\x00\x10\x00" + text("model") + b"j\x00\x00\x10\x00s"
    yield "network in a dict in itself", REFUSED, PARTS["zip"].file(b"\x80\x02" + inside + b".")
