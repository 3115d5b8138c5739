"""Numbers, strings and containers come back as they were."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.checkpoints.reading import Placeholder, read_file

from .files import PICKLE, TORCH, back, loaded, write

PLAIN: dict[str, Any] = {
    "none": None,
    "truth": [True, False],
    "numbers": [0, -1, 255, 65536, -(2**31), 2**63, 10**30, 0.5, -1e300],
    "texts": ["", "conv1.weight", "é\n\u2028", "\ud800", "x" * 70_000],
    "bytes": [b"", b"\x00\xff", b"y" * 300],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, (4, (5,)))],
    "keys": {1: "a", "1": "b", None: "c", 2.5: "d", b"x": "e", (0, "f"): "g", 2**40: "h"},
    "nested": {"a": [{"b": ({"c": []},)}]},
}


@pytest.mark.parametrize("how", [*PICKLE, *TORCH])
def test_plain_values(how: Any, path: Path) -> None:
    assert back(path, PLAIN, how) == PLAIN


@pytest.mark.parametrize("how", [*PICKLE, *TORCH])
def test_containers_of_the_standard_library(how: Any, path: Path) -> None:
    ordered = OrderedDict([("b", 1), ("a", 2)])
    ordered._metadata = OrderedDict([("", {"version": 1})])  # type: ignore[attr-defined]
    default = defaultdict(list, {"a": [1]})
    value = back(
        path,
        {
            "ordered": ordered,
            "default": default,
            "counter": Counter("aab"),
            "sets": [set(), {1, 2}, frozenset({"x"})],
            "array": bytearray(b"\x00\xff"),
        },
        how,
    )
    assert list(value["ordered"].items()) == [("b", 1), ("a", 2)]
    assert value["default"] == {"a": [1]} and value["counter"] == {"a": 2, "b": 1}
    assert value["sets"] == [set(), {1, 2}, {"x"}]
    assert value["array"] == b"\x00\xff"


def test_what_takes_long_to_compare_is_no_key(path: Path) -> None:
    keys = ["x" * 501, 2**64, (1,) * 5, (0.5,), ((),)]
    write(path, {**dict.fromkeys(keys, 1), "x" * 500: 2}, ("pickle", 4))
    value = read_file(path).value
    assert value.pop("x" * 500) == 2
    assert [type(key) for key in value] == [Placeholder] * 5 and set(value.values()) == {1}


def test_what_refers_to_itself(path: Path) -> None:
    content: dict[str, Any] = {"list": [], "dict": {}}
    content["list"].append(content["list"])
    content["dict"]["up"] = content
    write(path, content, ("pickle", 2))
    value = read_file(path).value
    assert value["list"][0] is value["list"] and value["dict"]["up"] is value


def test_one_object_in_two_places_stays_one(path: Path) -> None:
    inner = {"a": 1}
    value = back(path, [inner, inner], ("pickle", 2))
    assert value == [inner, inner]
    write(path, [inner, inner], ("pickle", 2))
    first, second = read_file(path).value
    assert first is second


def text2(value: bytes) -> bytes:
    """The opcode of Python 2 for a string, which was bytes."""
    return b"U" + bytes([len(value)]) + value


def test_strings_of_python_2(path: Path) -> None:
    path.write_bytes(
        b"\x80\x02}q\x00("
        + text2(b"epoch")
        + b"K\x05"
        + text2(b"caf\xe9")
        + text2(b"\xff\x00")
        + b"u."
    )
    assert read_file(path).value == {"epoch": 5, "café": "\xff\x00"}


def test_an_array_of_python_2(path: Path) -> None:
    # as numpy wrote it there: data in a string, names in Python 2's modules
    values = np.array([[1, -2], [3, 0.5]], "<f4")
    path.write_bytes(
        b"\x80\x02}"
        + text2(b"w")
        + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        + text2(b"b")
        + b"\x87R"
        + b"(K\x01K\x02K\x02\x86cnumpy\ndtype\n"
        + text2(b"f4")
        + b"K\x00K\x01\x87R"
        + b"(K\x03"
        + text2(b"<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + b"\x89"
        + text2(values.tobytes())
        + b"tbs."
    )
    assert torch.equal(loaded(read_file(path).value)["w"], torch.from_numpy(values))
