"""Tensors and arrays come back: types, shapes, strides, shared memory."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from robust_det.checkpoints.reading import Placeholder, read_file

from .files import PICKLE, TORCH, back, loaded, write

DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.complex64, torch.complex128),
]


def savable(dtype: torch.dtype) -> bool:
    """Whether this torch writes it: 2.4 has wide unsigned integers, but saves none."""
    try:
        torch.save(torch.empty(1, dtype=dtype), io.BytesIO())
    except KeyError:
        return False
    return True


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize("dtype", [*filter(savable, DTYPES)], ids=str)
def test_every_type_of_tensor(dtype: torch.dtype, how: Any, path: Path) -> None:
    numbers = torch.tensor([[0, 1, 2], [3, 5, 100]])
    # an odd count of bytes before: a legacy file aligns nothing
    value = back(path, {"odd": torch.ones(3, dtype=torch.uint8), "x": numbers.to(dtype)}, how)
    assert value["x"].dtype == dtype
    assert value["x"].tolist() == numbers.to(dtype).tolist()


@pytest.mark.parametrize("how", TORCH)
def test_shapes_strides_and_parameters(how: Any, path: Path) -> None:
    base = torch.arange(24.0).view(2, 3, 4)
    tensors = {
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "turned": base.transpose(0, 2),
        "stepped": base[:, ::2, 1:],
        "channels last": base[None].to(memory_format=torch.channels_last),
        "parameter": nn.Parameter(base.clone()),
        "frozen": nn.Parameter(base.clone(), requires_grad=False),
        "with gradient": (base.clone().requires_grad_() * 2).detach(),
    }
    if hasattr(nn, "Buffer"):  # since torch 2.5
        tensors["buffer"] = nn.Buffer(base.clone())
    value = back(path, {**tensors, "size": base.size()}, how)
    assert value.pop("size") == (2, 3, 4)
    for name, tensor in tensors.items():
        assert torch.equal(value[name], tensor), name
        assert value[name].stride() == tensor.stride(), name


@pytest.mark.parametrize("how", TORCH)
def test_tensors_that_share_memory_do_so_again(how: Any, path: Path) -> None:
    base = torch.arange(6.0)
    write(path, {"a": base, "b": base, "c": base[2:], "d": base.clone()}, how)
    value = read_file(path).value
    assert value["a"].identity == value["b"].identity
    assert len({value[name].identity for name in "acd"}) == 3
    start = {name: value[name].load().untyped_storage().data_ptr() for name in "abcd"}
    assert start["a"] == start["b"] == start["c"] != start["d"]
    assert value["c"].load().storage_offset() == 2


class OnDevice:
    """A tensor of a TPU, as torch pickles it: as an array, or as a tensor of the CPU."""

    def __init__(self, tensor: torch.Tensor, function: str) -> None:
        self.tensor, self.function = tensor, function

    def __reduce__(self) -> Any:
        value = self.tensor.numpy() if self.function.endswith("numpy") else self.tensor
        return getattr(torch._utils, self.function), (value, torch.bfloat16, "xla:0", False)


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize(
    "function",
    ["_rebuild_device_tensor_from_numpy", "_rebuild_device_tensor_from_cpu_tensor"],
)
def test_tensors_of_other_devices(function: str, how: Any, path: Path) -> None:
    if not hasattr(torch._utils, function):
        pytest.skip("another torch")
    tensor = torch.arange(6.0).view(2, 3)
    write(path, {"w": OnDevice(tensor, function)}, how)
    file = read_file(path)
    assert file.foreign == () and file.value["w"].shape == (2, 3)
    assert torch.equal(loaded(file.value)["w"], tensor.bfloat16())


ARRAYS = {
    "float": np.arange(6, dtype="f4").reshape(2, 3),
    "half": np.arange(3, dtype="f2"),
    "big endian": np.arange(6, dtype=">f8").reshape(3, 2),
    "big endian numbers": np.arange(3, dtype=">i4"),
    "Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "turned": np.arange(6.0).reshape(2, 3).T,
    "stepped": np.arange(9)[::2],
    "scalar": np.array(3.5),
    "empty": np.zeros((0, 3), "f4"),
    "truth": np.array([True, False]),
    "bytes": np.arange(3, dtype="u1"),
    "complex": np.array([1 + 2j]),
}


@pytest.mark.parametrize("how", [*PICKLE, ("zip", 2), ("legacy", 2)])
def test_numpy_arrays(how: Any, path: Path) -> None:
    value = back(path, ARRAYS, how)
    for name, array in ARRAYS.items():
        assert torch.equal(
            value[name], torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))
        )


@pytest.mark.parametrize("protocol", range(6))
def test_numpy_numbers(protocol: int, path: Path) -> None:
    numbers = [np.float32(0.1), np.float64(0.1), np.int64(-3), np.bool_(True), np.float16(2)]
    value = back(path, numbers, ("pickle", protocol))
    assert value == [float(np.float32(0.1)), 0.1, -3, True, 2.0]
    assert [type(v) for v in value] == [float, float, int, bool, float]


def test_unsigned_arrays_keep_their_values(path: Path) -> None:
    value = back(path, [np.array([65535], "u2"), np.array([2**32 - 1], "u4")], ("pickle", 4))
    assert [v.tolist() for v in value] == [[65535], [2**32 - 1]]
    assert [v.dtype for v in value] == [torch.int64, torch.int64]
    # what does not fit is rather left out
    write(path, {"a": np.array([2**63], "u8"), "b": np.array([2**63 - 1], "u8")}, ("pickle", 4))
    file = read_file(path)
    assert file.foreign == ("numpy.uint64",) and isinstance(file.value["a"], Placeholder)
    assert loaded(file.value["b"]).tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    "odd, name",
    [
        (np.array(["a", "b"]), "numpy.ndarray"),
        (np.array([{}, None]), "numpy.ndarray"),
        (np.zeros(2, dtype=[("x", "f4")]), "numpy.ndarray"),
        (np.str_("a"), "numpy.generic"),
        (np.datetime64("2020-01-01"), "numpy.generic"),
    ],
    ids=["texts", "objects", "records", "text", "date"],
)
@pytest.mark.parametrize("how", [*PICKLE, ("zip", 2)])
def test_what_numpy_has_beside_numbers_does_not_hide_the_rest(
    odd: Any, name: str, how: Any, path: Path
) -> None:
    write(path, {"odd": odd, "w": np.ones(2)}, how)
    file = read_file(path)
    assert name in file.foreign and isinstance(file.value["odd"], Placeholder)
    assert loaded(file.value["w"]).tolist() == [1, 1]


def test_safetensors(path: Path) -> None:
    dtypes = [dtype for dtype in DTYPES if not dtype.is_complex]
    tensors = {str(dtype): torch.tensor([[0, 1, 2]]).to(dtype) for dtype in dtypes}
    tensors["scalar"], tensors["empty"] = torch.tensor(2.5), torch.empty(0, 3)
    save_file(tensors, path, metadata={"format": "pt", "arch": "resnet18"})
    file = read_file(path)
    assert file.kind == "safetensors" and file.metadata == {"format": "pt", "arch": "resnet18"}
    value = loaded(file.value)
    assert value.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert value[name].dtype == tensor.dtype and value[name].tolist() == tensor.tolist()
