"""``WHAT.json``: what was drawn, of which networks and images, and the figures; and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any, Literal

import msgspec

from robust_det.core.epsilon import format_eps
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.records.environment import Environment

__all__ = [
    "ShownImage",
    "ShownMean",
    "ShownNetwork",
    "VisualRecord",
    "read_visual",
    "refuse_others",
    "write_visual",
]


class ShownNetwork(msgspec.Struct, frozen=True):
    """A network that is shown.

    Attributes:
        name: in the picture.
        kind: ``backbone`` or ``detector``.
        path, sha256: the file.
        arch, norm, eps: as its file says; of a detector, of its backbone. eps None if it does not.
    """

    name: str
    kind: Literal["backbone", "detector"]
    path: str
    sha256: str
    arch: str
    norm: str
    eps: float | None

    @property
    def heading(self) -> str:
        """Two lines: its name, and what is known of its training."""
        known = "" if self.eps is None else f", {self.norm} eps {format_eps(self.norm, self.eps)}"
        return f"{self.name}\n{self.arch}{known}"


class ShownImage(msgspec.Struct, frozen=True):
    """An image that is shown: its file."""

    path: str
    sha256: str


class ShownMean(msgspec.Struct, frozen=True):
    """A mean over images with its 95% interval, None of a single image.

    Attributes:
        network: whose.
        metric: what is averaged.
        minus: the network whose figures on the same images are subtracted; empty if none.
    """

    network: str
    metric: str
    value: float
    low: float | None
    high: float | None
    minus: str = ""


class VisualRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was drawn.

    Attributes:
        what: kind of the picture, such as ``inversion``.
        networks, images: what it shows.
        settings: all else that the figures follow from.
        rows: the figures, as in the CSV.
        means: over images.
        said: sentences about them.
        environment: versions, commit, device, command.
        wall_time_s: seconds.
    """

    kind: Literal["visualize"] = "visualize"
    schema: Literal[1] = 1
    what: str
    networks: list[ShownNetwork]
    images: list[ShownImage]
    settings: dict[str, Any]
    rows: list[dict[str, Any]]
    means: list[ShownMean]
    said: list[str]
    environment: Environment
    wall_time_s: float


def files_of(folder: Path, what: str) -> dict[str, Path]:
    """Return the files of a picture by their suffix."""
    return {suffix: folder / f"{what}.{suffix}" for suffix in ("json", "csv", "png", "html")}


def refuse_others(folder: Path, what: str) -> None:
    """Refuse to replace what is no earlier picture of that kind.

    Raises:
        UserError: the folder is a file, or one of the files to write is something else's.
    """
    advice = "choose another --output"
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; {advice}")
    there = [path for path in files_of(folder, what).values() if path.exists()]
    if not there:
        return
    try:
        own = read_visual(folder / f"{what}.json").what == what
    except UserError:
        own = False
    if not own:
        raise UserError(f"{there[0]} was not made by robust-det visualize {what}; {advice}")


def read_visual(path: str | Path) -> VisualRecord:
    """Read the record of a picture.

    Raises:
        UserError: there is none, or this version cannot read it.
    """
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=VisualRecord)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no record of a picture that can be read: {error}") from error


def write_visual(folder: Path, record: VisualRecord, others: Mapping[str, bytes]) -> None:
    """Write a picture's files, each atomically, the record first.

    Args:
        folder: is made if it is not there.
        record: of the picture.
        others: content of the other files by suffix.

    Raises:
        UserError: the disk refuses.
    """
    text = msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n"
    paths = files_of(folder, record.what)
    for suffix, content in {"json": text, **others}.items():
        write_atomically(paths[suffix], methodcaller("write", content))
