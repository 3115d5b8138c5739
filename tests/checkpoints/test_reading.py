"""What is in a file comes back from it, or one line says why not; nothing else is made of it."""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import tarfile
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.reading import LazyTensor, Placeholder, read_file
from robust_det.errors import UserError
from robust_det.models import build_classifier

ROBUSTNESS = Path(__file__).parents[1] / "fixtures" / "robustness"
# format and pickle protocol; torch's archives cannot have the oldest
TORCH = [("zip", 2), ("zip", 4), ("zip", 5), ("legacy", 2), ("legacy", 4), ("legacy", 5)]
PICKLE = [("pickle", protocol) for protocol in range(6)]
DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    *(torch.uint16, torch.uint32, torch.uint64),
    *(torch.complex64, torch.complex128),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def write(path: Path, content: Any, how: tuple[str, int] = ("zip", 2)) -> None:
    kind, protocol = how
    if kind == "pickle":
        path.write_bytes(pickle.dumps(content, protocol))
        return
    torch.save(
        content,
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=kind == "zip",
    )


def loaded(value: Any) -> Any:
    """Ask for the tensors."""
    if isinstance(value, LazyTensor):
        tensor = value.load()
        assert tuple(tensor.shape) == value.shape and tensor.dtype == value.dtype
        return tensor
    if isinstance(value, dict):
        return {key: loaded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(loaded, value))
    return value


def back(path: Path, content: Any, how: tuple[str, int] = ("zip", 2)) -> Any:
    """Write and read a content."""
    write(path, content, how)
    file = read_file(path)
    assert file.foreign == ()
    assert file.kind == {"zip": "torch zip", "legacy": "torch legacy"}.get(how[0], "pickle")
    return loaded(file.value)


# --- plain values

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


# --- tensors


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
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
        "buffer": nn.Buffer(base.clone()),
        "with gradient": (base.clone().requires_grad_() * 2).detach(),
    }
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


def test_an_expanded_tensor_is_not_read(path: Path) -> None:
    # a megabyte of file could ask for a terabyte of memory
    write(path, torch.ones(1).expand(1000))
    with pytest.raises(Exception, match="larger than its storage"):
        read_file(path).value.load()


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


# --- what is not rebuilt


class Local:
    """A class of this test."""

    def __init__(self) -> None:
        self.values = [1, 2]


def function() -> None:
    """A function of this test."""


HERE = Local.__module__


OBJECTS = {
    "argparse.Namespace": argparse.Namespace(lr=0.1),
    "pathlib.PosixPath": Path("x"),
    "slice": slice(1),
    "torch.nn.modules.container.Sequential": nn.Sequential(nn.Linear(2, 2)),
    "torch._utils._rebuild_sparse_tensor": torch.eye(2).to_sparse(),
}


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.parametrize("name", OBJECTS)
def test_other_objects_stay_placeholders(name: str, how: Any, path: Path) -> None:
    write(path, {"odd": OBJECTS[name], "epoch": 3, "w": torch.ones(2)}, how)
    file = read_file(path)
    assert isinstance(file.value["odd"], Placeholder)
    assert file.value["odd"].name in file.foreign
    assert file.value["odd"].name.removeprefix("__builtin__.").removeprefix("builtins.") == name
    assert file.value["epoch"] == 3 and loaded(file.value["w"]).tolist() == [1, 1]


@pytest.mark.parametrize("protocol", range(6))
def test_a_class_that_only_this_process_knows(protocol: int, path: Path) -> None:
    data = pickle.dumps({"odd": Local(), "epoch": 3}, protocol)
    path.write_bytes(data.replace(HERE.encode(), b"x" * len(HERE)))
    file = read_file(path)
    assert isinstance(file.value["odd"], Placeholder) and file.value["epoch"] == 3
    # the oldest protocols call a function that makes it
    expected = "x" * len(HERE) + ".Local" if protocol > 1 else "copy_reg._reconstructor"
    assert file.foreign == (expected,)


def test_functions_and_types_are_names_that_nobody_looks_up(path: Path) -> None:
    content = {"f": function, "t": float, "d": torch.float32, "device": torch.device("cuda:1")}
    write(path, content)
    file = read_file(path)
    assert file.foreign == () and file.value["device"] == "cuda:1"
    assert [file.value[key].name for key in "ftd"] == [
        f"{HERE}.function",
        "__builtin__.float",
        "torch.float32",
    ]


