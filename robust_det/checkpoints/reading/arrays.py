"""Arrays and numbers of numpy in a pickle, and bytes, which older pickles write as text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from robust_det.checkpoints.reading.tensors import array_tensor
from robust_det.checkpoints.reading.values import Malformed, Placeholder

__all__ = ["NUMPY", "bytes_of"]


def bytes_of(value: Any = b"", encoding: Any = "latin1", *_: Any) -> bytes:
    """Bytes, or the text that stands for them in pickles of protocol 2."""
    if isinstance(value, str) and encoding in ("latin1", "latin-1"):
        return value.encode("latin-1")
    return bytes(value) if isinstance(value, (bytes, bytearray)) else b""


class _Dtype(Placeholder):
    """A numpy type; BUILD tells its byte order."""

    __slots__ = ("order", "spec")

    def __init__(self, spec: Any = "", *_: Any) -> None:
        super().__init__("numpy.dtype")
        self.spec = spec
        self.order = "="

    def built(self, state: Any) -> Any:
        if isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", ">", "|", "="):
            self.order = state[1]
        return self

    def get(self) -> np.dtype | None:
        """Return the type, None for other than numbers: an array of objects holds addresses."""
        if not isinstance(self.spec, str) or self.spec not in _NUMPY_TYPES:
            return None
        kind = np.dtype(self.spec)
        return kind.newbyteorder(">") if self.order == ">" else kind


_NUMPY_TYPES = frozenset(
    ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "c8", "c16"]
)


class _Array(Placeholder):
    """A numpy array, empty until BUILD brings its bytes."""

    __slots__ = ()

    def __init__(self, *_: Any) -> None:
        super().__init__("numpy.ndarray")

    def built(self, state: Any) -> Any:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Malformed("an array without its state")
        _version, shape, dtype, fortran, data = state
        return _array(data, dtype, shape, "F" if fortran is True else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any = "C", *_: Any) -> Any:
    if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
        raise Malformed("an array without a type")
    if (kind := dtype.get()) is None:
        return Placeholder("numpy.ndarray")
    if any(type(n) is not int or n < 0 for n in shape):
        raise Malformed("an array of an impossible shape")
    raw = data if isinstance(data, bytearray) else bytearray(bytes_of(data))
    array = np.frombuffer(raw, kind).reshape(shape, order="F" if order == "F" else "C")
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    # torch knows signed integers only, but for bytes
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        if array.size and int(array.max()) >= 2**63:
            return Placeholder("numpy.uint64")
        array = array.astype(np.int64)
    return array_tensor(array)


def _scalar(dtype: Any = None, data: Any = b"", *_: Any) -> Any:
    if not isinstance(dtype, _Dtype):
        raise Malformed("a number without a type")
    if (kind := dtype.get()) is None:
        return Placeholder("numpy.generic")
    return np.frombuffer(bytes_of(data), kind, count=1)[0].item()


# numpy 2 renamed numpy.core
_MULTIARRAY: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": _Array,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _array,
}
NUMPY: dict[str, Callable[..., Any]] = {
    "numpy.dtype": _Dtype,
    **{f"numpy.{m}.{name}": f for m in ("core", "_core") for name, f in _MULTIARRAY.items()},
}
