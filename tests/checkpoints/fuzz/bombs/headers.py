"""Headers of safetensors files."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..networks import TINY
from ..parts import HEADER, safetensors_file
from ..reading import EITHER, REFUSED
from .bomb import Bomb
from .descriptions import CARD


def headers() -> Iterator[Bomb]:
    full = json.dumps(HEADER)
    for length in (0, 2**31, 2**63, 2**64 - 1, 100_000_001):
        yield f"header of {length}", REFUSED, safetensors_file(full, length=length)
    yield "deep header", REFUSED, safetensors_file("{" + '"a":{' * 50_000)
    yield "deep lists", REFUSED, safetensors_file('{"a":' + "[" * 50_000)
    far = {"a": {"dtype": "F32", "shape": [2**60], "data_offsets": [0, 2**62]}}
    yield "huge tensor of safetensors", REFUSED, safetensors_file(json.dumps(far))
    every = {name: {**entry, "data_offsets": [0, 1176]} for name, entry in HEADER.items()}
    yield "overlapping tensors", REFUSED, safetensors_file(json.dumps(every))
    long = {("x" * 1_000_000): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    yield "long name in a header", REFUSED, safetensors_file(json.dumps(long), b"")
    many = {
        f"{i}.conv1.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
        for i in range(30_000)
    }
    yield "many tensors in a header", REFUSED, safetensors_file(json.dumps(many), b"")
    card = {name: "1" for name in CARD} | {"arch": TINY, "norm": "l2", "source_sha256": "ab"}
    card |= {"input_format": "RGB", "pixel_mean": "[1, 1, 1]", "pixel_std": "[1, 1, 1]"}
    for name in CARD:
        for what, value in {
            "nothing": "",
            "a long number": "9" * 5000,
            "deep": "[" * 100_000 + "]" * 100_000,
            "NaN": "[NaN, NaN, NaN]",
            "text": '"a\\nb"' * 1000,
            "null": "null",
            "lines": "a\nb" * 1000,
        }.items():
            described = {**HEADER, "__metadata__": {**card, name: value}}
            yield f"{name} in a header is {what}", EITHER, safetensors_file(json.dumps(described))
    lines = {"a\nb\u2028": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}
    yield "lines in a header", REFUSED, safetensors_file(json.dumps(lines), b"")
