"""What ``--input`` means: an image, a folder, a glob, or a video; and what of it is left out."""

from __future__ import annotations

import glob
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from robust_det.core.errors import UserError, counted, did_you_mean_file, one_line
from robust_det.core.files import require_regular
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.detection.checking.leftovers import unread_images
from robust_det.data.walking import is_hidden, walk
from robust_det.detection.prediction.output_folder import VIDEO_SUFFIXES, OwnFiles
from robust_det.detection.prediction.sources import Images, Source
from robust_det.detection.prediction.video import Video

__all__ = ["find_inputs", "left_out_lines"]

_OWN = "made by an earlier robust-det predict"
_VIDEO = "video; --input takes one at a time"
_FORMAT = "format that is read only if --input names it, as *.jfif does"
_NO_SUFFIX = "image without a suffix of images; add one, or give it by its name"
_HIDDEN = "hidden"
_OTHER = "no image"
_PIPE = "pipe, socket or device"
_CLOSED = "folder that may not be read"
_SHOWN = 5  # names in a line


class _Sorting:
    """Sorts files into those that are read and those that are left out."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.left_out: dict[str, list[str]] = {}
        self._own = OwnFiles()

    def add(self, path: Path, name: str, named: bool = False) -> None:
        """Take a file or leave it out.

        Args:
            path: of the file.
            name: under which it is known.
            named: whether the user's words name its format.
        """
        if self._own.made(path):
            self.leave(_OWN, name)
        elif path.exists() and not path.is_file():  # of a pipe, reading would wait for ever
            self.leave(_PIPE, name)
        elif name.lower().endswith(VIDEO_SUFFIXES):
            self.leave(_VIDEO, name)
        elif named or name.lower().endswith(SUFFIXES):
            self.names.append(name)
        elif unread_images([name]):
            self.leave(_FORMAT, name)
        else:
            self.leave(_NO_SUFFIX if _begins_as_image(path) else _OTHER, name)

    def leave(self, reason: str, name: str) -> None:
        """Leave a file out."""
        self.left_out.setdefault(reason, []).append(name)

    def images(self, folder: Path, nothing: str) -> Images:
        """Return the images.

        Args:
            folder: that names are relative to.
            nothing: what to say if there are none.

        Raises:
            UserError: there are none.
        """
        if not self.names:
            raise UserError("; ".join((nothing, *left_out_lines(self.left_out))))
        return Images(folder, sorted(self.names), self.left_out)


def find_inputs(text: str) -> Source:
    """Find images or a video.

    What :mod:`.output_folder` tells to be of an earlier run is never an input.

    Args:
        text: an image; a video; a folder, whose images are found at any depth, also through links;
            or a glob, in which ``**`` stands for any number of folders.

    Raises:
        UserError: nothing is there, or no image in it.
        PermissionError: of a folder that may not be read.
    """
    path = Path(text).expanduser()
    if path.exists() and OwnFiles().made(path):
        raise UserError(f"{path} was {_OWN}; give the images that it was made from")
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        return _file(path)
    if not glob.has_magic(text):
        raise UserError(f"no image, folder or video at {path}{did_you_mean_file(path)}")
    return _matching(text)


def left_out_lines(left_out: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Say what is left out: a line for each reason, with how many files and their names.

    Args:
        left_out: names by reasons.
    """
    for reason, names in left_out.items():
        shown = one_line(", ".join(sorted(names)[:_SHOWN]))
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        yield f"left out {counted(len(names), 'file')} ({reason}): {shown}{more}"


def _file(path: Path) -> Source:
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return Video(path)
    return Images(path.parent, [path.name])


def _in_folder(folder: Path) -> Source:
    found = _Sorting()

    def hidden(path: str) -> None:
        found.leave(_HIDDEN, Path(path).relative_to(folder).as_posix())

    for parent, _, names in walk(folder, follow_links=True, on_hidden=hidden):
        for name in names:
            path = Path(parent, name)
            found.add(path, path.relative_to(folder).as_posix())
    return found.images(folder, f"no images in {folder}: no file ends in {', '.join(SUFFIXES)}")


def _matching(text: str) -> Source:
    """Return the files that a glob matches; of a suffix in it, whatever it is, all are images."""
    named = Path(text).expanduser().absolute()
    matches = [Path(match) for match in glob.glob(str(named), recursive=True)]
    shown = [m for m in matches if not any(is_hidden(p) for p in m.parts if p not in named.parts)]
    files = _each_once(match for match in shown if not match.is_dir())
    if not files:
        folders = "; folders do: end it with /* for what is in them" if matches else ""
        raise UserError(f"no file matches {text}{folders}")
    if len(files) == 1 and not OwnFiles().made(files[0]):
        return _file(files[0])
    folder = Path(os.path.commonpath([file.parent for file in files]))
    found, suffix = _Sorting(), named.suffix
    for file in files:
        name = file.relative_to(folder).as_posix()
        found.add(file, name, named=bool(suffix) and not glob.has_magic(suffix))
    for closed in _closed(named):
        found.leave(_CLOSED, closed)
    return found.images(folder, f"no image matches {text}")


def _closed(pattern: Path) -> list[str]:
    """Return folders that a recursive glob passed over, as they may not be read."""
    if "**" not in pattern.parts:
        return []
    closed: list[str] = []
    base = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), pattern.parts))
    for _ in os.walk(base, onerror=lambda error: closed.append(error.filename)):
        pass
    return closed


def _each_once(files: Iterator[Path]) -> list[Path]:
    """Return files without those that a link leads back to; linked files are files of their own."""
    once: dict[tuple[Path, str], Path] = {}
    for file in sorted(files, key=lambda file: len(file.parts)):
        once.setdefault((file.parent.resolve(), file.name), file)
    return sorted(once.values())


def _begins_as_image(path: Path) -> bool:
    try:
        require_regular(path)
        with Image.open(path):
            return True
    except Exception:  # Pillow raises anything on what is no image
        return False
