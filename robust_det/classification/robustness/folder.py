"""The folder of an evaluation: whose it is, and whether one may go on in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import config_differences
from robust_det.core.errors import UserError
from robust_det.core.journal import Journal, OtherSettings, UnreadableJournal
from robust_det.records import RECORD_NAME, read_record
from robust_det.records.robustness import RobustnessRecord

__all__ = [
    "IMAGES_NAME",
    "JOURNAL_NAME",
    "KEPT_NAME",
    "finished_record",
    "open_journal",
    "refuse_other",
]

IMAGES_NAME, JOURNAL_NAME, KEPT_NAME = "images.csv", "images.jsonl", "examples.npz"
_ADVICE = "use those, or choose another --output"


def refuse_other(folder: Path, resume: bool) -> None:
    """Refuse a folder that holds an evaluation, or another run, that this one may not go on with.

    Args:
        folder: need not exist.
        resume: whether one that is there may be gone on with.

    Raises:
        UserError: says what is there.
    """
    if folder.is_file():
        raise UserError(f"--output {folder} is a file; give a folder")
    found = [n for n in (RECORD_NAME, JOURNAL_NAME, IMAGES_NAME) if (folder / n).exists()]
    if found and not resume:
        raise UserError(
            f"{folder} holds a run ({found[0]}); pass --resume to go on with an evaluation, or"
            " choose another --output"
        )
    if (folder / RECORD_NAME).exists():
        read_record(folder, RobustnessRecord)


def finished_record(folder: Path, settings: Mapping[str, Any]) -> RobustnessRecord | None:
    """Return the record of an evaluation that is finished, None if it is not.

    Raises:
        UserError: it is of another kind, or was made otherwise.
    """
    if not (folder / RECORD_NAME).exists():
        return None
    record = read_record(folder, RobustnessRecord)
    if differing := config_differences(record.config, settings):
        raise _made_otherwise(folder, differing)
    return record


def open_journal(folder: Path, settings: Mapping[str, Any]) -> Journal:
    """Return what is known of the images that are done.

    Raises:
        UserError: the folder is of an evaluation that was made otherwise.
    """
    path = folder / JOURNAL_NAME
    try:
        return Journal(path, settings)
    except OtherSettings as error:
        raise _made_otherwise(folder, error.differing) from error
    except UnreadableJournal as error:
        raise UserError(f"{path} cannot be read; remove it to start anew") from error


def _made_otherwise(folder: Path, differing: list[str]) -> UserError:
    return UserError(
        f"{folder} holds an evaluation made otherwise ({'; '.join(differing)})", _ADVICE
    )
