"""Names of tensors that are many or long, or that have several lines."""

from __future__ import annotations

from collections.abc import Iterator

from ..assembler import got, kept, mapping, number, row, tensor, text
from ..parts import PARTS
from ..reading import REFUSED
from .bomb import MANY, Bomb


def tensor_names() -> Iterator[Bomb]:
    names = b"".join(text(f"{i}.conv1.weight") + got(0) for i in range(MANY // 3))
    yield (
        "a tensor of many prefixes",
        REFUSED,
        PARTS["zip"].file(b"\x80\x02" + kept(0, tensor(b")", b")")) + b"(" + names + b"d."),
    )
    deep = ["x." * i + "conv1.weight" for i in range(230)]
    names = b"".join(text(name) + got(0) for name in deep)
    yield (
        "a tensor of long prefixes",
        REFUSED,
        PARTS["zip"].file(b"\x80\x02" + kept(0, tensor(b")", b")")) + b"(" + names + b"d."),
    )
    endless = mapping(**{"x" * 400 + str(i): tensor(b")", b")") for i in range(5)})
    yield "long names of tensors", REFUSED, PARTS["zip"].file(b"\x80\x02" + endless + b".")
    lines = mapping(**{f"a\nb\r{i}\x85\u2028\x1b[2J": tensor(b")", b")") for i in range(5)})
    yield "names of tensors of lines", REFUSED, PARTS["zip"].file(b"\x80\x02" + lines + b".")
    places = (text("a\n" + "b" * 400) + PARTS["zip"].body, text("c" * 450) + other_network())
    two = b"(" + b"".join(places) + b"d"
    yield "two networks of long names", REFUSED, PARTS["zip"].file(b"\x80\x02" + two + b".")
    paths = kept(0, tensor(b")", b")")) + kept(1, text("k" * 1_000_000))
    paths += b"(" + b"".join(
        text(str(i)) + b"}" + got(1) + b"}" + text("w") + got(0) + b"ss" for i in range(900)
    )
    yield "long paths", REFUSED, PARTS["zip"].file(b"\x80\x02" + paths + b"d.")


def other_network() -> bytes:
    """The network with another tensor's values in one place."""
    body = PARTS["zip"].body
    return body + text("bn1.weight") + tensor(row(number(4)), row(number(1))) + b"s"
