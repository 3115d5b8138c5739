"""What is done already: one line an image, so that a run that was killed goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import config_differences
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.detection.prediction.sources import Item

__all__ = ["Journal"]


class Journal:
    """Records of images by name, on disk as soon as they are made.

    The first line of the file holds the settings, each further one a record: a mapping with the
    ``name`` and ``stamp`` of an image. A line that a crash cut off is done again.

    Args:
        path: the file; made if it is not there.
        settings: that give the same results; plain values in nested mappings.
        overwrite: forget what the file holds.

    Raises:
        UserError: the file was made with other settings, or is none of ours.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        if overwrite or not path.exists():
            text = json.dumps({"settings": settings}) + "\n"
            write_atomically(path, lambda file: file.write(text.encode()))
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            head, *records = [json.loads(line) for line in whole.splitlines()]
            self.records = {record["name"]: record for record in records}
            differing = config_differences(head["settings"], settings)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{path} cannot be read; remove it, or pass --overwrite to start anew"
            ) from error
        if differing:
            raise UserError(
                f"{path.parent} holds predictions made otherwise ({'; '.join(differing)});"
                " pass --overwrite to start anew, or choose another --output"
            )
        if len(whole) < len(content):
            os.truncate(path, len(whole))

    def has(self, item: Item) -> bool:
        """Return whether there is a record of the image as it is now."""
        record = self.records.get(item.name)
        return record is not None and record["stamp"] == item.stamp

    def add(self, records: Iterable[dict[str, Any]]) -> None:
        """Keep records; on return they are on disk."""
        lines = []
        for record in records:
            self.records[record["name"]] = record
            lines.append(json.dumps(record) + "\n")
        with open(self.path, "a") as file:
            file.write("".join(lines))
            file.flush()
            os.fsync(file.fileno())
