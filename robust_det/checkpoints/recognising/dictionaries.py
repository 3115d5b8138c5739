"""The dictionaries of a file that hold something by name, at any depth."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

from robust_det.checkpoints.reading import Placeholder
from robust_det.core.errors import FileError

__all__ = ["dictionaries", "without_detours"]

T = TypeVar("T")
# what a file may make us look at: every network is tried at every place
_MAX_DEPTH, _MAX_DICTIONARIES, _MAX_NAMES = 6, 2000, 20_000
_CONTAINERS = (dict, list, tuple, Placeholder)
# what stands in the midst of names: wrappers, in a C4 detector the head that has res5, and what
# Hugging Face puts before a network's body but not before its head
_DETOURS = (
    (re.compile(r"(?<![^./])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."), ""),
    (re.compile(r"(?<![^./])roi_heads\.res5\.(?=\d)"), "backbone.res5."),
    (re.compile(r"(?<![^./])roi_heads\.res5\.(?=body\.)"), "backbone."),
    (re.compile(r"(?<![^./])(resnet|convnext)\.(?=(embedder|embeddings|encoder|layernorm)\.)"), ""),
)


def dictionaries(value: Any, kind: type[T]) -> Iterator[tuple[str, Mapping[str, T]]]:
    """Yield what every dictionary holds of a kind by name, with the dictionary's path.

    Lists and tuples are looked into as well, and objects that are subclasses of dict, list or
    tuple: an item's place is its number. The names are without detours, unless two would become
    one.

    Raises:
        FileError: the first dictionary holds more than is looked at.
    """
    queue: list[tuple[str, Any, int]] = [("", value, 0)]
    seen, count = {id(value)}, 0
    for path, node, depth in queue:  # grows while it is walked
        mapping = _mapping(node)
        named = {k: v for k, v in mapping.items() if isinstance(k, str) and isinstance(v, kind)}
        if count + len(named) > _MAX_NAMES:
            if count:
                return
            raise FileError(
                f"holds more than {_MAX_NAMES:,} tensors by name, which are not those of one"
                " network",
                "save the network's state_dict() alone",
            )
        count += len(named)
        if named:
            plain = {without_detours(name): v for name, v in named.items()}
            yield path, plain if len(plain) == len(named) else named
        if depth == _MAX_DEPTH:
            continue
        for key, inner in _inner(node, mapping):
            # what is several objects' is looked at once
            if isinstance(inner, Placeholder) and inner.mapping() is not inner.entries:
                inner = inner.mapping()
            if id(inner) in seen or len(queue) == _MAX_DICTIONARIES:
                continue
            seen.add(id(inner))
            # rows of a log, which are many, hold numbers alone
            if any(isinstance(v, (kind, *_CONTAINERS)) for v in _values(inner)):
                queue.append((f"{path}.{key}" if path else key, inner, depth + 1))


def _mapping(node: Any) -> Mapping[Any, Any]:
    """Return what a node holds by name."""
    found = node.mapping() if isinstance(node, Placeholder) else node
    return found if isinstance(found, dict) else {}


def _inner(node: Any, mapping: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the containers in a node with their names or numbers."""
    for key, value in mapping.items():
        if isinstance(key, str) and isinstance(value, _CONTAINERS):
            yield key, value
    for number, value in enumerate(_sequence(node)):
        if isinstance(value, _CONTAINERS):
            yield str(number), value


def _sequence(node: Any) -> Iterable[Any]:
    if isinstance(node, Placeholder):
        return node.sequences()
    return node if isinstance(node, (list, tuple)) else ()


def _values(node: Any) -> Iterable[Any]:
    return chain(_mapping(node).values(), _sequence(node))


def without_detours(name: str) -> str:
    """Return a tensor's name, or the beginning of one, as the bare network has it."""
    for pattern, target in _DETOURS:
        name = pattern.sub(target, name)
    return name
