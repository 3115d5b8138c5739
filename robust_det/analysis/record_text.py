"""One record as text for a terminal: what it says, and where its weights come from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import flatten
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import counted
from robust_det.core.progress import duration
from robust_det.records.base import Record
from robust_det.records.lineage import Lineage, made_by
from robust_det.records.rows import figures, plain
from robust_det.records.subjects import subject_of

__all__ = ["record_text"]

_MOST = 12  # figures that are shown without being asked for


def record_text(
    records: Sequence[tuple[Path, Record]], number: int, config: bool = False, every: bool = False
) -> str:
    """Return what a record says, and its lineage among others.

    Args:
        records: each with its file.
        number: the place of the one to show.
        config: whether to show its config.
        every: whether to show all figures, those of single classes as well.
    """
    path, record = records[number]
    blocks = [
        f"{record.name}  ({record.kind()}, {path})",
        _columns(_facts(record)),
        "figures\n" + _columns(_figures(record, every)),
        "lineage\n" + "\n".join(_lineage(Lineage(records), number)),
    ]
    if record.changes:
        changes = [
            (one.key, f"{one.before} to {one.after} at step {one.step}") for one in record.changes
        ]
        blocks.append("changes of the config on the way\n" + _columns(changes))
    if config:
        keys = [(key, plain(value)) for key, value in flatten(record.config).items()]
        blocks.append("config\n" + _columns(keys))
    return "\n\n".join(blocks)


def _columns(pairs: Sequence[tuple[str, Any]]) -> str:
    width = max((len(name) for name, _ in pairs), default=0) + 2
    return "\n".join(f"  {name:{width}}{_printable(value)}" for name, value in pairs)


def _printable(value: Any) -> str:
    text = "none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)


def _facts(record: Record) -> list[tuple[str, Any]]:
    subject, made, weights = subject_of(record), record.environment, record.weights
    changed = " with uncommitted changes" if made.modified else ""
    facts = [
        ("backbone", f"{record.arch} {eps_label(record.norm, record.eps)}"),
        ("weights", f"{weights.path or 'none'} {weights.sha256[:16]}".rstrip()),
        ("converted from", weights.source_sha256[:16]),
        ("data set", subject.dataset),
        ("task", subject.task),
        ("mode", subject.mode),
        ("protocol", subject.protocol),
        ("seed", record.seed),
        ("code", f"{made.commit or 'commit unknown'}{changed}"),
        ("libraries", ", ".join(f"{name} {one}" for name, one in made.versions.items())),
        ("device", f"{made.device}, {counted(made.threads, 'thread')}"),
        ("made", f"{made.created}, after {duration(record.wall_time_s)}"),
        ("command", shlex.join(["python", *made.command])),
    ]
    return [(name, value) for name, value in facts if value not in ("", None)]


def _figures(record: Record, every: bool) -> list[tuple[str, Any]]:
    found = list(figures(record))
    first = subject_of(record).headline
    found.sort(key=lambda pair: pair[0] != first)
    if every or len(found) <= _MOST:
        return found
    # those of single classes are AP-cat
    plain_ones = [pair for pair in found if "-" not in pair[0].rpartition(".")[2]]
    shown = plain_ones[: max(_MOST, len(plain_ones))]
    left = len(found) - len(shown)
    return [*shown, (f"and {left} more", "(--all shows them)")] if left else shown


def _lineage(lineage: Lineage, number: int) -> Iterator[str]:
    """Yield the runs before it, the run, and those after it, each a step further in."""
    above: list[str] = []
    depth = _above(lineage, number, above, set())
    yield from above
    yield f"  {'  ' * depth}{_one(lineage, number)}  <- this run"
    yield from _below(lineage, number, depth + 1, {number})
    origin = lineage.records[number][1].weights.origin
    if origin and not above and made_by(lineage.records[number][1]) != origin:
        alike = sum(record.weights.origin == origin for _, record in lineage.records) - 1
        others = f"; {counted(alike, 'other record')} of them" if alike else ""
        yield f"  what made its weights ({origin[:16]}) is not among the records{others}"


def _above(lineage: Lineage, number: int, out: list[str], seen: set[int]) -> int:
    """Add the runs before a run; return how far in it stands itself."""
    seen.add(number)
    depth = 0
    for link in lineage.parents(number):
        if link.parent in seen:
            continue
        at = _above(lineage, link.parent, out, seen)
        out.append(f"  {'  ' * at}{_one(lineage, link.parent)}")
        depth = max(depth, at + 1)
        if link.converted:
            out.append(f"  {'  ' * (at + 1)}converted to {link.converted[:16]}")
            depth = max(depth, at + 2)
    return depth


def _below(lineage: Lineage, number: int, depth: int, seen: set[int]) -> Iterator[str]:
    for link in lineage.children(number):
        if link.child in seen:
            continue
        seen.add(link.child)
        how = f"converted to {link.converted[:16]}, {link.how}" if link.converted else link.how
        yield f"  {'  ' * depth}{how}: {_one(lineage, link.child)}"
        yield from _below(lineage, link.child, depth + 1, seen)


def _one(lineage: Lineage, number: int) -> str:
    path, record = lineage.records[number]
    subject = subject_of(record)
    value = "" if subject.value is None else f", {subject.headline} {subject.value:.1f}"
    return _printable(f"{record.kind()} {record.name} ({path.parent}){value}")