def test_bytecode_of_dill_is_not_run() -> None:
    file = read_file(ROBUSTNESS / "dill_python37.pt")
    assert {"dill._dill._create_function", "dill._dill._create_code"} & set(file.foreign)
    assert isinstance(file.value["args"], Placeholder)
    assert isinstance(file.value["model"], dict)


@pytest.mark.parametrize("how", TORCH)
@pytest.mark.filterwarnings("ignore")  # torch means to give them up
def test_a_quantised_tensor_does_not_hide_the_rest(how: Any, path: Path) -> None:
    odd = [
        torch.quantize_per_tensor(torch.ones(3), 0.1, 0, dtype)
        for dtype in (torch.qint8, torch.quint8, torch.qint32)
    ]
    write(path, {"odd": odd, "w": torch.ones(2)}, how)
    file = read_file(path)
    assert file.foreign == ("torch._utils._rebuild_qtensor",)
    assert loaded(file.value["w"]).tolist() == [1, 1]


def test_a_tensor_that_was_pickled_without_torch_is_a_placeholder(path: Path) -> None:
    write(path, {"w": torch.ones(2), "epoch": 3}, ("pickle", 4))
    file = read_file(path)
    assert file.foreign == ("torch.storage._load_from_bytes",)
    assert isinstance(file.value["w"], Placeholder) and file.value["epoch"] == 3
    with pytest.raises(UserError, match=r"class torch.storage._load_from_bytes.*not rebuilt"):
        read_model(path)


