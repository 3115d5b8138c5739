"""Archives that grow, or that lie about their length."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator

from ..files import WHOLE
from ..parts import ENTRIES, archived
from ..reading import EITHER, REFUSED
from .bomb import Bomb


def archives() -> Iterator[Bomb]:
    zeros = bytes(400_000_000)
    for name, entries in {
        "pickle": {"archive/data.pkl": zeros},
        "storage": {**ENTRIES, "archive/data/0": zeros},
        "beside": {**ENTRIES, "archive/x": zeros},
    }.items():
        yield f"deflated {name}", REFUSED, archived(entries, zipfile.ZIP_DEFLATED)
    nested = WHOLE["zip"]
    for _ in range(20):
        nested = archived({"archive/data.pkl": nested})
    yield "archive in an archive", REFUSED, nested
    whole = archived(ENTRIES)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        start = archive.start_dir
    length = len(whole) - 22 - start
    entry = whole[start : start + 46]
    many = bytearray(whole[:start])
    for i in range(60_000):
        many += entry[:28] + struct.pack("<HHH", 8, 0, 0) + entry[34:46] + f"{i:08d}".encode()
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 60_000, 60_000, 60_000 * 54, start, 0)
    yield "overlapping entries", REFUSED, bytes(many) + end
    # the last 22 bytes, after the record and the locator of zip64
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 2**62, 2**62, length, start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, len(whole) - 22, 1)
    ending = bytearray(whole[-22:])
    ending[8:20] = b"\xff" * 12
    yield "zip64 of many entries", EITHER, whole[:-22] + record + locator + bytes(ending)
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 1, 1, 2**62, 2**62)
    yield "zip64 far away", REFUSED, whole[:-22] + record + locator + bytes(ending)
    lies = bytearray(whole)
    struct.pack_into("<II", lies, start + 20, 2**31, 2**31)
    yield "entry of another size", REFUSED, bytes(lies)
    yield "archive of nothing", REFUSED, archived({})
    yield "comment", EITHER, whole[:-2] + b"\xff\xff" + bytes(65_535)
