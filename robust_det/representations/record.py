"""``NAME.json``: what networks were asked, on which images, and what came out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from robust_det.core.errors import UserError
from robust_det.records.environment import Environment, environment
from robust_det.representations.given_images import GivenImages
from robust_det.visualization.networks import ShownBackbone
from robust_det.visualization.record import ShownImage, ShownNetwork

__all__ = ["AskedRecord", "plain_rows", "read_asked", "record_bytes"]

Row = Mapping[str, Any]


class AskedRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What networks were asked, and what came out.

    Attributes:
        kind: of the question.
        networks, images: that were given, with the hashes of their files.
        images_digest: stands for the images' contents and their order.
        settings: all else that the figures follow from.
        figures: tables by name, as in the CSV files; None where a figure is not defined.
        said: sentences about them.
        environment: versions, commit, device, command.
        wall_time_s: seconds.
    """

    kind: Literal["similarity", "cue-conflict"]
    schema: Literal[1] = 1
    networks: list[ShownNetwork]
    images: list[ShownImage]
    images_digest: str
    settings: dict[str, Any]
    figures: dict[str, list[dict[str, Any]]]
    said: list[str]
    environment: Environment
    wall_time_s: float


def record_bytes(
    kind: Literal["similarity", "cue-conflict"],
    backbones: Sequence[ShownBackbone],
    images: GivenImages,
    settings: Row,
    figures: Mapping[str, Sequence[Row]],
    said: Sequence[str],
    *,
    device: str,
    wall_time_s: float,
) -> bytes:
    """Return the content of a record's file; see :class:`AskedRecord`."""
    record = AskedRecord(
        kind=kind,
        networks=[each.shown for each in backbones],
        images=[
            ShownImage(str(path), sha256)
            for path, sha256 in zip(images.paths, images.sha256, strict=True)
        ],
        images_digest=images.digest,
        settings=dict(settings),
        figures={name: plain_rows(rows) for name, rows in figures.items()},
        said=list(said),
        environment=environment(device),
        wall_time_s=round(wall_time_s, 3),
    )
    return msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"


def plain_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows with None in place of NaN."""
    return [
        {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
        for row in rows
    ]


def read_asked(path: str | Path) -> AskedRecord:
    """Read a record.

    Raises:
        UserError: there is none, or this version cannot read it.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=AskedRecord)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no record that can be read: {error}") from error
