"""Tensors of a file that is open: their shapes at once, their values when they are asked for.

A checkpoint holds more than a model needs (the optimiser's state, second copies), and what is not
asked for is never read from the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from robust_det.checkpoints.reading.values import Malformed, Unsupported
from robust_det.core.errors import FileError

__all__ = ["LazyTensor", "Storage", "array_tensor", "load_tensor", "strided_tensor"]


# values that an expanded tensor may have: it grows when it is copied
_MOST_EXPANDED = 2**24


@dataclass(eq=False)
class Storage:
    """A run of bytes of a file.

    Args:
        key: its name in the file.
        dtype: of its elements.
        read: returns its bytes, a flat tensor of that type; set when the place is known.
    """

    key: str
    dtype: torch.dtype
    read: Callable[[], torch.Tensor] = field(default=lambda: _nowhere())
    _values: torch.Tensor | None = None

    def values(self) -> torch.Tensor:
        """Return the flat values; tensors that share them share memory."""
        if self._values is None:
            self._values = self.read()
        return self._values


def _nowhere() -> torch.Tensor:
    raise Malformed("a storage that is not in the file")


@dataclass(eq=False)
class LazyTensor:
    """A tensor of a file.

    Attributes:
        shape, dtype: known without reading it.
        identity: equal for two names of the same tensor.
        load: returns the values.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    identity: Any
    load: Callable[[], torch.Tensor]


def load_tensor(lazy: LazyTensor, name: str) -> torch.Tensor:
    """Return the values of a tensor in a file.

    Raises:
        FileError: the file is damaged there, or the tensor is too large.
    """
    try:
        return lazy.load()
    except Unsupported:
        raise
    except Exception as error:  # damaged bytes make the readers raise almost anything
        raise FileError(f"is truncated or damaged at tensor {name}") from error


def strided_tensor(
    storage: Storage, offset: Any, size: Sequence[Any], stride: Sequence[Any], dtype: Any = None
) -> LazyTensor:
    """Describe a tensor as torch does: a view into a storage.

    Raises:
        Malformed: numbers that cannot be; values outside the storage are found when it is loaded.
    """
    dtype = dtype or storage.dtype
    if not isinstance(size, (tuple, list)) or not isinstance(stride, (tuple, list)):
        raise Malformed("a tensor without a shape")
    if len(size) != len(stride) or len(size) > 64:
        raise Malformed("a shape that does not fit its strides")
    if any(type(n) is not int or not 0 <= n < 2**48 for n in (offset, *size, *stride)):
        raise Malformed("a shape of other than natural numbers")
    shape, strides = tuple(size), tuple(stride)

    def load() -> torch.Tensor:
        values = storage.values()
        if dtype != values.dtype:
            values = values.view(dtype)
        elements = 1
        for n in shape:
            elements *= n
        if elements == 0:
            return torch.empty(shape, dtype=dtype)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if last >= len(values):
            raise Malformed("a tensor that is larger than its storage")
        if elements > max(len(values), _MOST_EXPANDED):
            raise Unsupported(
                f"holds a tensor of {elements:,} values that repeats {len(values):,}, and more than"
                f" {_MOST_EXPANDED:,} are not read",
                "save it without repeating any, or leave it out",
            )
        return values.as_strided(shape, strides, offset)

    return LazyTensor(shape, dtype, (id(storage), offset, shape, strides), load)


def array_tensor(array: np.ndarray) -> LazyTensor:
    """Describe a numpy array of numbers that is in memory."""
    tensor = torch.from_numpy(array)
    return LazyTensor(tuple(tensor.shape), tensor.dtype, id(array), lambda: tensor)
