"""A pickle machine that rebuilds data and runs nothing.

It is fed with what :func:`pickletools.genops` decodes. A name in the file is never imported: it
stays a :class:`Global`, and calling one either looks it up in a table of functions of this project
(:mod:`.rebuild`) or makes a :class:`Placeholder`, which does nothing.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any

from robust_det.checkpoints.reading.values import (
    Global,
    Malformed,
    Placeholder,
    Unsupported,
    hashable,
)

__all__ = ["run_pickle"]

# a checkpoint of a thousand tensors with its optimiser needs about a hundred thousand
MAX_OPCODES = 1_000_000
_LONGEST_NAME = 200

_MARK = object()
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_LITERALS = frozenset(
    [
        "INT",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG",
        "LONG1",
        "LONG4",
        "FLOAT",
        "BINFLOAT",
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
        "BINBYTES",
        "SHORT_BINBYTES",
        "BINBYTES8",
        "BYTEARRAY8",
        "UNICODE",
        "BINUNICODE",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
    ]
)


class _Machine:
    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]],
        persistent: Callable[[Any], Any] | None,
        foreign: set[str],
    ) -> None:
        self.functions = functions
        self.persistent = persistent
        self.foreign = foreign
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.position = 0  # in the pickle
        self.copied = 0

    def to_mark(self) -> list[Any]:
        """Take what lies above the last mark, and the mark."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        items.reverse()
        return items

    def call(self, function: Any, args: Any) -> Any:
        if not isinstance(function, Global):
            return Placeholder(getattr(function, "name", "object"))
        rebuild = self.functions.get(function.name)
        if rebuild is None:
            kept = args if isinstance(args, tuple) else ()
            return self.note(Placeholder(function.name, kept))
        if not isinstance(args, tuple):
            raise Malformed(f"{function.name} is called without a tuple")
        self.pay_for(args)
        return self.note(rebuild(*args))

    def note(self, value: Any) -> Any:
        """Keep the name of what stays a placeholder."""
        if type(value) is Placeholder and len(self.foreign) < 100:
            self.foreign.add(value.name)
        return value

    def pay_for(self, items: tuple[Any, ...]) -> None:
        """Account for what is about to be copied.

        What is copied was read once. A trap reads it once, remembers it, and copies it forever.
        """
        for item in items:
            if isinstance(item, (str, bytes, bytearray)):
                self.copied += len(item)
            elif hasattr(item, "__len__"):
                self.copied += 4 * len(item)  # a container's items are larger than a byte
        if self.copied > 4 * self.position + 10_000:
            raise Malformed("copies of copies")

    def remember(self, slot: int) -> None:
        value = self.stack[-1]
        self.memo[slot] = value
        if isinstance(value, Placeholder):
            value.slots = (*value.slots[-3:], slot)

    def build(self, state: Any) -> None:
        value = self.stack[-1]
        if isinstance(value, Placeholder):
            if isinstance(state, tuple):
                self.pay_for(state)
            self.stack[-1] = built = self.note(value.built(state))
            for slot in value.slots:
                if self.memo.get(slot) is value:
                    self.memo[slot] = built

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Placeholder):
            target.items.extend(items)
        elif isinstance(target, list):
            target.extend(items)

    def update(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise Malformed("a key without a value")
        target = self.stack[-1]
        if isinstance(target, Placeholder):
            entries = target.entries
        elif isinstance(target, dict):
            entries = target
        else:
            return
        entries.update(zip(map(hashable, items[::2]), items[1::2], strict=True))

    def step(self, opcode: str, arg: Any) -> None:
        stack = self.stack
        if opcode in _LITERALS:
            stack.append(arg)
        elif opcode in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.remember(int(arg))
        elif opcode == "MEMOIZE":
            self.remember(len(self.memo))
        elif opcode in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[int(arg)])
        elif opcode in _TUPLES:
            count = _TUPLES[opcode]
            if len(stack) < count:
                raise Malformed("stack is empty")
            stack[-count:] = [tuple(stack[-count:])]
        elif opcode == "MARK":
            stack.append(_MARK)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            stack.append(_EMPTY[opcode]())
        elif opcode in ("PROTO", "FRAME"):
            pass
        elif opcode in ("GLOBAL", "STACK_GLOBAL"):
            if opcode == "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
            else:
                module, _, name = arg.partition(" ")
            stack.append(_named(module, name))
        elif opcode in ("REDUCE", "NEWOBJ"):
            args = stack.pop()
            stack.append(self.call(stack.pop(), args))
        elif opcode == "BUILD":
            self.build(stack.pop())
        elif opcode == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif opcode == "SETITEMS":
            self.update(self.to_mark())
        elif opcode == "SETITEM":
            value, key = stack.pop(), stack.pop()
            self.update([key, value])
        elif opcode == "APPENDS":
            self.extend(self.to_mark())
        elif opcode == "APPEND":
            item = stack.pop()
            self.extend([item])
        elif opcode == "ADDITEMS":
            items = self.to_mark()
            if isinstance(stack[-1], set):
                stack[-1].update(map(hashable, items))
        elif opcode == "TUPLE":
            stack.append(tuple(self.to_mark()))
        elif opcode == "LIST":
            stack.append(self.to_mark())
        elif opcode == "DICT":
            items = self.to_mark()
            stack.append({})
            self.update(items)
        elif opcode == "FROZENSET":
            stack.append(frozenset(map(hashable, self.to_mark())))
        elif opcode == "NEWOBJ_EX":
            stack.pop()  # keyword arguments, which nothing that is rebuilt takes
            args = stack.pop()
            stack.append(self.call(stack.pop(), args))
        elif opcode == "OBJ":
            function, *rest = self.to_mark()
            stack.append(self.call(function, tuple(rest)))
        elif opcode == "INST":
            module, _, name = arg.partition(" ")
            stack.append(self.call(_named(module, name), tuple(self.to_mark())))
        elif opcode == "DUP":
            stack.append(stack[-1])
        elif opcode == "POP":
            stack.pop()
        elif opcode == "POP_MARK":
            self.to_mark()
        else:
            raise Malformed(f"opcode {opcode} has no place in a checkpoint")

    def _storage(self, identifier: Any) -> Any:
        if self.persistent is None:
            raise Malformed("a reference to outside of the pickle")
        return self.persistent(identifier)


