"""Images one after the other, from files or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from robust_det.core.errors import FileError, one_line, reason_of
from robust_det.detection.mapping.decoding import decode

__all__ = ["Images", "Item", "Source", "Unreadable", "stamp_of"]


class Unreadable(Exception):
    """An image cannot be read; the message is one line that says why."""


@dataclass(frozen=True)
class Item:
    """One image of a source.

    Attributes:
        name: unique in the source; for a file its path below the source's folder.
        stamp: another one when the file has changed.
    """

    name: str
    stamp: str


class Source(Protocol):
    """Where images come from.

    Attributes:
        place: the folder that the names are relative to, or the video; absolute.
        left_out: names of files that were found and are no images of it, by the reason.
        problems: what was asked for and was not there, known once all images were yielded.
    """

    place: Path
    left_out: Mapping[str, Sequence[str]]
    problems: Sequence[str]

    def __len__(self) -> int:
        """Return how many images there are; for a video, as many as its header says."""

    def items(self, wanted: Callable[[Item], bool]) -> Iterator[tuple[Item, Any]]:
        """Yield every image, with what :meth:`read` needs if it is wanted."""

    def read(self, what: Any, order: str) -> Any:
        """Return an image's pixels, (H, W, 3) uint8; several threads call it.

        Args:
            what: as :meth:`items` gave it.
            order: of the channels, ``RGB`` or ``BGR``.

        Raises:
            Unreadable: the image cannot be read.
        """


class Images:
    """Image files, turned as their EXIF data say.

    Args:
        folder: that names are relative to.
        names: of the files.
        left_out: see :class:`Source`.
    """

    problems: Sequence[str] = ()

    def __init__(
        self, folder: Path, names: list[str], left_out: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self.place, self.names, self.left_out = folder.resolve(), names, left_out or {}

    def __len__(self) -> int:
        return len(self.names)

    def items(self, wanted: Callable[[Item], bool]) -> Iterator[tuple[Item, Any]]:
        """See :class:`Source`."""
        for name in self.names:
            path = self.place / name
            yield Item(name, stamp_of(path)), path

    def read(self, what: Any, order: str) -> Any:
        """See :class:`Source`."""
        try:
            return decode(str(what), order)
        except FileError as error:
            raise Unreadable(f"it {error.reason}") from error
        except OSError as error:
            raise Unreadable(one_line(error.strerror or reason_of(error))) from error


def stamp_of(path: Path) -> str:
    """Return size and time of a file; empty if it is not there, which reading it will say."""
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{status.st_size} bytes, {status.st_mtime_ns} ns"
