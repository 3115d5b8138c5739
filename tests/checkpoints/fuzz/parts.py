"""Files taken apart, and put together with something else inside."""

from __future__ import annotations

import io
import json
import pickletools
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .assembler import text
from .files import WHOLE, contents, written
from .networks import STATE


@dataclass(frozen=True)
class Parts:
    """A file around its pickle."""

    kind: str
    pickled: bytes
    archive: Mapping[str, bytes] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""

    def file(self, pickled: bytes) -> bytes:
        """Return the file with another pickle in the place of its own, checksums and all."""
        if self.kind == "zip":
            return archived({**self.archive, "archive/data.pkl": pickled})
        return self.before + pickled + self.after

    @property
    def body(self) -> bytes:
        """The opcodes that make the value, without those of start and end."""
        return self.pickled[2:-1]


def archived(entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def taken_apart(kind: str, content: Any, protocol: int = 2) -> Parts:
    data = written(content, kind, protocol)
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        return Parts(kind, entries["archive/data.pkl"], entries)
    if kind == "pickle":
        return Parts(kind, data)
    file = io.BytesIO(data)
    ends = []
    for _ in range(5):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    return Parts(kind, data[ends[2] : ends[3]], {}, data[: ends[2]], data[ends[3] :])


# what a training script saves, in each way to write it
SAVED = {
    f"{kind} {protocol}": taken_apart(kind, contents(STATE), protocol)
    for kind, protocol in (("zip", 2), ("zip", 4), ("legacy", 2), ("pickle", 2), ("pickle", 4))
}
PARTS = {**{kind: taken_apart(kind, STATE) for kind in ("zip", "legacy", "pickle")}, **SAVED}
ENTRIES = PARTS["zip"].archive


def beside(kind: str, extra: bytes, key: bytes | None = None) -> bytes:
    """Return a file that holds the network and something else."""
    key = text("extra") if key is None else key
    parts = PARTS[kind]
    return parts.file(b"\x80\x02(" + text("state_dict") + parts.body + key + extra + b"d.")


HEADER_LENGTH = struct.unpack_from("<Q", WHOLE["safetensors"])[0]
HEADER = json.loads(WHOLE["safetensors"][8 : 8 + HEADER_LENGTH])
VALUES = WHOLE["safetensors"][8 + HEADER_LENGTH :]


def safetensors_file(
    header: str | bytes, values: bytes = VALUES, length: int | None = None
) -> bytes:
    data = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(data) if length is None else length) + data + values
