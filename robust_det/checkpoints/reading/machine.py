"""A pickle machine that rebuilds data and runs nothing.

It is fed with what :func:`pickletools.genops` decodes. A name in the file is never imported: it
stays a :class:`Global`, and calling one either looks it up in a table of functions of this project
(:mod:`.rebuild`) or makes a :class:`Placeholder`, which does nothing.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from typing import IO, Any

from robust_det.core.errors import FileError

__all__ = ["Global", "Malformed", "Placeholder", "Unsupported", "hashable", "is_key", "run_pickle"]

# a checkpoint of a thousand tensors with its optimiser needs about a hundred thousand
MAX_OPCODES = 1_000_000
_LONGEST_NAME = 200
_LONGEST_KEY = 500


class Malformed(Exception):
    """The file's bytes make no sense; the message is for the developer, not the user."""


class Unsupported(FileError):
    """The file is sound, but of a kind that is not read."""


class Global:
    """A name such as ``torch.FloatStorage``: a string, not what it names."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Placeholder:
    """Stands for an object that is not rebuilt.

    Args:
        name: of its class or of the function that would have made it.

    Attributes:
        slots: where in the machine's memory it lies, for those that BUILD completes.
        state: what BUILD would have given to the object, such as its attributes by name.
    """

    __slots__ = ("name", "slots", "state")

    def __init__(self, name: str) -> None:
        self.name = name
        self.slots: tuple[int, ...] = ()
        self.state: Any = None

    def built(self, state: Any) -> Any:
        """Return the object that a BUILD with this state makes of it."""
        self.state = state
        return self


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


def is_key(value: Any, bits: int = 64) -> bool:
    """Whether a string or number of a file may be a key; longer ones take long to compare."""
    if isinstance(value, (str, bytes)):
        return len(value) <= _LONGEST_KEY
    if isinstance(value, int):
        return value.bit_length() <= bits
    return value is None or isinstance(value, float)


def hashable(value: Any) -> Any:
    """Return a value that can be a key: itself, or a placeholder.

    Python's hash of a deeply nested tuple overflows the C stack, that of a long one is computed
    each time, and whoever is free to choose its numbers finds many tuples of one hash.
    """
    if isinstance(value, (Global, Placeholder)) or is_key(value):
        return value
    small = isinstance(value, tuple) and len(value) <= 4
    if small and all(is_key(v, 32) and not isinstance(v, float) for v in value):
        return value
    return Placeholder(type(value).__name__)


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
            return self.note(Placeholder(function.name))
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
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise Malformed("a key without a value")
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(zip(map(hashable, items[::2]), items[1::2], strict=True))

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
        longest: opcodes that it may have.

    Raises:
        Exception: the bytes are no pickle; of almost any type.
    """
    machine = _Machine(functions, persistent, set() if foreign is None else foreign)
    start = file.tell()
    for count, (opcode, arg, position) in enumerate(pickletools.genops(file)):
        if opcode.name == "STOP":
            return machine.stack.pop()
        if count >= longest:
            raise Malformed("too many opcodes")
        machine.position = (position or 0) - start
        machine.step(opcode.name, arg)
    raise Malformed("no end")
