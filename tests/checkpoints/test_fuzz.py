"""Damaged and hostile files give the right network or one clear error, and nothing in them runs."""

from __future__ import annotations

import codecs
import contextlib
import faulthandler
import functools
import gc
import io
import itertools
import json
import os
import pickle
import pickletools
import resource
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as save_safetensors
from torchvision.models.resnet import BasicBlock

from robust_det.checkpoints.io import load_checkpoint
from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.names import COUNTER
from robust_det.errors import UserError
from robust_det.models import ARCHITECTURES
from robust_det.models.narrow import NarrowResNet
from robust_det.models.registry import Architecture, ResNetLayout, register
from robust_det.models.stages import tensor_shapes

ROBUSTNESS = Path(__file__).parents[1] / "fixtures" / "robustness"
TINY, SMALL = "fuzz_resnet4", "fuzz_resnet8"
CLASSES = 5
# different files that are tried; the bombs come on top
COUNTS = {
    "truncated": 250,
    "flipped": 450,
    "overwritten": 300,
    "contents": 300,
    "opcodes": 330,
    "gadgets": 300,
    "archives": 60,
    "headers": 100,
}
SECONDS, MEGABYTES = 60, 300  # of a guard against hangs, and of memory above what is usual
LONGEST_MESSAGE = 1000


def register_networks() -> None:
    """Register networks so narrow that their files are small."""
    for name, width in ((TINY, 4), (SMALL, 8)):
        layout = ResNetLayout((1, 1, 1, 1), False, width, width, width)

        def build(classes: int, width: int = width) -> torch.nn.Module:
            return NarrowResNet(BasicBlock, [1, 1, 1, 1], width, classes)

        register(Architecture(name, build, "fc", "maxpool", layout.stages, layout))


@pytest.fixture(scope="module", autouse=True)
def networks() -> Iterator[None]:
    gc.collect()  # what other tests left might open files at the end of its life
    before = dict(ARCHITECTURES)
    register_networks()
    # the other networks would take most of the time; the bombs meet them all
    for name in ARCHITECTURES.keys() - {TINY, SMALL, "resnet18"}:
        del ARCHITECTURES[name]
    yield
    ARCHITECTURES.clear()
    ARCHITECTURES.update(before)


# --- what must not happen while a file is read