def test_a_whole_network_is_named(path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    write(path, network)
    file = read_file(path)
    assert isinstance(file.value, Placeholder)
    assert {
        "torch.nn.modules.container.Sequential",
        "torch.nn.modules.conv.Conv2d",
        "torch.nn.modules.batchnorm.BatchNorm2d",
    } <= set(file.foreign)
    with pytest.raises(UserError, match=r"Sequential.*not rebuilt.*save the network's state_dict"):
        read_model(path)


# --- values are read when they are asked for


def entry_of(path: Path, ending: str) -> tuple[int, int]:
    """Where the bytes of an archive's entry are."""
    with zipfile.ZipFile(path) as archive:
        info = next(i for i in archive.infolist() if i.filename.endswith(ending))
    name, extra = struct.unpack_from("<HH", path.read_bytes(), info.header_offset + 26)
    return info.header_offset + 30 + name + extra, info.file_size


def damage(path: Path, ending: str) -> None:
    """Change a byte of an entry."""
    start, length = entry_of(path, ending)
    data = bytearray(path.read_bytes())
    data[start + length // 2] ^= 1
    path.write_bytes(data)


def checkpoint() -> dict[str, Any]:
    torch.manual_seed(0)
    state = build_classifier("resnet10_narrow", 4).body.state_dict()
    momentum = {0: {"momentum_buffer": torch.ones(1000)}}
    return {"state_dict": state, "optimizer": {"state": momentum, "param_groups": []}}


def test_a_damaged_optimiser_does_not_matter_to_the_network(path: Path) -> None:
    content = checkpoint()
    write(path, content)
    last = len(content["state_dict"])  # storages are numbered as they come
    damage(path, f"data/{last}")
    model = read_model(path)
    assert torch.equal(model.state["conv1.weight"], content["state_dict"]["conv1.weight"])
    momentum = read_file(path).value["optimizer"]["state"][0]["momentum_buffer"]
    assert momentum.shape == (1000,)
    with pytest.raises(Exception, match="checksum"):
        momentum.load()


def test_a_damaged_weight_is_named(path: Path) -> None:
    write(path, checkpoint())
    damage(path, "data/0")
    with pytest.raises(UserError, match=r"truncated or damaged at tensor conv1\.weight"):
        read_model(path)
    damage(path, "data/0")
    assert read_model(path).arch == "resnet10_narrow"


def test_a_damaged_description_of_the_tensors_is_found(path: Path) -> None:
    write(path, checkpoint())
    damage(path, "data.pkl")
    with pytest.raises(UserError, match="truncated or not a checkpoint"):
        read_file(path)


def test_a_file_without_checksums(path: Path) -> None:
    content = checkpoint()
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        write(path, content)
    finally:
        torch.serialization.set_crc32_options(before)
    model = read_model(path)
    assert all(torch.equal(model.state[n], t) for n, t in content["state_dict"].items())


def test_a_file_of_the_other_byte_order_is_refused(path: Path) -> None:
    write(path, {"w": torch.ones(2)})
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    order = next(name for name in entries if name.endswith("byteorder"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, b"big" if name == order else data)
    with pytest.raises(UserError, match=r"written on a big-endian machine; save it again"):
        read_file(path)


# --- what people take for a checkpoint


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "a web page, so its download failed; download it again"),
        (b"<?xml version='1.0'?>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00", "a gzip archive; unpack it"),
        (b"BZh91AY", "a bzip2 archive; unpack it"),
        (b"\xfd7zXZ\x00", "an xz archive; unpack it"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        (tar(), "a tar archive; unpack it"),
        (b"PK\x05\x06" + bytes(18), "truncated or not a checkpoint"),
        (b"\x80\x02}q\x00", "truncated or not a checkpoint"),
        (b"nothing of the kind", "truncated or not a checkpoint"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}", "truncated or not a checkpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_checkpoint(data: bytes, message: str, path: Path) -> None:
    path.write_bytes(data)
    for read in (read_file, read_model, load_checkpoint):
        with pytest.raises(UserError) as caught:
            read(path)
        assert message in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("how", [("zip", 2), ("legacy", 2), ("pickle", 2)])
def test_a_cut_file_is_told(how: Any, path: Path) -> None:
    write(path, {"w": np.ones(1000) if how[0] == "pickle" else torch.ones(1000)}, how)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=f"checkpoint {path} is truncated or not a checkpoint"):
        read_file(path)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"^no checkpoint at {tmp_path}/absent.pth$"):
        read_file(tmp_path / "absent.pth")
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder, not a checkpoint; give a file$"):
        read_file(tmp_path)


# --- the project's own checkpoints are read strictly, and whole


@pytest.mark.parametrize(
    "odd", [argparse.Namespace(a=1), {"deep": [{"er": (1, Path("x"))}]}, np.array(["a"])]
)
def test_what_is_not_rebuilt_is_refused(odd: Any, path: Path) -> None:
    write(path, {"model": {}, "odd": odd})
    with pytest.raises(UserError, match=r"objects that could run code.*nothing was executed"):
        load_checkpoint(path)


@pytest.mark.parametrize("odd", [function, {"a": [int]}, {function: 1}, {function}])
def test_names_of_functions_are_refused_too(odd: Any, path: Path) -> None:
    write(path, {"model": {}, "odd": odd})
    with pytest.raises(UserError, match=r"truncated or not a checkpoint|could run code"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [[1], torch.ones(2), "text"])
def test_what_is_no_dictionary_is_refused(content: Any, path: Path) -> None:
    write(path, content)
    with pytest.raises(UserError, match=r"holds a \w+, not a dictionary"):
        load_checkpoint(path)


def test_one_tensor_under_two_names_stays_one(path: Path) -> None:
    base = torch.arange(6.0)
    write(path, {"a": base, "inner": [{"b": base}], "c": base[2:]})
    content = load_checkpoint(path)
    assert content["a"] is content["inner"][0]["b"]
    assert content["c"].tolist() == [2, 3, 4, 5]
    content["a"][3] = -1
    assert content["c"].tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("how", TORCH)
def test_a_checkpoint_is_in_memory_once_it_is_read(how: Any, path: Path) -> None:
    content = checkpoint()
    write(path, content, how)
    read = load_checkpoint(path)
    length = path.stat().st_size
    with open(path, "r+b") as file:  # in place, where a map would show it
        file.write(b"\xff" * length)
    path.unlink()
    for name, tensor in content["state_dict"].items():
        assert torch.equal(read["state_dict"][name], tensor), name
        assert read["state_dict"][name].untyped_storage().nbytes() == tensor.nbytes
    assert read["optimizer"]["state"][0]["momentum_buffer"].sum() == 1000


def test_what_is_left_out_may_be_damaged(path: Path) -> None:
    content = checkpoint()
    write(path, content)
    damage(path, f"data/{len(content['state_dict'])}")
    with pytest.raises(UserError, match="truncated or not a checkpoint"):
        load_checkpoint(path)
    assert load_checkpoint(path, leave_out=["optimizer"]).keys() == {"state_dict"}
