"""What a file says of itself beside its tensors: arguments, configs as dictionaries or as text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from robust_det.checkpoints.reading import Placeholder

__all__ = ["Said", "Statement", "what_it_says"]

# where training scripts keep what they were told
_PLACES = re.compile(
    r"(meta|metadata|conf|configs?|cfg|hyper_?param(eter)?s|hparams|params|args|arguments|opts?"
    r"|options|settings|.+_(cfg|config|args|kwargs|params|opts?))"
)
# what a file may make us look at
_MAX_DEPTH, _MAX_STATEMENTS, _MAX_TEXT = 8, 5000, 300_000
# OmegaConf's containers and leaves keep their values below these
_WRAPPERS = ("_content", "_val")
# Python, YAML and JSON alike: a key, and a number, a word, a quoted text or a flat list
_ASSIGNMENT = re.compile(
    r"""(?<!\w)(\w{1,50})["']?[ \t]{0,20}[=:](?:\s{0,200}(?=[\[(]|-\s)|[ \t]{0,20})
    (\[[^\[\]]{0,300}\]|\([^()]{0,300}\)|'[^'\n]{0,300}'|"[^"\n]{0,300}"
    |(?:-[ \t]{1,4}[-+.\w]{1,40}\s{1,60}){2}-[ \t]{1,4}[-+.\w]{1,40}(?!\s{1,60}-[ ])
    |[-+./\w]{1,200})""",
    re.VERBOSE,
)
_WORDS = {"true": True, "false": False, "none": None, "null": None}


@dataclass(frozen=True)
class Statement:
    """One thing that a file says of itself.

    Attributes:
        place: of the dictionary or text that says it, such as ``hyper_parameters.``; empty or
            with a dot at its end.
        key: its name there, in lower case.
        value: a text, number, truth value or list of them.
    """

    place: str
    key: str
    value: Any


@dataclass(frozen=True)
class Said:
    """All that a file says of itself.

    Attributes:
        statements: in their order, those of the file's own dictionary first.
        unread: objects where descriptions are, of which nothing is known: place and class.
    """

    statements: tuple[Statement, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()


def what_it_says(value: Any) -> Said:
    """Collect what a file's content says of itself.

    Args:
        value: as :func:`robust_det.checkpoints.reading.read_file` returns it.
    """
    if not isinstance(value, dict):
        return Said()
    statements = [
        Statement("", key.lower(), inner)
        for key, inner in value.items()
        if isinstance(key, str) and _is_plain(inner) and not _PLACES.fullmatch(key.lower())
    ]
    unread: list[tuple[str, str]] = []
    for key, inner in value.items():
        if isinstance(key, str) and _PLACES.fullmatch(key.lower()):
            for statement in _walk(f"{key}.", inner, unread):
                statements.append(statement)
                if len(statements) >= _MAX_STATEMENTS:
                    return Said(tuple(statements), tuple(unread))
    return Said(tuple(statements), tuple(unread))


def _walk(place: str, root: Any, unread: list[tuple[str, str]]) -> Iterator[Statement]:
    queue: list[tuple[str, Any, int]] = [(place, root, 0)]
    seen = {id(root)}
    room = _MAX_TEXT
    for place, node, depth in queue:  # grows while it is walked
        if isinstance(node, Placeholder):
            held = _held(node)
            if held is None:
                unread.append((place.rstrip("."), node.name))
                continue
            node = held
        if isinstance(node, str) and room > 0:
            room -= len(node)
            yield from _in_text(place, node)
        if isinstance(node, (list, tuple)):
            node = {str(i): item for i, item in enumerate(node[:50])}
        if not isinstance(node, dict):
            continue
        for key, inner in node.items():
            if not isinstance(key, str) or len(queue) > _MAX_STATEMENTS:
                continue
            inner = _unwrapped(inner)
            if _is_plain(inner):
                yield Statement(place, key.lower(), inner)
            has_parts = isinstance(inner, (str, dict, list, tuple)) or (
                isinstance(inner, Placeholder) and _held(inner) is not None
            )
            new = id(inner) not in seen
            if has_parts and new and depth < _MAX_DEPTH:
                seen.add(id(inner))
                below = place if key in _WRAPPERS else f"{place}{key}."
                queue.append((below, inner, depth + 1))


def _held(value: Placeholder) -> dict[Any, Any] | None:
    """Return what an object holds by name: as a subclass of dict, or as attributes."""
    if entries := value.mapping():
        return entries
    return value.state if isinstance(value.state, dict) else None


def _unwrapped(value: Any) -> Any:
    """Return what OmegaConf wraps around a value."""
    if isinstance(value, Placeholder) and isinstance(value.state, dict):
        for name in _WRAPPERS:
            if name in value.state:
                return value.state[name]
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return 0 < len(value) <= 16 and all(isinstance(v, (str, int, float)) for v in value)
    return isinstance(value, (str, int, float))


def _in_text(place: str, text: str) -> Iterator[Statement]:
    """Yield the assignments in a config that was kept as text."""
    if len(text) < 8 or not ("=" in text or ":" in text):
        return
    for match in _ASSIGNMENT.finditer(text[:_MAX_TEXT]):
        value = _literal(match[2])
        if _is_plain(value):
            yield Statement(place, match[1].lower(), value)


def _literal(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text.startswith("-") and "\n" in text:  # a list of YAML
        text = f"[{','.join(text.replace('- ', ' ').split())}]"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text.strip("'\"")
