"""What could grow when a whole file is copied into memory."""

from __future__ import annotations

from collections.abc import Iterator

from ..assembler import got, kept, mapping, named, number, row, sequence, text
from ..parts import PARTS, archived
from .bomb import MANY
from .nesting import laughs


def for_strict_readers() -> Iterator[tuple[str, bytes]]:
    """Yield names and files."""
    for name, _, data in laughs():
        yield name, data
    deep = b"\x80\x02" + mapping(a=b"]" * MANY + b"a" * (MANY - 1)) + b"."
    yield "deep lists", PARTS["zip"].file(deep)
    lists = kept(0, b"]" + b"r\x00\x00\x10\x00" + b"j\x00\x00\x10\x00a" * 10) + got(0)
    yield "ten lists in themselves", PARTS["zip"].file(b"\x80\x02" + mapping(a=lists) + b".")
    storage = row(text("storage"), named("torch.ByteStorage"), text("n"), b"N", b"N") + b"Q"
    made = kept(0, named("torch._utils._rebuild_tensor_v2")) + kept(1, storage)
    views = (
        got(0) + row(got(1), number(i), row(number(990_000)), row(number(1)), b"N", b"N") + b"R"
        for i in range(3000)
    )
    code = b"\x80\x02" + made + mapping(a=sequence(*views)) + b"."
    yield "views", archived({"archive/data.pkl": code, "archive/data/n": bytes(1_000_000)})
