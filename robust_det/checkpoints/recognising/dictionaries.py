"""The dictionaries of a file that hold something by name, at any depth."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["dictionaries", "without_detours"]

T = TypeVar("T")
# what a file may make us look at: every network is tried at every place
_MAX_DEPTH, _MAX_DICTIONARIES, _MAX_NAMES = 6, 2000, 20_000
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

    The names are without detours, unless two would become one.
    """
    queue: list[tuple[str, Any, int]] = [("", value, 0)]
    seen, count = {id(value)}, 0
    for path, node, depth in queue:  # grows while it is walked
        if not isinstance(node, dict):
            continue
        named = {k: v for k, v in node.items() if isinstance(k, str) and isinstance(v, kind)}
        count += len(named)
        if count > _MAX_NAMES:
            return
        if named:
            plain = {without_detours(name): v for name, v in named.items()}
            yield path, plain if len(plain) == len(named) else named
        for key, inner in node.items():
            new = isinstance(key, str) and isinstance(inner, dict) and id(inner) not in seen
            if new and depth < _MAX_DEPTH and len(queue) < _MAX_DICTIONARIES:
                seen.add(id(inner))
                queue.append((f"{path}.{key}" if path else key, inner, depth + 1))


def without_detours(name: str) -> str:
    """Return a tensor's name, or the beginning of one, as the bare network has it."""
    for pattern, target in _DETOURS:
        name = pattern.sub(target, name)
    return name
