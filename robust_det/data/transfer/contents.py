"""What is in the image files of a set: a digest, how the image is stored, what is wrong."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from robust_det.core.errors import FileError, counted
from robust_det.core.files import require_regular
from robust_det.core.progress import progress_bar
from robust_det.data.images import check_range, open_image, whole_image
from robust_det.data.transfer.sets.cifar import is_packed, packed_pixels

__all__ = ["Look", "look_at", "oddities"]

_THREADS = 8
_WORTH_A_BAR = 1000
_SHOWN = 3
_FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP"}
_GREY = ("1", "L", "LA", "La")
_COLOURS = {**dict.fromkeys(_GREY, "grey"), "P": "a palette", "PA": "a palette"}


@dataclass(frozen=True)
class Look:
    """An image file.

    Attributes:
        sha256: of its bytes; of an image of CIFAR's pickles, of its pixels; empty if it is missing.
        mode, format: Pillow's.
        side: the shorter one in pixels; 0 if there is no image.
        problem: what is wrong, as it follows the file's name.
        changed: whether the file has another MD5 than it should.
    """

    sha256: str = ""
    mode: str = ""
    format: str = ""
    side: int = 0
    problem: str = ""
    changed: bool = False

    @property
    def missing(self) -> bool:
        """Whether there is no such file."""
        return not self.sha256


def look_at(
    base: Path, paths: Iterable[str], decode: bool = False, md5s: Mapping[str, str] | None = None
) -> dict[str, Look]:
    """Read each file once, in several threads, with a progress bar where that takes long.

    Args:
        base: the folder that the paths are relative to.
        paths: of images; each is looked at once.
        decode: decode the images as well, which finds those that end early.
        md5s: of files, by path, as they should be.

    Raises:
        OSError: a file is there and cannot be read.
    """
    todo, known = [*dict.fromkeys(paths)], md5s or {}

    def look(path: str) -> Look:
        return _look(base, path, decode, known.get(path, ""))

    found = {}
    with (
        progress_bar(len(todo), "read images", "images", len(todo) >= _WORTH_A_BAR) as bar,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        for path, seen in zip(todo, pool.map(look, todo), strict=True):
            found[path] = seen
            bar.update()
    return found


def _look(base: Path, path: str, decode: bool, md5: str) -> Look:
    if is_packed(path):
        pixels = packed_pixels(base, path)
        return Look(hashlib.sha256(pixels.tobytes()).hexdigest(), "RGB", "", min(pixels.shape[:2]))
    try:
        require_regular(base / path)
        content = (base / path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Look(problem="is missing")
    digest = hashlib.sha256(content).hexdigest()
    changed = bool(md5) and hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.lower()
    file = io.BytesIO(content)
    try:
        with whole_image(file), Image.open(file) as image:
            mode, kind, side = image.mode, image.format or "", min(image.size)
            check_range(image)
        if decode:
            open_image(io.BytesIO(content))
    except FileError as error:
        return Look(digest, problem=error.reason, changed=changed)
    return Look(digest, mode, kind, side, changed=changed)


def oddities(looks: Mapping[str, Look]) -> list[str]:
    """Say which images are not what their names say, are no RGB, or cannot be read.

    Missing ones are not told of.
    """
    there = {path: look for path, look in looks.items() if not look.missing}
    notes = []
    if broken := [path for path, look in there.items() if look.problem]:
        notes.append(
            f"{counted(len(broken), 'file')} cannot be read as images, such as {broken[0]}, which"
            f" {there[broken[0]].problem}"
        )
    colours = Counter(
        _COLOURS.get(look.mode, look.mode)
        for look in there.values()
        if look.mode not in ("", "RGB")
    )
    if colours:
        first = next(path for path, look in there.items() if look.mode not in ("", "RGB"))
        kinds = ", ".join(f"{number:,} of {kind}" for kind, number in sorted(colours.items()))
        notes.append(f"images that are not RGB are converted: {kinds}, such as {first}")
    if misnamed := [path for path, look in there.items() if _is_misnamed(path, look)]:
        shown = ", ".join(f"{path} ({there[path].format})" for path in misnamed[:_SHOWN])
        notes.append(
            f"{counted(len(misnamed), 'image')} of another format than the name says, read by"
            f" content: {shown}"
        )
    return notes


def _is_misnamed(path: str, look: Look) -> bool:
    named = _FORMATS.get(path.rpartition(".")[2].lower())
    # MPO is a JPEG of several frames
    return bool(named and look.format and look.format not in (named, "MPO"))
