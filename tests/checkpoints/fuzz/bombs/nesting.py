"""Containers of containers: endless when written out, or too deep to walk."""

from __future__ import annotations

from collections.abc import Iterator

from ..assembler import array, call, got, kept, named, number, row, sequence, tensor, text
from ..parts import PARTS, beside
from ..reading import EITHER, READ, REFUSED
from .bomb import MANY, Bomb, everywhere


def doubling(kind: str, depth: int = 40) -> bytes:
    """A container of ten times the one before, and so on: endless when it is written out."""
    code, close = b"N", {"list": b"l", "tuple": b"t"}.get(kind, b"")
    for level in range(depth):
        code = kept(level, code)
        if kind == "dict":
            code += b"(" + b"".join(number(i) + got(level) for i in range(10)) + b"d"
        else:
            code += b"(" + got(level) * 10 + close
    return code


def laughs() -> Iterator[Bomb]:
    for kind in ("list", "tuple", "dict"):
        code = doubling(kind)
        yield from everywhere(f"laughing {kind}", READ, code)
        for user in ("torch.device", "torch.Size", "builtins.bytes", "builtins.set"):
            yield f"laughing {kind} in {user}", READ, beside("zip", call(user, code, code))
        for user in ("collections.OrderedDict", "numpy.dtype", "_codecs.encode"):
            yield f"laughing {kind} in {user}", EITHER, beside("zip", call(user, code))
        yield f"laughing {kind} as key", READ, beside("zip", b"N", code)
        yield f"laughing {kind} as reference", REFUSED, beside("zip", code + b"Q")
        pair = row(text("storage"), named("torch.FloatStorage"), code, text("cpu"), number(4))
        yield f"laughing {kind} as storage", REFUSED, beside("zip", pair + b"Q")
        yield f"laughing {kind} as size", REFUSED, beside("zip", tensor(code, code))
        yield f"laughing {kind} as shape", REFUSED, beside("zip", array(code))
        yield f"laughing {kind} as name", REFUSED, beside("zip", text("os") + code + b"\x93")
        legacy = PARTS["legacy"]
        keys = b"\x80\x02" + sequence(code) + b"."
        yield f"laughing {kind} of storages", REFUSED, legacy.before + legacy.pickled + keys


def depths() -> Iterator[Bomb]:
    """What overflows the stack of whoever walks it by calling himself."""
    codes = {
        "tuples": b")" + b"\x85" * MANY,
        "lists": b"]" * MANY + b"a" * (MANY - 1),
        "dicts": b"}N" * (MANY // 2) + b"}" + b"s" * (MANY // 2),
        "frozensets": b"(" * (MANY // 2) + b"N" + b"\x91" * (MANY // 2),
        "named dicts": (b"}" + text("a")) * (MANY // 3) + b"N" + b"s" * (MANY // 3),
    }
    for name, code in codes.items():
        yield f"deep {name}", READ, beside("zip", code)
        yield f"deep {name} as key", READ, beside("legacy", b"N", code)
    deep = codes["tuples"]
    yield "deep size", REFUSED, beside("zip", tensor(deep, deep))
    yield "deep shape", REFUSED, beside("pickle", array(deep))
    yield "deep reference", REFUSED, beside("zip", deep + b"Q")
    yield "deep pairs", EITHER, beside("zip", call("collections.OrderedDict", deep))
    yield "deep set", READ, beside("zip", call("builtins.set", sequence(deep)))
