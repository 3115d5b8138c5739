"""What files say of themselves: cards and normalisations."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from ..assembler import call, mapping, named, number, row, sequence, tensor, text
from ..networks import CLASSES, TINY
from ..parts import ENTRIES, PARTS, archived
from ..reading import EITHER, READ
from .bomb import Bomb
from .nesting import doubling

FIELDS = ("arch", "norm", "eps", "mean", "std", "image_size", "classes")
CARD = (
    *("arch", "norm", "eps", "pixel_mean", "pixel_std", "input_format", "source_sha256"),
    *("differences", "image_size", "classes"),
)
GOOD = {
    "arch": text(TINY),
    "norm": text("l2"),
    "eps": b"G?\xe0\x00\x00\x00\x00\x00\x00",
    "mean": sequence(number(1) * 3),
    "std": sequence(number(1) * 3),
    "pixel_mean": sequence(number(1) * 3),
    "pixel_std": sequence(number(1) * 3),
    "image_size": number(32),
    "classes": sequence(*[text("c")] * CLASSES),
    "input_format": text("RGB"),
    "source_sha256": text("ab"),
    "differences": b"}",
}


def described(changes: Mapping[str, bytes], ours: bool) -> bytes:
    """Return a file of the network with a card, as pretraining or conversion write it."""
    names = FIELDS if ours else CARD
    card = mapping(**{name: changes.get(name, GOOD[name]) for name in names})
    format_ = text("robust_det.pretrained/1")
    head = mapping(format=format_, meta=card) if ours else mapping(robust_det=card)
    return PARTS["zip"].file(b"\x80\x02" + head + text("model") + PARTS["zip"].body + b"s.")


def descriptions() -> Iterator[Bomb]:
    """What the project's own files say of themselves."""
    yield "pretrained", READ, described({}, True)
    yield "converted", READ, described({}, False)
    nan = b"G\x7f\xf8\x00\x00\x00\x00\x00\x00"
    for ours, names in ((True, FIELDS), (False, CARD)):
        for name in names:
            for what, value in {
                "nothing": b"N",
                "a long number": number(10**5000),
                "text": text("x\n" * 5000),
                "a laughing list": doubling("list"),
                "a deep list": b"]" * 3000 + b"a" * 2999,
                "a tensor": tensor(b")", b")"),
                "an object": call("os.system", text("true")),
                "NaN": sequence(nan * 3),
                "zeros": sequence(number(0) * 3),
                "two numbers": sequence(number(1) * 2),
                "texts": sequence(text("a") * 3),
                "itself": b"]" + b"r\x00\x00\x10\x00j\x00\x00\x10\x00a",
            }.items():
                yield f"{name} is {what}, {ours}", EITHER, described({name: value}, ours)


def normalisations() -> Iterator[Bomb]:
    """A mean beside the network, as the robustness library writes it."""
    good = struct.pack("<3f", 0.1, 0.2, 0.3)
    for name, (kind, values, size) in {
        "right": ("Float", good, 3),
        "of more": ("Float", good * 1000, 3000),
        "of one": ("Float", good, 1),
        "of NaN": ("Float", struct.pack("<3f", 0.1, float("nan"), 0.3), 3),
        "of zeros": ("Float", bytes(12), 3),
        "of truth": ("Bool", b"\x01\x02\xff", 3),
        "of complex numbers": ("ComplexFloat", good * 2, 3),
        "expanded": ("Float", good, 2**40),
        "cut off": ("Float", good[:4], 3),
    }.items():
        colour = row(text("storage"), named(f"torch.{kind}Storage"), text("n"), b"N", b"N") + b"Q"
        colour = tensor(row(number(size)), row(number(1)), storage=colour)
        both = text("normalizer.new_mean") + colour + text("normalizer.new_std") + colour
        code = b"\x80\x02" + PARTS["zip"].body + b"(" + both + b"u."
        entries = {**ENTRIES, "archive/data/n": values, "archive/data.pkl": code}
        yield f"normalisation {name}", READ if name == "right" else EITHER, archived(entries)
