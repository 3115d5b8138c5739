"""Objects that hold things: what is in them is looked at, and not more often than it is there."""

from __future__ import annotations

from collections.abc import Iterator

from ..assembler import array, got, kept, named, number, row, sequence, tensor, text
from ..parts import PARTS, beside
from ..reading import READ, REFUSED
from .bomb import MANY, Bomb

_MADE = got(0) + b")\x81"  # an object of the class in slot 0


def objects() -> Iterator[Bomb]:
    """What objects may hold: themselves, each other, a network, much, and the same as others."""
    easy, space = kept(0, named("easydict.EasyDict")), kept(0, named("argparse.Namespace"))
    itself = kept(1, _MADE) + got(1) + text("a") + got(1) + b"s"
    yield "object in itself", READ, beside("zip", easy + itself)
    deep = (_MADE + text("a")) * (MANY // 5) + b"N" + b"s" * (MANY // 5)
    yield "deep objects", READ, beside("zip", easy + deep)
    network = _MADE + b"(" + text("model") + PARTS["zip"].body + b"u"
    yield "network in an object", READ, PARTS["zip"].file(b"\x80\x02" + easy + network + b".")
    yield "object of many items", READ, beside("zip", easy + _MADE + b"Na" * (MANY // 2))
    many = kept(1, row(b"N" * 9000))
    made = sequence((got(0) + got(1) + b"R") * 9000)
    yield "objects of the same many", READ, beside("zip", easy + many + made)
    entries = b"".join(text(f"k{i}") + number(i) for i in range(9000))
    state = kept(1, b"}(" + entries + b"u")
    shared = sequence((_MADE + got(1) + b"b") * 9000)
    yield "namespaces of one state", READ, beside("zip", space + state + shared)


def repeated() -> Iterator[Bomb]:
    """Tensors that repeat values, or are made of one another."""
    function = kept(0, named("torch._utils._rebuild_device_tensor_from_numpy"))
    first = kept(1, named("torch.float64")) + kept(2, array(row(number(4))))
    again = kept(2, got(0) + row(got(2), got(1), b"N", b"\x89") + b"R")
    ladder = function + first + again * 9000 + got(2)
    yield "tensors of tensors", READ, beside("pickle", ladder)
    for size in (2**24 + 1, 2**47):
        width = tensor(row(number(size), number(32)), row(number(0), number(0)))
        head = PARTS["zip"].body + text("fc.weight") + width + b"s"
        bias = text("fc.bias") + tensor(row(number(size)), row(number(0))) + b"s"
        yield (
            f"a head of {size} classes",
            REFUSED,
            PARTS["zip"].file(b"\x80\x02" + head + bias + b"."),
        )
