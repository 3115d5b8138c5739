"""Records as flat rows: one set of columns for all kinds, for tables, filters and files.

The columns of :data:`COLUMNS` are in every row, None where a kind has nothing of the sort. Beside
them a row has a column for each figure, ``metrics.NAME``, and each key of the config,
``config.KEY``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from robust_det.core.config.reading import flatten
from robust_det.records.base import Record
from robust_det.records.subjects import subject_of

__all__ = ["COLUMNS", "CONFIG", "METRICS", "config_of", "figures", "flat", "plain", "row_of"]

METRICS, CONFIG = "metrics.", "config."

# column -> what it holds
COLUMNS: dict[str, str] = {
    "kind": "of the record",
    "name": "of the run",
    "arch": "registry name",
    "norm": "of the pretraining's threat model; empty for eps 0",
    "eps": "of the pretraining, in [0, 1] pixel units; 0 is standard, none if unknown",
    "seed": "of the run",
    "pretraining_seed": "of the run that made the weights, if its record is among those read",
    "dataset": "the set that the figures are of; of several the names joined by +",
    "task": "family of the set and what is found in it, such as coco_det, coco_seg, flowers_cls",
    "mode": "how it was transferred, or the method of adversarial training",
    "protocol": "how the figures were measured: evaluators, head, attack",
    "headline": "the figure that runs are compared by",
    "value": "of the headline, in percent",
    "weights": "file of the weights that came out of a pretraining, or that a run started from",
    "weights_sha256": "their SHA-256",
    "origin_sha256": "of what was trained, before a conversion",
    "product_sha256": "of the file that the run left or evaluated",
    "commit": "of the code",
    "modified": "whether the code had uncommitted changes",
    "version": "of robust_det",
    "device": "its name",
    "created": "when the record was made, UTC",
    "wall_time_s": "seconds, over all sessions",
    "path": "of the record",
}


def flat(record: Record, path: str | Path = "") -> dict[str, Any]:
    """Return a record as a flat row, with all of its figures and its config.

    Args:
        record: of any kind.
        path: of its file.

    Returns:
        The columns of :data:`COLUMNS`, then ``metrics.NAME`` and ``config.KEY``, of plain values;
        what is undefined is None.
    """
    row = row_of(record, path)
    return row | {METRICS + name: value for name, value in figures(record)} | config_of(record)


def row_of(record: Record, path: str | Path = "") -> dict[str, Any]:
    """Return the columns of :data:`COLUMNS` alone, for which the config need not be read.

    Args:
        record: of any kind.
        path: of its file.
    """
    subject = subject_of(record)
    weights, made = record.weights, record.environment
    return {
        "kind": record.kind(),
        "name": record.name,
        "arch": record.arch,
        "norm": record.norm if record.eps else "",
        "eps": record.eps,
        "seed": record.seed,
        # of other kinds a table fills it in, from the records beside it
        "pretraining_seed": subject.pretraining_seed,
        "dataset": subject.dataset,
        "task": subject.task,
        "mode": subject.mode,
        "protocol": subject.protocol,
        "headline": subject.headline,
        "value": subject.value,
        "weights": weights.path,
        "weights_sha256": weights.sha256,
        "origin_sha256": weights.origin,
        "product_sha256": subject.product,
        "commit": made.commit,
        "modified": made.modified,
        "version": made.versions.get("robust_det"),
        "device": made.device,
        "created": made.created,
        "wall_time_s": record.wall_time_s,
        "path": str(path),
    }


def figures(record: Record) -> Iterator[tuple[str, float | None]]:
    """Yield the figures of a record by their names, such as ``top1`` or ``bbox.AP``; None where
    undefined. What was left at an eps of an evaluation under attack is ``robust_top1.EPS``."""
    found: Mapping[str, Any] = getattr(record, "metrics", {})
    for name, value in found.items():
        if isinstance(value, Mapping):
            for inner, figure in value.items():
                yield f"{name}.{inner}", figure
        else:
            yield name, value
    for one in getattr(record, "robust", ()):
        yield f"robust_top1.{one.eps:g}", one.top1


def config_of(
    record: Record, wanted: Callable[[str], bool] = lambda column: True
) -> dict[str, Any]:
    """Return the columns ``config.KEY`` of a record, or those of them that are wanted."""
    found = ((CONFIG + key, value) for key, value in flatten(record.config).items())
    return {column: plain(value) for column, value in found if wanted(column)}


def plain(value: Any) -> Any:
    """Return a value as one cell: numbers, texts, flags and None as they are, all else as JSON."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return msgspec.json.encode(value).decode()
