"""What ``--input`` means: an image, a folder, a glob, or a video."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.images import SUFFIXES
from robust_det.data.walking import is_hidden, walk
from robust_det.detection.prediction.sources import Images, Source
from robust_det.detection.prediction.video import VIDEO_SUFFIXES, Video

__all__ = ["find_inputs"]


def find_inputs(text: str, output: Path) -> Source:
    """Find images or a video.

    Args:
        text: an image; a video; a folder, whose images are found at any depth; or a glob, in
            which ``**`` stands for any number of folders.
        output: a folder to leave out, as it has pictures of an earlier run.

    Raises:
        UserError: nothing is there, or no image in it.
    """
    path, output = Path(text).expanduser(), output.resolve()
    if path.is_dir():
        names = sorted(_below(path, output))
        if not names:
            raise UserError(f"no images in {path}: no file ends in {', '.join(SUFFIXES)}")
        return Images(path, names)
    if path.is_file():
        if path.suffix.lower() in VIDEO_SUFFIXES:
            return Video(path)
        return Images(path.parent, [path.name])
    if not glob.has_magic(text):
        raise UserError(f"no image, folder or video at {path}")
    found = (Path(match).absolute() for match in glob.glob(str(path), recursive=True))
    named = path.absolute().parts
    files = sorted(
        f
        for f in found
        if not f.is_dir()
        and output not in f.resolve().parents
        and not any(is_hidden(part) for part in f.parts if part not in named)
    )
    if not files:
        raise UserError(f"no file matches {text}")
    folder = Path(os.path.commonpath([file.parent for file in files]))
    return Images(folder, [file.relative_to(folder).as_posix() for file in files])


def _below(folder: Path, output: Path) -> Iterator[str]:
    for parent, folders, names in walk(folder):
        here = Path(parent)
        folders[:] = [f for f in folders if (here / f).resolve() != output]
        for name in names:
            if name.lower().endswith(SUFFIXES):
                yield (here / name).relative_to(folder).as_posix()