# in tenths of an opcode: what takes less memory than an empty container, such as a log's numbers
_COSTS = {
    **dict.fromkeys(["GET", "BINGET", "LONG_BINGET", "MARK", "FRAME"], 1),
    **dict.fromkeys(["APPEND", "APPENDS", "SETITEM", "SETITEMS"], 1),
    **dict.fromkeys(["INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"], 2),
    **dict.fromkeys(["FLOAT", "BINFLOAT"], 2),
    **dict.fromkeys(["TUPLE1", "TUPLE2", "TUPLE3", "SHORT_BINBYTES", "BINBYTES"], 4),
    **dict.fromkeys(["BINUNICODE", "SHORT_BINUNICODE", "SHORT_BINSTRING"], 4),
    **dict.fromkeys(["PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"], 5),
}
_WHOLE = 10


def _named(module: Any, name: Any) -> Global:
    if not isinstance(name, str) or not isinstance(module, str):
        raise Malformed("a name that is no text")
    # it is shown to people
    if len(module) + len(name) > _LONGEST_NAME or not f"{module}{name}".isprintable():
        raise Malformed("a name that is none")
    return Global(f"{module}.{name}")


def run_pickle(
    file: IO[bytes],
    functions: Mapping[str, Callable[..., Any]],
    persistent: Callable[[Any], Any] | None = None,
    foreign: set[str] | None = None,
    longest: int = MAX_OPCODES,
) -> Any:
    """Rebuild one pickle; the file is left behind its end.

    Memory is bounded by the length of the pickle and its number of opcodes, which bounds time too.

    Args:
        file: at the pickle's start.
        functions: what may be called, by the name that the file uses.
        persistent: makes a storage of a persistent identifier.
        foreign: collects the names of what is called and stays a placeholder.
        longest: opcodes that it may have; five numbers are one.

    Raises:
        Unsupported: it is longer.
        Exception: the bytes are no pickle; of almost any type.
    """
    machine = _Machine(functions, persistent, set() if foreign is None else foreign)
    start, left = file.tell(), longest * _WHOLE
    for opcode, arg, position in pickletools.genops(file):
        name = opcode.name
        if name == "STOP":
            return machine.stack.pop()
        left -= _COSTS.get(name, _WHOLE)
        if left < 0:
            raise Unsupported(
                f"holds more than {longest:,} objects beside its tensors' values, which is the"
                " limit of this reader",
                "load it with torch and save the network's state_dict() alone",
            )
        machine.position = (position or 0) - start
        machine.step(name, arg)
    raise Malformed("no end")