class Watch:
    """Records what Python does that a reader has no need of. Its hook cannot be taken out again."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.thread = 0
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        # the last is what tracers do
        if self.path is None or event in ("mmap.__new__", "builtins.id", "object.__getattr__"):
            return
        own = event == "open" and args[0] == str(self.path)
        if own and args[2] & ~os.O_CLOEXEC == os.O_RDONLY:
            return
        if threading.get_ident() == self.thread:
            self.seen.append(f"{event} {str(args)[:200]}")

    @contextlib.contextmanager
    def over(self, path: Path) -> Iterator[list[str]]:
        self.seen = []
        # not the test's standard error, which may be no file
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__ or 2)
        self.path, self.thread = path, threading.get_ident()
        try:
            yield self.seen
        finally:
            self.path = None
            faulthandler.cancel_dump_traceback_later()


WATCH = Watch()


def examine(path: Path) -> Model | str:
    """Read a file; return a network that is whole, or the message of the one error there is."""
    try:
        with WATCH.over(path) as seen:
            model = read_model(path)
    except UserError as error:
        message = str(error)
        assert str(path) in message
        assert message.isprintable() and len(message) < LONGEST_MESSAGE, message[:2000]
        return message
    finally:
        assert seen == [], seen
    shapes = tensor_shapes(model.arch)
    assert {n for n in shapes if COUNTER not in n and not n.startswith("fc.")} <= set(model.state)
    for name, tensor in model.state.items():
        counter = COUNTER in name
        assert tensor.dtype == (torch.int64 if counter else torch.float32), name
        assert tensor.isfinite().all(), name
        shape = shapes[name]
        if name.startswith("fc."):
            shape = (model.num_classes, *shape[1:])
        assert tensor.shape == shape, name
    for part in (model.mean, model.std):
        assert len(part) == 3 and all(np.isfinite(v) for v in part)
    assert min(model.std) > 0
    model.body()
    return model


def same(model: Model | str, state: Mapping[str, torch.Tensor]) -> bool:
    """Whether a result is a network of these very values."""
    return (
        isinstance(model, Model)
        and model.state.keys() == state.keys()
        and all(torch.equal(model.state[name], tensor) for name, tensor in state.items())
    )


@pytest.fixture
def attempt(tmp_path: Path) -> Callable[[bytes], Model | str]:
    """Return :func:`examine` of bytes."""
    path, marker = tmp_path / "file", tmp_path / "executed"
    warm_up(path)

    def run(data: bytes) -> Model | str:
        result = examine_bytes(path, data)
        assert not marker.exists()
        return result

    return run


def warm_up(path: Path) -> None:
    """Let Python import what it does at the first use."""
    for name in ("cp437", "raw_unicode_escape", "unicode_escape"):
        codecs.lookup(name)  # of names in an archive, of texts in a pickle
    assert same(examine_bytes(path, WHOLE["zip"]), STATE)
    assert isinstance(examine_bytes(path, b"?"), str)


def examine_bytes(path: Path, data: bytes) -> Model | str:
    # a new file each time: what was read from the last one may still be mapped
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return examine(path)


def fuzz(kind: str, cases: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Try as many different files of a kind as are due."""
    seen: set[int] = set()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @settings(
        max_examples=COUNTS[kind] * 3 // 2,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases)
    def run(case: Any) -> None:
        seen.add(hash(case.data))
        check(case)

    run()
    assert len(seen) >= COUNTS[kind]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < MEGABYTES * 1024, f"{grown} kB"


def test_two_thousand_files_are_tried() -> None:
    assert sum(COUNTS.values()) >= 2000


# --- the files that are damaged


def state_of(width: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    state = NarrowResNet(BasicBlock, [1, 1, 1, 1], width, CLASSES).state_dict()
    return {n: torch.tensor(7) if COUNTER in n else tensor for n, tensor in state.items()}


STATE = state_of(4)
FLOATS = [name for name, tensor in STATE.items() if tensor.is_floating_point()]
FORMATS = ("zip", "legacy", "pickle", "safetensors")


def contents(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a training script saves."""
    momentum = {0: {"momentum_buffer": torch.ones(3), "step": 4}}
    groups = [{"lr": 0.1, "params": [0], "betas": (0.9, 0.999)}]
    return {
        "epoch": 3,
        "state_dict": dict(state),
        "optimizer": {"state": momentum, "param_groups": groups},
        "best": 0.5,
        "name": "a run",
    }


def with_arrays(value: Any) -> Any:
    """Replace tensors by numpy's arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {key: with_arrays(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(with_arrays, value))
    return value


def written(content: Any, kind: str, protocol: int = 2) -> bytes:
    """Return the file of a content; a safetensors file takes a state dict alone."""
    if kind == "safetensors":
        return save_safetensors(content)
    if kind == "pickle":
        return pickle.dumps(with_arrays(content), protocol)
    buffer = io.BytesIO()
    torch.save(
        content,
        buffer,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=kind == "zip",
    )
    return buffer.getvalue()


WHOLE = {
    kind: written(STATE if kind == "safetensors" else contents(STATE), kind) for kind in FORMATS
}
WHOLE["zip4"] = written(contents(STATE), "zip", 4)
WHOLE["pickle4"] = written(contents(STATE), "pickle", 4)
REAL = {
    path.name: path.read_bytes()
    for path in sorted(ROBUSTNESS.iterdir())
    if path.name != "expected.pt"
}
BASES = {**WHOLE, **REAL}
CHECKED = ("zip", "zip4", "torchvision_zip.ckpt")  # an archive has checksums; nothing else does


class Case:
    """A file and what is known about it; no dataclass, which Hypothesis would show in full."""

    def __init__(self, base: str, change: str, data: bytes, expected: Any = None) -> None:
        self.base, self.change, self.data, self.expected = base, change, data, expected

    def __repr__(self) -> str:
        return f"<{self.base}: {self.change}>"  # without the bytes


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """The networks in the files before they are damaged."""
    folder = tmp_path_factory.mktemp("intact")
    models = {}
    for name, data in BASES.items():
        (folder / name).write_bytes(data)
        model = examine(folder / name)
        assert isinstance(model, Model), model
        models[name] = model
    return models


def test_undamaged_files_are_read(intact: dict[str, Model]) -> None:
    assert len(REAL) == 3
    for name, model in intact.items():
        assert model.arch == (SMALL if name in REAL else TINY)
        if name not in REAL:
            assert same(model, STATE), name


# --- bytes

# the real files are larger and slower, and most of them is weights
NAMES = st.sampled_from([*WHOLE, *WHOLE, *WHOLE, *REAL])


def places(length: int) -> st.SearchStrategy[int]:
    """Places in a file, mostly where it is not just weights."""
    return st.one_of(
        st.integers(0, length - 1),
        st.integers(0, min(length, 4000) - 1),
        st.integers(max(0, length - 8000), length - 1),
    )


@st.composite
def truncated(draw: Any) -> Case:
    name = draw(NAMES)
    at = draw(places(len(BASES[name])))
    return Case(name, f"first {at} bytes", BASES[name][:at])


@st.composite
def flipped(draw: Any) -> Case:
    name = draw(NAMES)
    data = bytearray(BASES[name])
    bits = draw(st.lists(st.tuples(places(len(data)), st.integers(0, 7)), min_size=1, max_size=8))
    for at, bit in bits:
        data[at] ^= 1 << bit
    return Case(name, f"bits {bits}", bytes(data))


@st.composite
def overwritten(draw: Any) -> Case:
    name = draw(NAMES)
    data = BASES[name]
    at = draw(places(len(data)))
    new = draw(st.one_of(st.binary(max_size=64), st.integers(0, 300).map(bytes)))
    old = draw(st.one_of(st.just(len(new)), st.integers(0, 300)))
    return Case(name, f"{old} bytes at {at} are {new!r}", data[:at] + new + data[at + old :])


def test_truncated_files(attempt: Any) -> None:
    fuzz("truncated", truncated(), lambda case: _refused(attempt(case.data)))


def _refused(result: Model | str) -> None:
    assert isinstance(result, str), "it was read"


@pytest.mark.parametrize("kind, cases", [("flipped", flipped()), ("overwritten", overwritten())])
def test_damaged_bytes(kind: str, cases: Any, attempt: Any, intact: dict[str, Model]) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        if isinstance(result, Model) and case.base in CHECKED:
            assert same(result, intact[case.base].state)

    fuzz(kind, cases, check)


# --- contents: here we know what has to come out

REFUSED = "refused"
WRAPPERS = ("state_dict", "model", "ema", "net", "module", "weights", "0")


@st.composite
def edited(draw: Any) -> Case:
    """Files that are well-formed, of contents that may be none."""
    change = draw(st.sampled_from([_dropped, _unrelated, _reshaped, _values, _dtypes, _nested]))
    kind = draw(st.sampled_from(FORMATS))
    state = {name: tensor.clone() for name, tensor in STATE.items()}
    content, expected, what = change(draw, kind, state)
    if kind == "safetensors":
        content = {name: tensor.contiguous() for name, tensor in content.items()}
    elif change is not _nested and change is not _unrelated:
        content = contents(content)
    return Case(kind, f"{change.__name__} {what}", written(content, kind), expected)


def _dropped(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    names = draw(st.sets(st.sampled_from(list(state)), min_size=1, max_size=4))
    kept = {name: tensor for name, tensor in state.items() if name not in names}
    if any(COUNTER not in name and not name.startswith("fc.") for name in names):
        return kept, REFUSED, names
    # half a head is none
    headless = any(name.startswith("fc.") for name in names)
    expected = {n: t for n, t in kept.items() if not (headless and n.startswith("fc."))}
    return kept, expected, names


def _unrelated(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    if kind == "safetensors":
        name = draw(st.text(max_size=30).filter(lambda n: n.partition(".")[0] not in _PARTS))
        return {**state, name: torch.ones(2)}, state, name
    content = contents(state)
    for key in draw(st.sets(st.sampled_from(sorted(content.keys() - {"state_dict"})))):
        del content[key]
    odd = st.recursive(
        st.none() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
    names = st.text().filter(lambda key: key not in ("format", "robust_det"))
    content.update(draw(st.dictionaries(names, odd, max_size=3)))
    content["state_dict"] = state
    return content, state, content.keys()


_PARTS = {name.partition(".")[0] for name in STATE}


def _reshaped(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    name = draw(st.sampled_from(list(state)))
    tensor = state[name]
    changes = {
        "flat": tensor.flatten(),
        "scalar": tensor.flatten()[0],
        "empty": tensor.flatten()[:0],
        "longer": torch.cat([tensor, tensor]) if tensor.dim() else tensor.expand(2),
        "deeper": tensor[None],
        "turned": tensor.transpose(0, -1) if tensor.dim() else tensor,
    }
    how = draw(st.sampled_from(sorted(changes)))
    state[name] = changes[how].clone(memory_format=torch.contiguous_format)
    if state[name].shape == tensor.shape:
        return state, STATE, (name, how)
    if name.startswith("fc."):
        return state, {n: t for n, t in STATE.items() if not n.startswith("fc.")}, (name, how)
    return state, None if COUNTER in name else REFUSED, (name, how)


def _values(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    name = draw(st.sampled_from(FLOATS))
    at = draw(st.integers(0, state[name].numel() - 1))
    value = draw(st.sampled_from([float("nan"), float("inf"), -float("inf")]))
    dtype = draw(st.sampled_from([torch.float32, torch.float16, torch.float64]))
    state[name].view(-1)[at] = value
    state[name] = state[name].to(dtype)
    return state, "are NaN or Inf", (name, at, value)


def _dtypes(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    good = [torch.float16, torch.float64] + [torch.bfloat16] * (kind != "pickle")
    bad = [torch.int8, torch.uint8, torch.int64, torch.bool] + [torch.complex64] * (
        kind != "safetensors"
    )
    dtype = draw(st.sampled_from([*good, *good, *bad]))
    names = draw(st.sets(st.sampled_from(FLOATS), min_size=1))
    for name in names:
        state[name] = state[name].to(dtype)
    if dtype in bad:
        return state, "which are no weights", (dtype, names)
    return state, {n: t.float() if n in names else t for n, t in state.items()}, (dtype, names)


def _nested(draw: Any, kind: str, state: dict[str, torch.Tensor]) -> Any:
    prefix = draw(st.sampled_from(["", "module.", "model.", "module.model.", "a.b.c.d.e.f.g."]))
    content: Any = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    if kind == "safetensors":
        return content, STATE, prefix
    ways = draw(
        st.lists(st.sampled_from([*WRAPPERS, *WRAPPERS, 7, "list", "tuple"]), max_size=40)
        | st.lists(st.sampled_from(WRAPPERS), max_size=8)
    )
    for way in ways:
        beside = {"epoch": 1, "inner": {"x": [1, 2]}}
        if way == "list":
            content = [content]
        elif way == "tuple":
            content = (content, 1)
        else:
            content = {**beside, way: content}
    named = all(isinstance(way, str) and way not in ("list", "tuple") for way in ways)
    return content, STATE if named and len(ways) <= 6 else REFUSED, (prefix, ways)


def test_edited_contents(attempt: Any) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        if case.expected is None:
            return
        if isinstance(case.expected, str):
            assert isinstance(result, str), "it was read"
            assert case.expected == REFUSED or case.expected in result
        else:
            assert same(result, case.expected), result

    fuzz("contents", edited(), check)


# --- pickles: an assembler for what Python would not write


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


@dataclass(frozen=True)
class Parts:
    """A file around its pickle."""

    kind: str
    pickled: bytes
    archive: Mapping[str, bytes] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""

    def file(self, pickled: bytes) -> bytes:
        """Return the file with another pickle in the place of its own, checksums and all."""
        if self.kind == "zip":
            return archived({**self.archive, "archive/data.pkl": pickled})
        return self.before + pickled + self.after

    @property
    def body(self) -> bytes:
        """The opcodes that make the value, without those of start and end."""
        return self.pickled[2:-1]


def archived(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def taken_apart(kind: str, content: Any, protocol: int = 2) -> Parts:
    data = written(content, kind, protocol)
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        return Parts(kind, entries["archive/data.pkl"], entries)
    if kind == "pickle":
        return Parts(kind, data)
    file = io.BytesIO(data)
    ends = []
    for _ in range(5):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    return Parts(kind, data[ends[2] : ends[3]], {}, data[: ends[2]], data[ends[3] :])


PARTS = {kind: taken_apart(kind, STATE) for kind in ("zip", "legacy", "pickle")}


def beside(kind: str, extra: bytes, key: bytes | None = None) -> bytes:
    """Return a file that holds the network and something else."""
    key = text("extra") if key is None else key
    parts = PARTS[kind]
    return parts.file(b"\x80\x02(" + text("state_dict") + parts.body + key + extra + b"d.")


def test_the_assembler_assembles(attempt: Any) -> None:
    for kind in PARTS:
        extra = row(number(2**70), text("x"), sequence(b"N", number(-1)), mapping(a=b"N"))
        data = beside(kind, kept(0, extra) + got(0))
        assert same(attempt(data), STATE)
    value = pickle.loads(b"\x80\x02" + kept(0, extra) + got(0) + b".")
    assert value == (2**70, "x", [None, -1], {"a": None})
    assert pickle.loads(b"\x80\x02" + array(row(number(2), number(2))) + b".").shape == (2, 2)


SEGMENTS: dict[str, list[bytes]] = {}
for _kind, _protocol in (("zip", 2), ("zip", 4), ("legacy", 2), ("pickle", 2), ("pickle", 4)):
    _parts = taken_apart(_kind, contents(STATE), _protocol)
    _at = [position or 0 for _, _, position in pickletools.genops(_parts.pickled)]
    PARTS[f"{_kind} {_protocol}"] = _parts
    SEGMENTS[f"{_kind} {_protocol}"] = [
        _parts.pickled[start:end]
        for start, end in zip(_at, [*_at[1:], len(_parts.pickled)], strict=True)
    ]
SNIPPETS = [
    *(
        bytes([opcode])
        for opcode in b"(.012NQRabdelostu})]\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92"
    ),
    *(b"\x93", b"\x94", b"\x97", b"\x98", b"h\x00", b"h\x01", b"q\x00", b"\x82\x01", b"P7\n"),
    number(-1),
    number(2**63),
    text("fc.weight"),
    STORAGE,
    named("os.system"),
    named("collections.OrderedDict"),
    row(),
]


@st.composite
def reassembled(draw: Any) -> Case:
    name = draw(st.sampled_from(sorted(SEGMENTS)))
    segments = list(SEGMENTS[name])
    changes = []
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(segments) - 1))
        how = draw(st.sampled_from(["drop", "double", "swap", "copy", "replace", "insert"]))
        other = draw(st.integers(0, len(segments) - 1))
        if how == "drop":
            del segments[at]
        elif how == "double":
            segments.insert(at, segments[at])
        elif how == "swap":
            segments[at], segments[other] = segments[other], segments[at]
        elif how == "copy":
            segments[at] = segments[other]
        elif how == "replace":
            segments[at] = draw(st.sampled_from(SNIPPETS))
        else:
            segments.insert(at, draw(st.sampled_from(SNIPPETS)))
        changes.append((how, at, other))
    return Case(name, str(changes), PARTS[name].file(b"".join(segments)))


def test_rearranged_opcodes(attempt: Any) -> None:
    fuzz("opcodes", reassembled(), lambda case: attempt(case.data))


# --- code: each would create a file next to the checkpoint

TARGETS: dict[str, Callable[[str], tuple[bytes, ...]]] = {
    "os.system": lambda marker: (text(f"touch {marker}"),),
    "posix.system": lambda marker: (text(f"touch {marker}"),),
    "os.popen": lambda marker: (text(f"touch {marker}"),),
    "os.execlp": lambda marker: (text("touch"), text("touch"), text(marker)),
    "os.mkdir": lambda marker: (text(marker),),
    "os.symlink": lambda marker: (text("x"), text(marker)),
    "subprocess.check_output": lambda marker: (sequence(text("touch"), text(marker)),),
    "subprocess.Popen": lambda marker: (sequence(text("touch"), text(marker)),),
    "builtins.eval": lambda marker: (text(f"open({marker!r}, 'w')"),),
    "builtins.exec": lambda marker: (text(f"open({marker!r}, 'w')"),),
    "__builtin__.eval": lambda marker: (text(f"open({marker!r}, 'w')"),),
    "builtins.open": lambda marker: (text(marker), text("w")),
    "io.open": lambda marker: (text(marker), text("w")),
    "builtins.__import__": lambda marker: (text("antigravity"),),
    "builtins.getattr": lambda marker: (named("os.path"), text("os")),
    "importlib.import_module": lambda marker: (text("this"),),
    "runpy.run_module": lambda marker: (text("this"),),
    "torch.hub.load": lambda marker: (text("a/b"), text("c")),
    "torch.load": lambda marker: (text(marker),),
    "torch.jit.load": lambda marker: (text(marker),),
    "numpy.load": lambda marker: (text(marker),),
    "pickle.loads": lambda marker: (binary(pickle.dumps(1)),),
    "marshal.loads": lambda marker: (binary(b"N"),),
    "shutil.rmtree": lambda marker: (text(marker),),
    "ctypes.CDLL": lambda marker: (text("libc.so.6"),),
    "types.FunctionType": lambda marker: (named("os.system.__code__"), b"}"),
    "functools.partial": lambda marker: (named("os.system"), text(f"touch {marker}")),
    "operator.methodcaller": lambda marker: (text("system"), text(f"touch {marker}")),
    "dill._dill._create_function": lambda marker: (b"N", b"}"),
    "copyreg._reconstructor": lambda marker: (named("os.system"), named("builtins.object"), b"N"),
    "torch.utils.collect_env.run": lambda marker: (text(f"touch {marker}"),),
    "robust_det.files.write_atomically": lambda marker: (text(marker), named("builtins.print")),
}
MECHANISMS: dict[str, Callable[[str, tuple[bytes, ...]], bytes]] = {
    "REDUCE": lambda name, args: named(name) + row(*args) + b"R",
    "NEWOBJ": lambda name, args: named(name) + row(*args) + b"\x81",
    "NEWOBJ_EX": lambda name, args: named(name) + row(*args) + b"}\x92",
    "OBJ": lambda name, args: b"(" + named(name) + b"".join(args) + b"o",
    "INST": lambda name, args: (
        b"(" + b"".join(args) + b"i" + "\n".join(name.rpartition(".")[::2]).encode() + b"\n"
    ),
    "STACK_GLOBAL": lambda name, args: (
        text(name.rpartition(".")[0]) + text(name.rpartition(".")[2]) + b"\x93" + row(*args) + b"R"
    ),
    "dotted": lambda name, args: (
        text(name.partition(".")[0]) + text(name.partition(".")[2]) + b"\x93" + row(*args) + b"R"
    ),
    "BUILD": lambda name, args: (
        call("argparse.Namespace")
        + mapping(__setstate__=named(name))
        + b"b"
        + (args[0] if args else b"N")
        + b"b"
    ),
    "BUILD of slots": lambda name, args: (
        call("collections.OrderedDict") + row(b"N", mapping(__reduce__=named(name))) + b"b"
    ),
    "called twice": lambda name, args: named(name) + row(*args) + b"R" + row(*args) + b"R",
    "as state of an array": lambda name, args: array(row(number(4)), data=call(name, *args)),
    "as dtype": lambda name, args: array(row(number(4)), spec=call(name, *args)),
    "as factory": lambda name, args: (
        call("collections.defaultdict", named(name)) + text("k") + args[0] + b"s"
    ),
    "of a subclass of Tensor": lambda name, args: call(
        "torch._tensor._rebuild_from_type_v2", named(name), named("torch.Tensor"), row(*args), b"}"
    ),
    "appended": lambda name, args: named(name) + row(*args) + b"R" + text("x") + b"a",
}
# where it lies, and whether the network can still be read
POSITIONS: dict[str, tuple[bool, Callable[[str, bytes], bytes]]] = {
    "value": (True, lambda kind, code: beside(kind, code)),
    "key": (True, lambda kind, code: beside(kind, b"N", code)),
    "in a list": (True, lambda kind, code: beside(kind, sequence(code, code))),
    "thrown away": (True, lambda kind, code: beside(kind, code + b"0N")),
    "hooks": (
        True,
        lambda kind, code: beside(
            "zip",
            call(
                "torch._utils._rebuild_tensor_v2",
                STORAGE,
                *(number(0), row(number(4)), row(number(1)), b"\x89", code),
            ),
        ),
    ),
    "all": (False, lambda kind, code: PARTS[kind].file(b"\x80\x02" + code + b".")),
    "size": (False, lambda kind, code: beside("zip", tensor(code, row(number(1))))),
    "storage": (False, lambda kind, code: beside("zip", tensor(b")", b")", storage=code))),
    "type of a storage": (
        False,
        lambda kind, code: beside(
            "zip", row(text("storage"), code, text("0"), text("cpu"), number(4)) + b"Q"
        ),
    ),
    "reference": (False, lambda kind, code: beside(kind, code + b"Q")),
    "name": (False, lambda kind, code: beside(kind, text("os") + code + b"\x93")),
}


@st.composite
def gadgets(draw: Any, marker: str) -> Case:
    kind = draw(st.sampled_from(["zip", "legacy", "pickle"]))
    target = draw(st.sampled_from(sorted(TARGETS)))
    mechanism = draw(st.sampled_from(sorted(MECHANISMS)))
    position = draw(st.sampled_from(sorted(POSITIONS)))
    readable, place = POSITIONS[position]
    code = MECHANISMS[mechanism](target, TARGETS[target](marker))
    data = place(kind, code)
    # an array of no type is damage wherever it lies
    readable = readable and not mechanism.startswith("as ")
    return Case(kind, f"{target} by {mechanism}, {position}", data, readable)


def test_nothing_of_a_file_runs(attempt: Any, tmp_path: Path) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        if case.expected:
            assert same(result, STATE), result

    fuzz("gadgets", gadgets(str(tmp_path / "executed")), check)


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "os.mkdir", "builtins.open"])
def test_the_traps_work_where_anybody_unpickles(target: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    with WATCH.over(tmp_path / "file") as seen:
        pickle.loads(b"\x80\x02" + call(target, *TARGETS[target](str(marker))) + b".")
    gc.collect()
    assert marker.exists()
    assert any(event.startswith("pickle.find_class") for event in seen)


# --- archives

ENTRIES = PARTS["zip"].archive
CENTRAL = {  # fields of the central directory: offset and width
    "version": (6, 2),
    "flags": (8, 2),
    "method": (10, 2),
    "crc": (16, 4),
    "compressed": (20, 4),
    "size": (24, 4),
    "name length": (28, 2),
    "extra length": (30, 2),
    "comment length": (32, 2),
    "disk": (34, 2),
    "offset": (42, 4),
}
ENDING = {
    "disk": (4, 2),
    "entries here": (8, 2),
    "entries": (10, 2),
    "length": (12, 4),
    "offset": (16, 4),
    "comment": (20, 2),
}


@st.composite
def archives(draw: Any) -> Case:
    entries = list(ENTRIES.items())
    names = [name for name, _ in entries]
    how = draw(
        st.sampled_from(["compress", "rename", "double", "add", "central", "ending", "around"])
    )
    at = draw(st.integers(0, len(entries) - 1))
    what: Any = names[at]
    methods = dict.fromkeys(names, zipfile.ZIP_STORED)
    name = draw(
        st.sampled_from(
            [
                "../../etc/x",
                "/etc/passwd",
                "archive/data/../../x",
                "C:\\x",
                "x/",
                "archive/data.pkl",
            ]
            + ["x/data.pkl", "archive/data/0", "archive/byteorder", "archive/constants.pkl", "é"]
        )
    )
    if how == "compress":
        methods[names[at]] = draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
    elif how == "rename":
        entries[at], what = (name, entries[at][1]), (what, name)
    elif how == "double":
        entries.append((names[at], b"other"))
    elif how == "add":
        size = draw(st.integers(0, 10_000))
        entries.insert(at, (name, draw(st.sampled_from([WHOLE["zip"], bytes(size)]))))
        what = (name, size)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, content in entries:
            # Python warns of two files of one name
            archive.NameToInfo.pop(entry, None)
            archive.writestr(entry, content, methods.get(entry))
    data = bytearray(buffer.getvalue())
    with zipfile.ZipFile(buffer) as archive:
        start = archive.start_dir
    value = draw(st.one_of(st.sampled_from([0, 1, 2**31, 2**32 - 1]), st.integers(0, 2**18)))
    if how == "central":
        field_name = draw(st.sampled_from(sorted(CENTRAL)))
        for _ in range(at):
            lengths = struct.unpack_from("<HHH", data, start + 28)
            start += 46 + sum(lengths)
        _patch(data, start, CENTRAL[field_name], value)
        what = (what, field_name, value)
    elif how == "ending":
        field_name = draw(st.sampled_from(sorted(ENDING)))
        _patch(data, len(data) - 22, ENDING[field_name], value)
        what = (field_name, value)
    elif how == "around":
        before, after = draw(st.tuples(st.binary(max_size=99), st.binary(max_size=99)))
        data = bytearray((b"PK" + before if before else b"") + data + after)
        what = (before, after)
    return Case("zip", f"{how} {what}", bytes(data))


def _patch(data: bytearray, start: int, where: tuple[int, int], value: int) -> None:
    offset, width = where
    data[start + offset : start + offset + width] = (value % 256**width).to_bytes(width, "little")


def test_archives(attempt: Any) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        assert isinstance(result, str) or same(result, STATE)
        if case.change.startswith(("compress", "double")):
            assert isinstance(result, str), "it was read"

    fuzz("archives", archives(), check)


# --- safetensors

HEADER_LENGTH = struct.unpack_from("<Q", WHOLE["safetensors"])[0]
HEADER = json.loads(WHOLE["safetensors"][8 : 8 + HEADER_LENGTH])
VALUES = WHOLE["safetensors"][8 + HEADER_LENGTH :]


def safetensors_file(
    header: str | bytes, values: bytes = VALUES, length: int | None = None
) -> bytes:
    data = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(data) if length is None else length) + data + values


@st.composite
def headers(draw: Any) -> Case:
    header = json.loads(json.dumps(HEADER))
    name = draw(st.sampled_from(sorted(STATE)))
    entry = header[name]
    odd: st.SearchStrategy[Any] = st.sampled_from(
        [-1, 0, 1, 2**31, 2**63, 2**64, 1.5, "1", None, [], {}]
    )
    how = draw(
        st.sampled_from(
            ["offsets", "shape", "dtype", "name", "metadata", "length", "text", "entry"]
        )
    )
    what: Any = None
    length = None
    if how == "offsets":
        what = [draw(st.one_of(odd, st.integers(0, len(VALUES)))) for _ in range(2)]
        entry["data_offsets"] = what
    elif how == "shape":
        what = entry["shape"] = draw(st.lists(st.one_of(odd, st.integers(0, 40)), max_size=70))
    elif how == "dtype":
        what = entry["dtype"] = draw(
            st.sampled_from(["F64", "F16", "BF16", "I32", "BOOL", "F8_E5M2", "F4", "Q7", "", 3])
        )
    elif how == "name":
        what = draw(st.text(max_size=700))
        header[what] = header.pop(name)
    elif how == "metadata":
        what = draw(st.dictionaries(st.text(), st.one_of(st.text(), odd), max_size=3))
        header["__metadata__"] = what
    elif how == "length":
        what = length = draw(
            st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2 * HEADER_LENGTH))
        )
    elif how == "entry":
        what = header[name] = draw(st.one_of(odd, st.just(HEADER)))
    raw = json.dumps(header)
    if how == "text":
        at, new = draw(st.integers(0, len(raw))), draw(st.text(max_size=9))
        raw, what = raw[:at] + new + raw[at + draw(st.integers(0, 9)) :], (at, new)
    return Case("safetensors", f"{how} {name} {what}", safetensors_file(raw, length=length))


def test_headers_that_lie(attempt: Any) -> None:
    fuzz("headers", headers(), lambda case: attempt(case.data))


# --- bombs: small files that grow, in a process of their own

MANY = 60_000  # opcodes; a file may have eight times as many
READ, EITHER = "read", "either"


def bombs() -> Iterator[tuple[str, str, bytes]]:
    """Yield names, what has to come out, and files."""
    yield from _lengths()
    yield from _laughs()
    yield from _depths()
    yield from _many()
    yield from _keys()
    yield from _tensors()
    yield from _descriptions()
    yield from _normalisations()
    yield from _archive_bombs()
    yield from _header_bombs()


def everywhere(name: str, result: str, extra: bytes) -> Iterator[tuple[str, str, bytes]]:
    for kind in ("zip", "legacy", "pickle"):
        yield f"{name}, {kind}", result, beside(kind, extra)


def _lengths() -> Iterator[tuple[str, str, bytes]]:
    """Opcodes that promise more than there is."""
    huge = struct.pack("<Q", 2**62)
    for name, code in {
        "BINBYTES8": b"\x8e" + huge,
        "BINUNICODE8": b"\x8d" + huge,
        "BYTEARRAY8": b"\x96" + huge,
        "BINBYTES": b"B\xff\xff\xff\xff",
        "LONG4": b"\x8b\xff\xff\xff\x7f",
        "negative LONG4": b"\x8b\xff\xff\xff\xff",
        "negative BINSTRING": b"T\xff\xff\xff\xff",
        "LONG": b"L" + b"9" * 1_000_000 + b"L\n",
        "INT": b"I" + b"9" * 1_000_000 + b"\n",
        "PUT": b"Np" + b"9" * 1_000_000 + b"\n",
        "EXT1": b"\x82\x01",
        "EXT2": b"\x83\x01\x00",
        "EXT4": b"\x84\x01\x00\x00\x00",
        "PERSID": b"Pos.system\n",
        "NEXT_BUFFER": b"\x97",
        "READONLY_BUFFER": b"N\x98",
        "GET of nothing": b"j\xff\xff\xff\xff",
    }.items():
        yield from everywhere(name, REFUSED, code)
    yield from everywhere("FRAME", READ, b"\x95" + huge + b"N")
    yield from everywhere("LONG_BINPUT", READ, b"Nr\xff\xff\xff\xff")
    yield from everywhere("long PUT", READ, b"Np99999999999999999999\n")
    yield from everywhere("long number", READ, number(1 << 8_000_000))
    yield from everywhere("list in itself", READ, b"]" + b"r\x00\x00\x10\x00j\x00\x00\x10\x00a")
    yield from everywhere(
        "dict in itself", READ, b"}r\x00\x00\x10\x00" + text("a") + b"j\x00\x00\x10\x00s"
    )
    inside = b"}r\x00\x00\x10\x00" + text("model") + b"j\x00\x00\x10\x00s"
    yield "network in a dict in itself", REFUSED, PARTS["zip"].file(b"\x80\x02" + inside + b".")


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


def _laughs() -> Iterator[tuple[str, str, bytes]]:
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


def _depths() -> Iterator[tuple[str, str, bytes]]:
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


def _many() -> Iterator[tuple[str, str, bytes]]:
    """The most memory and time that an opcode takes."""
    yield "sets", READ, beside("zip", b"(" + b"\x8f" * MANY + b"l")
    yield "a million sets", READ, beside("zip", b"(" + b"\x8f" * 990_000 + b"l")
    yield "more than a million", REFUSED, beside("zip", b"(" + b"N" * 1_100_000 + b"l")
    yield "dicts", READ, beside("zip", b"(" + b"}NNs" * (MANY // 4) + b"l")
    fill = kept(0, named("collections.OrderedDict")) + kept(1, b"(" + b"(NNl" * 9000 + b"l")
    yield "copies", REFUSED, beside("zip", fill + sequence((got(0) + got(1) + b"\x85R") * 9000))
    items, data = sequence(b"N" * 9000), b"\x96" + struct.pack("<Q", 10**6) + bytes(10**6)
    for copier in ("list", "tuple", "set", "dict", "bytes", "bytearray"):
        code = kept(0, named(f"builtins.{copier}"))
        code += kept(1, data if copier.startswith("bytes") else items)
        code += sequence((got(0) + got(1) + b"\x85R") * 9000)
        yield f"copies by {copier}", REFUSED, beside("zip", code)
    long = kept(0, text("x" * 1_000_000))
    yield (
        "long names",
        REFUSED,
        beside("zip", long + sequence((got(0) + got(0) + b"\x93") * 20_000)),
    )
    yield "long name", REFUSED, beside("zip", b"(i" + b"x" * 1_000_000 + b"\ny\n")
    lines = text("os\nos") + text("x\ry") + b"\x93)R"
    yield "names of lines", REFUSED, PARTS["zip"].file(b"\x80\x02" + lines + b".")
    data = kept(0, binary(bytes(1_000_000))) + kept(1, call("numpy.dtype", text("f4")))
    args = kept(2, row(got(0), got(1), row(number(250_000))))
    code = data + args + kept(3, named("numpy.core.numeric._frombuffer"))
    yield (
        "copies of arrays",
        REFUSED,
        beside("zip", code + sequence((got(3) + got(2) + b"R") * 3000)),
    )
    made = kept(0, named("torch._utils._rebuild_tensor_v2"))
    made += kept(1, row(STORAGE, number(0), b")", b")", b"N", b"N"))
    yield "tensors", READ, beside("zip", made + sequence((got(0) + got(1) + b"R") * (MANY // 3)))
    reference = kept(0, text("storage")) + kept(1, named("torch.FloatStorage"))
    storages = (row(got(0), got(1), number(i), b"N", b"N") + b"Q" for i in range(MANY // 9))
    yield "storages", READ, beside("zip", reference + sequence(*storages))


def _keys() -> Iterator[tuple[str, str, bytes]]:
    """Keys that take long to compare, or that all have one hash."""
    for name, key in {
        "number": number(1 << 8_000_000),
        "text": text("x" * 1_000_000),
        "tuple": row(b"N" * 50_000),
        "tuple of numbers": row(number(1 << 8_000_000)),
    }.items():
        code = kept(0, key) + b"}(" + (got(0) + b"N") * 30_000 + b"u"
        yield f"long {name} as key", READ, beside("zip", code)
    same_text = b"".join(text("x" * 100_000) + b"N" for _ in range(50))
    yield "equal texts as keys", READ, beside("zip", b"(" + same_text + b"d")
    numbers = b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1, 30_000))
    yield "colliding numbers", READ, beside("zip", b"(" + numbers + b"d")
    ones = itertools.product((number(-1), number(-2)), repeat=15)
    tuples = b"".join(row(*items) + b"N" for items in itertools.islice(ones, 10_000))
    yield "colliding tuples", READ, beside("zip", b"(" + tuples + b"d")
    yield "colliding set", READ, beside("zip", b"\x8f(" + numbers + b"\x90")


def _tensors() -> Iterator[tuple[str, str, bytes]]:
    """Tensors that are larger than their file, as the network and beside it."""
    big = number(2**40)
    for name, code in {
        "expanded": tensor(row(big), row(number(0))),
        "huge": tensor(row(big, big), row(big, number(1))),
        "far": tensor(row(number(1)), row(number(1)), number(2**47)),
        "empty of huge": tensor(row(number(0), big, big), row(number(1), number(1), number(1))),
        "without values": tensor(row(number(4)), row(number(1)), number(0), STORAGE),
    }.items():
        yield f"{name} tensor", READ, beside("zip", code)
        weight = mapping(**{"conv1.weight": code})
        merged = b"\x80\x02" + PARTS["zip"].body + text("conv1.weight") + code + b"s."
        yield f"{name} weight", REFUSED, PARTS["zip"].file(merged)
        yield f"{name} weight alone", REFUSED, PARTS["zip"].file(b"\x80\x02" + weight + b".")
    step = text("bn1.num_batches_tracked")
    for size in (row(), row(number(1)), row(number(4)), row(number(0))):
        stride = size if size == row() else row(number(1))
        counted = PARTS["zip"].body + step + tensor(size, stride) + b"s."
        yield f"counter of a size {size!r}", EITHER, PARTS["zip"].file(b"\x80\x02" + counted)
    for name, size in {
        "negative": row(number(-1)),
        "overflowing": row(number(2**63)),
        "of texts": row(text("1")),
        "of truth": row(b"\x88"),
        "of fractions": row(b"G?\xf0\x00\x00\x00\x00\x00\x00"),
        "missing": b"N",
    }.items():
        yield f"tensor of a size {name}", REFUSED, beside("zip", tensor(size, row(number(1))))
        yield f"array of a shape {name}", REFUSED, beside("pickle", array(size))
    ones = kept(0, row(number(1) * 50_000)) + kept(1, named("torch._utils._rebuild_tensor_v2"))
    ones += kept(2, row(STORAGE, number(0), got(0), got(0), b"N", b"N"))
    ones += kept(3, row(got(1), b"N", got(2), b"N"))
    ones += kept(4, named("torch._tensor._rebuild_from_type_v2"))
    yield (
        "tensors of endless sizes",
        REFUSED,
        beside("zip", ones + sequence((got(4) + got(3) + b"R") * 20_000)),
    )
    for spec in ("O", "O8", "V99999999", "S2147483647", "U9", "M8", "f16", "f4,f4", "(9999,)f4"):
        yield f"array of {spec}", READ, beside("pickle", array(row(number(1)), text(spec)))
    yield "huge array", REFUSED, beside("pickle", array(row(big, big)))
    yield (
        "empty huge array",
        EITHER,
        beside("pickle", array(row(number(0), big, big), data=binary(b""))),
    )
    yield "array of 70 dimensions", REFUSED, beside("pickle", array(row(number(1) * 70)))
    for count in (2**62, -1, -(2**63), 2**63 - 1):
        legacy = PARTS["legacy"]
        keys = next(iter(pickle_ends(legacy.after)))
        lie = legacy.after[:keys] + struct.pack("<q", count) + legacy.after[keys + 8 :]
        yield f"storage of {count}", REFUSED, legacy.before + legacy.pickled + lie
    names = b"".join(text(f"{i}.conv1.weight") + got(0) for i in range(MANY // 3))
    yield (
        "a tensor of many prefixes",
        REFUSED,
        PARTS["zip"].file(b"\x80\x02" + kept(0, tensor(b")", b")")) + b"(" + names + b"d."),
    )
    deep = ["x." * i + "conv1.weight" for i in range(230)]
    names = b"".join(text(name) + got(0) for name in deep)
    yield (
        "a tensor of long prefixes",
        REFUSED,
        PARTS["zip"].file(b"\x80\x02" + kept(0, tensor(b")", b")")) + b"(" + names + b"d."),
    )
    endless = mapping(**{"x" * 400 + str(i): tensor(b")", b")") for i in range(5)})
    yield "long names of tensors", REFUSED, PARTS["zip"].file(b"\x80\x02" + endless + b".")
    lines = mapping(**{f"a\nb\r{i}\x85\u2028\x1b[2J": tensor(b")", b")") for i in range(5)})
    yield "names of tensors of lines", REFUSED, PARTS["zip"].file(b"\x80\x02" + lines + b".")
    places = (text("a\n" + "b" * 400) + PARTS["zip"].body, text("c" * 450) + other_network())
    two = b"(" + b"".join(places) + b"d"
    yield "two networks of long names", REFUSED, PARTS["zip"].file(b"\x80\x02" + two + b".")
    paths = kept(0, tensor(b")", b")")) + kept(1, text("k" * 1_000_000))
    paths += b"(" + b"".join(
        text(str(i)) + b"}" + got(1) + b"}" + text("w") + got(0) + b"ss" for i in range(900)
    )
    yield "long paths", REFUSED, PARTS["zip"].file(b"\x80\x02" + paths + b"d.")


def pickle_ends(data: bytes) -> Iterator[int]:
    file = io.BytesIO(data)
    for _ in pickletools.genops(file):
        pass
    yield file.tell()


def other_network() -> bytes:
    """The network with another tensor's values in one place."""
    body = PARTS["zip"].body
    return body + text("bn1.weight") + tensor(row(number(4)), row(number(1))) + b"s"


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


def _descriptions() -> Iterator[tuple[str, str, bytes]]:
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


def _normalisations() -> Iterator[tuple[str, str, bytes]]:
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


def _archive_bombs() -> Iterator[tuple[str, str, bytes]]:
    def deflated(entries: Mapping[str, bytes]) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries.items():
                archive.writestr(name, data)
        return buffer.getvalue()

    zeros = bytes(400_000_000)
    yield "deflated pickle", REFUSED, deflated({"archive/data.pkl": zeros})
    yield "deflated storage", REFUSED, deflated({**ENTRIES, "archive/data/0": zeros})
    yield "deflated beside", REFUSED, deflated({**ENTRIES, "archive/x": zeros})
    nested = WHOLE["zip"]
    for _ in range(20):
        nested = archived({"archive/data.pkl": nested})
    yield "archive in an archive", REFUSED, nested
    whole = archived(ENTRIES)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.start_dir
    length = len(whole) - 22 - start
    entry = whole[start : start + 46]
    many = bytearray(whole[:start])
    for i in range(60_000):
        name = f"{i:08d}".encode()
        many += entry[:28] + struct.pack("<HHH", 8, 0, 0) + entry[34:46] + name
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 60_000, 60_000, 60_000 * 54, start, 0)
    yield "overlapping entries", REFUSED, bytes(many) + end
    # the last 22 bytes, after the record and the locator of zip64
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 2**62, 2**62, length, start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(whole) - 22, 1)
    ending = bytearray(whole[-22:])
    ending[8:20] = b"\xff" * 12
    yield "zip64 of many entries", EITHER, whole[:-22] + record + locator + bytes(ending)
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, 2**62, 2**62)
    yield "zip64 far away", REFUSED, whole[:-22] + record + locator + bytes(ending)
    lies = bytearray(whole)
    struct.pack_into("<II", lies, start + 20, 2**31, 2**31)
    yield "entry of another size", REFUSED, bytes(lies)
    yield "archive of nothing", REFUSED, archived({})
    yield "comment", EITHER, whole[:-2] + b"\xff\xff" + bytes(65_535)


def _header_bombs() -> Iterator[tuple[str, str, bytes]]:
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


def for_strict_readers() -> Iterator[tuple[str, bytes]]:
    """Yield what could grow when a whole file is copied into memory."""
    for name, _, data in _laughs():
        yield name, data
    deep = b"\x80\x02" + mapping(a=b"]" * MANY + b"a" * (MANY - 1)) + b"."
    yield "deep lists", PARTS["zip"].file(deep)
    lists = kept(0, b"]" + b"r\x00\x00\x10\x00" + b"j\x00\x00\x10\x00a" * 10) + got(0)
    yield "ten lists in themselves", PARTS["zip"].file(b"\x80\x02" + mapping(a=lists) + b".")
    storage = row(text("storage"), named("torch.ByteStorage"), text("n"), b"N", b"N") + b"Q"
    made = kept(0, named("torch._utils._rebuild_tensor_v2")) + kept(1, storage)
    views = (
        got(0) + row(got(1), number(i), row(number(990_000)), row(number(1)), b"N", b"N") + b"R"
        for i in range(3000)
    )
    code = b"\x80\x02" + made + mapping(a=sequence(*views)) + b"."
    yield "views", archived({"archive/data.pkl": code, "archive/data/n": bytes(1_000_000)})


def copy_into_memory(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    with WATCH.over(path) as seen, contextlib.suppress(UserError):
        load_checkpoint(path)
    assert seen == [], seen


def explode(folder: Path) -> None:
    """Read every bomb; print a line of each that is not what it should be, and the memory."""
    register_networks()
    path = folder / "file"
    warm_up(path)
    peak = start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def read(data: bytes, expected: str) -> None:
        result = examine_bytes(path, data)
        right = expected == EITHER or same(result, STATE) == (expected == READ)
        assert right, f"not {expected}: {str(result)[:200]}"

    tries = itertools.chain(
        ((name, functools.partial(read, data, expected)) for name, expected, data in bombs()),
        (
            (f"{name}, copied", functools.partial(copy_into_memory, path, data))
            for name, data in for_strict_readers()
        ),
    )
    count = 0
    for name, attempt_ in tries:
        count += 1
        try:
            attempt_()
        except BaseException as error:  # all of them are reported at once
            print(f"{name}: {type(error).__name__} {str(error)[:300]}")
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if now > peak + 50 * 1024:
            print(f"memory: {name} took {(now - peak) // 1024} MB", file=sys.stderr)
        peak = max(now, peak)
    print(json.dumps([count, peak - start]))


def test_bombs(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", __file__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    *wrong, last = done.stdout.splitlines()
    assert wrong == []
    count, grown = json.loads(last)
    assert count > 400 and grown < MEGABYTES * 1024, done.stderr[-3000:]


if __name__ == "__main__":
    explode(Path(sys.argv[1]))
