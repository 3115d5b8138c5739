"""Which file of a tar lies where in it, those of tars within it included."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from numpy.typing import NDArray

from robust_det.core.errors import FileError, naming, reason_of
from robust_det.core.files import require_regular

__all__ = ["TarIndex", "index_tar"]

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_ADVICE = "copy or download it again"
_SUFFIX = ".tar"


@dataclass(frozen=True)
class TarIndex:
    """The files in a tar.

    Attributes:
        names: (N,) paths; those in ``a.tar`` within it begin with ``a/``.
        offsets, sizes: (N,) where each begins, and how long it is, in bytes.
    """

    names: NDArray[np.bytes_]
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def at(self, chosen: NDArray[np.int64]) -> TarIndex:
        """Return the files at these positions, in this order."""
        return TarIndex(self.names[chosen], self.offsets[chosen], self.sizes[chosen])


def index_tar(path: Path, told: Callable[[int], object] = lambda position: None) -> TarIndex:
    """List the files in a tar, and in the tars in it; of its content the headers alone are read.

    Args:
        path: the file, not compressed.
        told: is called with the position that was reached, in bytes.

    Raises:
        FileError: it is compressed, is no tar, or ends too early.
        OSError: it is not there, or cannot be read.
    """
    require_regular(path)
    with naming(path), open(path, "rb") as file, open(path, "rb") as inner:
        entries = list(_entries(file, inner, told))
    names, offsets, sizes = zip(*entries, strict=True) if entries else ((), (), ())
    return TarIndex(
        np.array(names, np.bytes_), np.array(offsets, np.int64), np.array(sizes, np.int64)
    )


def _entries(
    file: IO[bytes], inner: IO[bytes], told: Callable[[int], object]
) -> Iterator[tuple[bytes, int, int]]:
    length = file.seek(0, 2)
    file.seek(0)
    for member in _members(file, "", length):
        told(member.offset)
        name = _plain(member.name)
        if not name.endswith(_SUFFIX):
            yield name.encode(errors="surrogateescape"), member.offset_data, member.size
            continue
        inner.seek(member.offset_data)
        below = name.removesuffix(_SUFFIX)
        for one in _members(inner, name, member.offset_data + member.size):
            inside = f"{below}/{_plain(one.name)}"
            yield inside.encode(errors="surrogateescape"), one.offset_data, one.size


def _plain(name: str) -> str:
    """Return a path without what means nothing, such as ``./``."""
    return str(PurePosixPath(name))


def _members(file: IO[bytes], within: str, end: int) -> Iterator[tarfile.TarInfo]:
    """Give the files of the tar that begins where a file stands, and ends before a position.

    Args:
        file: with the tar.
        within: name of that tar in the file, for messages; empty if it is the file.
        end: its last byte must be before this one.
    """
    where = f"{within} in it " if within else ""
    start = file.read(6)
    file.seek(-len(start), 1)
    for magic, how in _COMPRESSED.items():
        if start.startswith(magic):
            raise FileError(
                f"{f'holds {within}, which ' if within else ''}is compressed ({how})",
                "images are read from within plain tars alone: decompress it",
            )
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # there may be a million
                if member.offset_data + member.size > end:
                    raise _cut_off(where)
                if member.isfile():
                    yield member
            # tarfile takes what is no header for the end
            file.seek(tar.offset)
            block = file.read(tarfile.BLOCKSIZE)
    except tarfile.TarError as error:
        raise FileError(f"{where}is no whole tar file: {reason_of(error)}", _ADVICE) from error
    if len(block) < tarfile.BLOCKSIZE or tar.offset + tarfile.BLOCKSIZE > end:
        raise _cut_off(where)
    if block.count(0) < len(block):
        raise FileError(f"{where}is damaged at byte {tar.offset:,}", _ADVICE)


def _cut_off(where: str) -> FileError:
    return FileError(f"{where}is no whole tar file: it ends too early", _ADVICE)
