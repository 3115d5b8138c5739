"""An assembler of the pickles that Python would not write."""

from __future__ import annotations

import struct


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    if len(data) < 256:
        return b"\x8a" + bytes([len(data)]) + data
    return b"\x8b" + struct.pack("<i", len(data)) + data


def named(name: str) -> bytes:
    module, _, leaf = name.rpartition(".")
    return f"c{module}\n{leaf}\n".encode()


def row(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"l"


def mapping(**items: bytes) -> bytes:
    return b"(" + b"".join(text(key) + value for key, value in items.items()) + b"d"


def call(name: str, *args: bytes) -> bytes:
    return named(name) + row(*args) + b"R"


def kept(slot: int, value: bytes) -> bytes:
    """Remember a value and take it from the stack; slots are far from those of torch."""
    return value + b"r" + struct.pack("<I", 100_000 + slot) + b"0"


def got(slot: int) -> bytes:
    return b"j" + struct.pack("<I", 100_000 + slot)


def binary(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


STORAGE = (
    row(text("storage"), named("torch.FloatStorage"), text("0"), text("cpu"), number(4)) + b"Q"
)


def tensor(
    size: bytes, stride: bytes, offset: bytes = number(0), storage: bytes = STORAGE
) -> bytes:
    hooks = call("collections.OrderedDict")
    return call("torch._utils._rebuild_tensor_v2", storage, offset, size, stride, b"\x89", hooks)


NUMPY = "numpy.core.multiarray."


def array(shape: bytes, spec: bytes = text("f4"), data: bytes = binary(bytes(16))) -> bytes:
    empty = call(f"{NUMPY}_reconstruct", named("numpy.ndarray"), row(number(0)), binary(b"b"))
    dtype = call("numpy.dtype", spec, b"\x89", b"\x88")
    return empty + row(number(1), shape, dtype, b"\x89", data) + b"b"
