"""Code in a file: each would create a file next to the checkpoint."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from .assembler import (
    STORAGE,
    array,
    binary,
    call,
    mapping,
    named,
    number,
    row,
    sequence,
    tensor,
    text,
)
from .cases import Case, fuzz
from .networks import STATE
from .parts import PARTS, beside
from .reading import same
from .watch import WATCH

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
    "robust_det.core.files.write_atomically": lambda marker: (
        text(marker),
        named("builtins.print"),
    ),
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


# what is run opens files and closes none
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "os.mkdir", "builtins.open"])
def test_the_traps_work_where_anybody_unpickles(target: str, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    with WATCH.over(tmp_path / "file") as seen:
        pickle.loads(b"\x80\x02" + call(target, *TARGETS[target](str(marker))) + b".")
    gc.collect()
    assert marker.exists()
    assert any(event.startswith("pickle.find_class") for event in seen)
