"""What semantic maps were made from, noted beside their folder: annotations can change later."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from robust_det.core.files import write_atomically

__all__ = ["MapNotes", "fingerprint"]


def fingerprint(annotation: Mapping[str, Any], places: Mapping[int, int]) -> str:
    """Return what stands for the classes of an image's segments, of which its map consists.

    Args:
        annotation: panoptic, of the image.
        places: of each category in semantic maps.
    """
    classes = sorted((s["id"], places.get(s["category_id"])) for s in annotation["segments_info"])
    return hashlib.sha256(repr(classes).encode()).hexdigest()[:16]


class MapNotes(msgspec.Struct):
    """Notes on the maps of a folder, in ``FOLDER.made``. Maps without one are taken as they are.

    Attributes:
        annotations: SHA-256 of the files that all maps agree with, which spares comparing them.
        maps: the :func:`fingerprint` that each map was made from, by its name.
    """

    annotations: list[str] = []
    maps: dict[str, str] = {}

    @classmethod
    def of(cls, folder: str) -> MapNotes:
        """Return the notes of a folder of maps, none if there are none."""
        try:
            return msgspec.json.decode(_beside(folder).read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError, ValueError):
            return cls()

    def agree(self, file: str, made_from: str) -> bool:
        """Tell whether a map was made from this, as far as is known."""
        return self.maps.get(file, made_from) == made_from

    def write(self, folder: str) -> None:
        """Write them beside a folder of maps.

        Raises:
            UserError: the file system refuses.
        """
        text = msgspec.json.encode(self)
        write_atomically(_beside(folder), lambda file: file.write(text))


def _beside(folder: str) -> Path:
    return Path(f"{folder}.made")
