"""The two file formats of ``torch.save``: the zip archive, and what came before torch 1.6."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import torch

from robust_det.checkpoints.other_files import REPACK, other_archive
from robust_det.checkpoints.reading.machine import run_pickle
from robust_det.checkpoints.reading.rebuild import FUNCTIONS, storage_dtype
from robust_det.checkpoints.reading.tensors import Storage
from robust_det.checkpoints.reading.values import Malformed, Unsupported

__all__ = ["LEGACY_MAGIC", "read_legacy", "read_zip"]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_MAX_RECORDS = 200_000


def read_zip(content: mmap.mmap, foreign: set[str]) -> Any:
    """Rebuild what ``torch.save`` wrote as a zip archive.

    Args:
        content: the file, in memory as it is asked for.
        foreign: see :func:`run_pickle`.

    Raises:
        Exception: damaged, of almost any type.
    """
    records = _records(content)
    pickles = [name for name in records if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        raise Malformed("an archive without data.pkl")
    root = pickles[0].removesuffix("data.pkl")
    order = records.get(root + "byteorder")
    if order is not None and bytes(_checked(content, order)) != b"little":
        raise Unsupported("was written on a big-endian machine", "save it again on another one")
    storages: dict[str, Storage] = {}

    def persistent(identifier: Any) -> Storage:
        kind, key = _identified(identifier)
        if key not in storages:
            record = records.get(f"{root}data/{key}")
            storages[key] = Storage(key, kind)
            if record is not None:
                storages[key].read = _reader(content, kind, *record[:2], record)
        return storages[key]

    return run_pickle(
        io.BytesIO(_checked(content, records[pickles[0]])), FUNCTIONS, persistent, foreign
    )


_Record = tuple[int, int, int]  # start, length, checksum


def _records(content: mmap.mmap) -> dict[str, _Record]:
    """Return where each file of the archive lies; they must not be compressed."""
    records: dict[str, _Record] = {}
    with zipfile.ZipFile(_View(content)) as archive:  # type: ignore[arg-type]
        infos = archive.infolist()
    if len(infos) > _MAX_RECORDS:
        raise Unsupported(f"is an archive of more than {_MAX_RECORDS:,} files, which are not read")
    if other := other_archive([info.filename for info in infos]):
        raise Unsupported(f"is {other[0]}", other[1])
    for info in infos:
        # torch never compresses, and what grows when it is unpacked is a trap
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
            raise Unsupported(
                "is a compressed archive, which torch.save never writes", f"unpack it and {REPACK}"
            )
        if info.filename in records:
            raise Malformed("two files of one name in the archive")
        name_length, extra_length = struct.unpack_from("<HH", content, info.header_offset + 26)
        start = info.header_offset + 30 + name_length + extra_length
        if start + info.file_size > len(content):
            raise Malformed("cut off")
        records[info.filename] = (start, info.file_size, info.CRC)
    return records


class _View(io.RawIOBase):
    """A file object over a map, without a copy of it and without closing it."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, len(self._content))[whence]
        if base + offset < 0:
            raise OSError("before the start")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._content) if size is None or size < 0 else self._at + size
        data = self._content[self._at : end]
        self._at += len(data)
        return data


def _checked(content: mmap.mmap, record: _Record) -> memoryview:
    """Return the bytes of a record, compared with its checksum."""
    start, length, checksum = record
    data = memoryview(content)[start : start + length]
    # 0: torch.save was told not to compute any
    if checksum != 0 and zlib.crc32(data) != checksum:
        raise Malformed("a wrong checksum")
    return data


def _reader(
    content: mmap.mmap, dtype: torch.dtype, start: int, length: int, record: _Record | None = None
) -> Callable[[], torch.Tensor]:
    def read() -> torch.Tensor:
        if record is not None:
            _checked(content, record)
        count = length // dtype.itemsize
        if count == 0:
            return torch.empty(0, dtype=dtype)
        if start % dtype.itemsize:  # a legacy file aligns nothing
            raw = torch.frombuffer(content, dtype=torch.uint8, count=length, offset=start)
            return raw[: count * dtype.itemsize].clone().view(dtype)
        return torch.frombuffer(content, dtype=dtype, count=count, offset=start)

    return read


def _identified(identifier: Any) -> tuple[torch.dtype, str]:
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise Malformed("a reference to other than a storage")
    if not isinstance(identifier[2], (str, int)):
        raise Malformed("a storage without a name")
    return storage_dtype(identifier[1]), str(identifier[2])


def read_legacy(content: mmap.mmap, foreign: set[str]) -> Any:
    """Rebuild what ``torch.save`` wrote before torch 1.6: five pickles, then the storages.

    Args and errors: see :func:`read_zip`.
    """
    content.seek(0)
    if run_pickle(content, FUNCTIONS) != LEGACY_MAGIC:  # type: ignore[arg-type]
        raise Malformed("not a file of torch.save")
    run_pickle(content, FUNCTIONS)  # type: ignore[arg-type]  # protocol version
    system = run_pickle(content, FUNCTIONS)  # type: ignore[arg-type]
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise Unsupported("was written on a big-endian machine", "save it again on another one")
    storages: dict[str, Storage] = {}

    def persistent(identifier: Any) -> Any:
        if isinstance(identifier, tuple) and identifier[:1] == ("module",):
            return identifier[1]  # a class with its source code, which stays a name
        kind, key = _identified(identifier)
        if len(identifier) > 5 and identifier[5] is not None:
            raise Unsupported("is older than torch 0.4", "save it again with a later version")
        return storages.setdefault(key, Storage(key, kind))

    value = run_pickle(content, FUNCTIONS, persistent, foreign)  # type: ignore[arg-type]
    keys = run_pickle(content, FUNCTIONS)  # type: ignore[arg-type]
    if not isinstance(keys, list):
        raise Malformed("no list of storages")
    position = content.tell()
    for key in keys:
        # not of all there is: the text of nested lists can be endless
        storage = storages.get(str(key)) if isinstance(key, (str, int)) else None
        if storage is None or position + 8 > len(content):
            raise Malformed("cut off, or a storage that nothing uses")
        (count,) = struct.unpack_from("<q", content, position)
        length = count * storage.dtype.itemsize
        position += 8
        if count < 0 or position + length > len(content):
            raise Malformed("cut off")
        storage.read = _reader(content, storage.dtype, position, length)
        position += length
    return value
