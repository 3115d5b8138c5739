"""A file of results, a line each, from which a job that was killed goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import config_differences
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically

__all__ = ["Journal", "OtherSettings", "UnreadableJournal"]


class UnreadableJournal(UserError):
    """The file is no journal, or a damaged one."""


class OtherSettings(UserError):
    """The journal is of results that were made otherwise.

    Args:
        path: of the journal.
        differing: what is otherwise, ``KEY: old -> new`` each.
    """

    def __init__(self, path: Path, differing: list[str]) -> None:
        super().__init__(f"{path} is of results made otherwise ({'; '.join(differing)})")
        self.differing = differing


class Journal:
    """Results on disk as soon as they are made.

    The first line of the file holds the settings, each further one a result. A line that a crash
    cut off is forgotten.

    Args:
        path: the file; made if it is not there.
        settings: that give the same results; plain values in nested mappings.
        anew: forget what the file holds.

    Attributes:
        results: in the order in which they were made.

    Raises:
        UnreadableJournal: the file is none of ours.
        OtherSettings: it was made with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], anew: bool = False) -> None:
        self.path = path
        self.results: list[dict[str, Any]] = []
        if anew or not path.exists():
            text = json.dumps({"settings": settings}) + "\n"
            write_atomically(path, lambda file: file.write(text.encode()))
            return
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            head, *self.results = [json.loads(line) for line in whole.splitlines()]
            differing = config_differences(head["settings"], settings)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableJournal(f"{path} cannot be read") from error
        if differing:
            raise OtherSettings(path, differing)
        if len(whole) < len(content):
            os.truncate(path, len(whole))

    def add(self, results: Iterable[dict[str, Any]]) -> None:
        """Keep results; on return they are on disk."""
        new = list(results)
        with open(self.path, "a") as file:
            file.write("".join(json.dumps(result) + "\n" for result in new))
            file.flush()
            os.fsync(file.fileno())
        self.results += new
