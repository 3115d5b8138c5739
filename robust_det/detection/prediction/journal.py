"""What is done already: one line an image, so that a run that was killed goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from robust_det.core import journal
from robust_det.core.errors import UserError
from robust_det.detection.prediction.sources import Item

__all__ = ["Journal"]


class Journal:
    """Records of images by name, each a mapping with the ``name`` and ``stamp`` of an image.

    Args:
        path: the file; made if it is not there.
        settings: that give the same results; plain values in nested mappings.
        overwrite: forget what the file holds.

    Raises:
        UserError: the file was made with other settings, or is none of ours.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
        advice = "pass --overwrite to start anew"
        try:
            self._lines = journal.Journal(path, settings, overwrite)
            self.records = {record["name"]: record for record in self._lines.results}
        except journal.OtherSettings as error:
            raise UserError(
                f"{path.parent} holds predictions made otherwise ({'; '.join(error.differing)})",
                f"{advice}, or choose another --output",
            ) from error
        except (journal.UnreadableJournal, KeyError, TypeError) as error:
            raise UserError(f"{path} cannot be read; remove it, or {advice}") from error

    def has(self, item: Item) -> bool:
        """Return whether there is a record of the image as it is now."""
        record = self.records.get(item.name)
        return record is not None and record["stamp"] == item.stamp

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Keep records; on return they are on disk."""
        new = list(records)
        self._lines.add(new)
        self.records |= {record["name"]: record for record in new}
