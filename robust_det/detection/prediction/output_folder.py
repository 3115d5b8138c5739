"""What ``robust-det predict`` leaves in a folder, told from what is there otherwise."""

from __future__ import annotations

import json
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.detection.prediction.sources import Source

__all__ = [
    "JOURNAL_NAME",
    "PICTURES_NAME",
    "PREDICTIONS_NAME",
    "VIDEO_SUFFIXES",
    "OwnFiles",
    "check_output",
    "drawn_video",
]

PREDICTIONS_NAME = "predictions.json"
JOURNAL_NAME = "predictions.jsonl"
PICTURES_NAME = "pictures"
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_BEGINNING = '{"settings"'


def drawn_video(output: Path, place: Path) -> Path:
    """Return where the drawn frames of a video go.

    Args:
        output: the folder of results.
        place: of the video, as its source has it.
    """
    return output / f"{place.stem}.mp4"


class OwnFiles:
    """Tells what earlier runs have made, by the journal that each leaves beside it."""

    def __init__(self) -> None:
        self._names: dict[Path, frozenset[str]] = {}

    def made(self, path: Path) -> bool:
        """Return whether a run made a file or folder, or a folder that it is in."""
        path = path.resolve()
        return any(p.name in self._names_in(p.parent) for p in (path, *path.parents))

    def _names_in(self, folder: Path) -> frozenset[str]:
        if folder not in self._names:
            self._names[folder] = _names_made(folder)
        return self._names[folder]


def _names_made(folder: Path) -> frozenset[str]:
    try:
        with open(folder / JOURNAL_NAME, encoding="utf-8", errors="replace") as file:
            head = file.readline()
    except OSError:
        return frozenset()
    if not head.startswith(_BEGINNING):
        return frozenset()
    names = {PREDICTIONS_NAME, JOURNAL_NAME, PICTURES_NAME}
    try:
        place = Path(json.loads(head)["settings"]["input"])
    except (ValueError, KeyError, TypeError):  # of another version, or cut off
        return frozenset(names)
    if place.suffix.lower() in VIDEO_SUFFIXES:
        names.add(drawn_video(folder, place).name)
    return frozenset(names)


def check_output(output: Path, source: Source, pictures: bool, overwrite: bool) -> None:
    """Refuse a folder in which results would replace what is not ours.

    Args:
        output: the folder.
        source: of the images.
        pictures: whether they are drawn.
        overwrite: whether the user wants to replace what is there.

    Raises:
        UserError: names the file or folder.
    """
    video = source.place.suffix.lower() in VIDEO_SUFFIXES and source.place.is_file()
    made = [output / PREDICTIONS_NAME]
    if pictures:
        made.append(output / PICTURES_NAME)
        if video:
            made.append(drawn_video(output, source.place))
    for path in made:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            continue
        if path.resolve() == source.place:
            raise UserError(f"{path} would replace --input; choose another --output")
        # a broken journal is refused by who reads it
        if not (overwrite or (output / JOURNAL_NAME).exists()):
            raise UserError(
                f"{path} is there, and no run of robust-det predict made it; choose another"
                " --output, or pass --overwrite to replace it"
            )
