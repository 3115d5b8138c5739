"""What a pickle's names and objects become, and what may be a key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from robust_det.core.errors import FileError

__all__ = ["Global", "Malformed", "Placeholder", "Unsupported", "hashable", "is_key"]

_LONGEST_KEY = 500
# arguments of what makes an object that are kept: a trap has many objects of the same many
_MOST_ARGS = 8
# objects that are nothing but their attributes
_NAMESPACES = ("argparse.Namespace", "types.SimpleNamespace")


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
    """Stands for an object that is not rebuilt: what the file puts into it, and nothing it does.

    Args:
        name: of its class or of the function that would have made it.
        args: what that is called with; not kept if they are many.

    Attributes:
        entries: set by keys, as those of a subclass of dict are.
        items: appended, as those of a subclass of list are.
        state: what BUILD gives it, such as its attributes by name.
        slots: where in the machine's memory it lies, for those that BUILD completes.
    """

    __slots__ = ("args", "entries", "items", "name", "slots", "state")

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self.name, self.args = name, args if len(args) <= _MOST_ARGS else ()
        self.entries: dict[Any, Any] = {}
        self.items: list[Any] = []
        self.state: Any = None
        self.slots: tuple[int, ...] = ()

    def built(self, state: Any) -> Any:
        """Return the object that a BUILD with this state makes of it."""
        self.state = state
        return self

    def mapping(self) -> dict[Any, Any]:
        """Return what it holds by name, of a subclass of dict or a namespace.

        Objects can share a state.
        """
        if self.name in _NAMESPACES and isinstance(self.state, dict):
            return self.state
        return self.entries

    def sequences(self) -> Iterator[Any]:
        """Yield what it holds in order: it may be a subclass of list or tuple, or wrap a dict.

        Of what made it dictionaries alone: functions of torch are called with all sorts of things.
        """
        yield from self.items
        for arg in self.args:
            if isinstance(arg, dict) or (isinstance(arg, Placeholder) and arg.mapping()):
                yield arg


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
