"""What is rebuilt from a pickle: tensors, arrays, numbers, strings and containers of them.

The table maps names in a file to functions here, never to what the names mean elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch

from robust_det.checkpoints.reading.arrays import NUMPY, bytes_of
from robust_det.checkpoints.reading.tensors import LazyTensor, Storage, strided_tensor
from robust_det.checkpoints.reading.values import Global, Malformed, Placeholder, hashable

__all__ = ["FUNCTIONS", "storage_dtype"]

_STORAGES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    # of quantised tensors, which stay placeholders
    "QInt8": torch.int8,
    "QUInt8": torch.uint8,
    "QInt32": torch.int32,
    "QUInt4x2": torch.uint8,
    "QUInt2x4": torch.uint8,
}
_DTYPES = {
    f"torch.{name}": getattr(torch, name)
    for name in [
        "float32",
        "float64",
        "float16",
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
        "int64",
        "int32",
        "int16",
        "int8",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "bool",
        "complex64",
        "complex128",
    ]
}


def storage_dtype(kind: Any) -> torch.dtype:
    """Return the element type of a storage class's name, such as ``torch.FloatStorage``.

    Raises:
        Malformed: no class of storages.
    """
    name = kind.name if isinstance(kind, Global) else ""
    if name in ("torch.storage.UntypedStorage", "torch.UntypedStorage"):
        return torch.uint8
    module, _, leaf = name.rpartition(".")
    short = leaf.removesuffix("Storage")
    # torch, torch.cuda, torch.xpu, torch_npu, ...
    of_torch = re.fullmatch(r"torch(_npu)?(\.\w+)?", module)
    if not of_torch or short == leaf or short not in _STORAGES:
        raise Malformed(f"no storage: {name}")
    return _STORAGES[short]


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
    if isinstance(storage, Placeholder):  # of a tensor that was pickled without torch.save
        return Placeholder(storage.name)
    if not isinstance(storage, Storage):
        raise Malformed("a tensor without a storage")
    return strided_tensor(storage, offset, size, stride)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> Any:
    name = dtype.name if isinstance(dtype, Global) else ""
    if not isinstance(storage, Storage) or not name:
        raise Malformed("a tensor without a storage or type")
    if name not in _DTYPES:
        return Placeholder(name)
    return strided_tensor(storage, offset, size, stride, _DTYPES[name])


def _of_device(data: Any, dtype: Any, *_: Any) -> Any:
    """Rebuild a tensor of a TPU and the like, which is an array, or a tensor of the CPU."""
    name = dtype.name if isinstance(dtype, Global) else ""
    if not isinstance(data, LazyTensor) or name not in _DTYPES:
        return Placeholder(name)
    kind = _DTYPES[name]
    return LazyTensor(data.shape, kind, (id(data), name), lambda: data.load().to(kind))


def _first(value: Any = None, *_: Any) -> Any:
    return value


def _from_type(function: Any, kind: Any, args: Any, *_: Any) -> Any:
    """Rebuild a subclass of tensor as the tensor it is."""
    name = function.name if isinstance(function, Global) else ""
    if name not in _TENSORS or not isinstance(args, tuple):
        # what wraps other tensors, such as a part of a distributed one, is known by its class
        wraps = name.endswith("_rebuild_wrapper_subclass") and isinstance(kind, Global)
        return Placeholder(kind.name if wraps else name)
    return _TENSORS[name](*args)


def _dict(pairs: Any = (), *_: Any) -> dict[Any, Any]:
    items = list(pairs.items()) if isinstance(pairs, dict) else pairs
    if not isinstance(items, (list, tuple)):
        return {}
    if not all(isinstance(item, (list, tuple)) and len(item) == 2 for item in items):
        raise Malformed("a dictionary of other than pairs")
    return {hashable(key): value for key, value in items}


def _default_dict(*_: Any) -> dict[Any, Any]:
    return {}


def _list(items: Any = (), *_: Any) -> list[Any]:
    return list(items) if isinstance(items, (list, tuple)) else []


def _set(items: Any = (), *_: Any) -> set[Any]:
    return set(map(hashable, _list(items)))


def _tuple(items: Any = (), *_: Any) -> tuple[Any, ...]:
    return tuple(_list(items))


def _device(kind: Any = "", index: Any = None, *_: Any) -> str:
    # not of all there is: the text of nested lists can be endless
    if not isinstance(kind, str) or not isinstance(index, (int, type(None))):
        return ""
    return kind if index is None else f"{kind}:{index}"


_Function = Callable[..., Any]
_TENSORS: dict[str, _Function] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_device_tensor_from_numpy": _of_device,
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _of_device,
    "torch._utils._rebuild_xla_tensor": _of_device,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
}
# of both Pythons
_BUILTINS: dict[str, _Function] = {
    "dict": _dict,
    "list": _list,
    "tuple": _tuple,
    "set": _set,
    "frozenset": _set,
    "bytes": bytes_of,
    "bytearray": bytes_of,
}
FUNCTIONS: dict[str, _Function] = {
    **_TENSORS,
    **NUMPY,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.nn.parameter.Parameter": _first,
    "torch.Size": _tuple,
    "torch.device": _device,
    "collections.OrderedDict": _dict,
    "collections.defaultdict": _default_dict,
    "collections.Counter": _dict,
    "_codecs.encode": bytes_of,
    **{f"{m}.{name}": f for m in ("builtins", "__builtin__") for name, f in _BUILTINS.items()},
}
