"""ImageNet's development kit, which says of what class each validation image is."""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path

from robust_det.core.errors import FileError, naming, reason_of
from robust_det.core.files import require_regular
from robust_det.data.matlab import matlab

__all__ = ["validation_classes"]

_SYNSETS = "data/meta.mat"
_NUMBERS = "data/ILSVRC2012_validation_ground_truth.txt"
_ADVICE = "take the official file"


def validation_classes(devkit: Path) -> list[str]:
    """Return the WordNet id of each validation image, in the order of the images' numbers.

    The list has numbers of synsets. Those without children are the classes.

    Args:
        devkit: ``ILSVRC2012_devkit_t12.tar.gz``.

    Raises:
        FileError: it is damaged, lacks a file, or its list has a number that no class has.
    """
    require_regular(devkit)
    with naming(devkit):
        synsets, numbers = _contents(devkit, _SYNSETS, _NUMBERS)
        classes = _classes(synsets)
        found = []
        for line, text in enumerate(numbers.decode("ascii", "replace").split(), start=1):
            number = int(text) if text.isdecimal() else 0
            if number not in classes:
                raise FileError(
                    f"says in line {line} of {_NUMBERS} that an image is of class {text}, and its"
                    f" {len(classes):,} classes are {min(classes)} to {max(classes)}",
                    _ADVICE,
                )
            found.append(classes[number])
        return found


def _contents(devkit: Path, *names: str) -> list[bytes]:
    """Return files of a tar, whatever folder they are in."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(devkit, "r:*") as tar:
            for member in tar:
                for name in names:
                    if member.isfile() and f"/{member.name}".endswith(f"/{name}"):
                        file = tar.extractfile(member)
                        found[name] = file.read() if file is not None else b""
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise FileError(f"is damaged: {reason_of(error)}", _ADVICE) from error
    if lost := [name for name in names if name not in found]:
        raise FileError(f"has no {lost[0]}", _ADVICE)
    return [found[name] for name in names]


def _classes(synsets: bytes) -> dict[int, str]:
    """Return the WordNet ids of the classes by their numbers."""
    with naming(f"{_SYNSETS} in it"):
        (rows,) = matlab(io.BytesIO(synsets), "synsets")
    if not {"ILSVRC2012_ID", "WNID", "num_children"} <= set(rows.dtype.names or ()):
        raise FileError(f"has other synsets in {_SYNSETS} than ImageNet of 2012", _ADVICE)
    leaves = (row for row in rows if int(row["num_children"]) == 0)
    classes = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in leaves}
    if not classes:
        raise FileError(f"has no class in {_SYNSETS}", _ADVICE)
    return classes
