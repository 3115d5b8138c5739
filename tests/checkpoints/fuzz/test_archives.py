"""Archives whose entries and directories are not as PyTorch writes them."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import Any

from hypothesis import strategies as st

from .cases import Case, fuzz
from .files import WHOLE
from .networks import STATE
from .parts import ENTRIES
from .reading import same

CENTRAL = {  # fields of the central directory: offset and width
    "version": (6, 2),
    "flags": (8, 2),
    "method": (10, 2),
    "crc": (16, 4),
    "compressed": (20, 4),
    "size": (24, 4),
    "name length": (28, 2),
    "extra length": (30, 2),
    "comment length": (32, 2),
    "disk": (34, 2),
    "offset": (42, 4),
}
ENDING = {
    "disk": (4, 2),
    "entries here": (8, 2),
    "entries": (10, 2),
    "length": (12, 4),
    "offset": (16, 4),
    "comment": (20, 2),
}


@st.composite
def archives(draw: Any) -> Case:
    entries = list(ENTRIES.items())
    names = [name for name, _ in entries]
    how = draw(
        st.sampled_from(["compress", "rename", "double", "add", "central", "ending", "around"])
    )
    at = draw(st.integers(0, len(entries) - 1))
    what: Any = names[at]
    methods = dict.fromkeys(names, zipfile.ZIP_STORED)
    name = draw(
        st.sampled_from(
            [
                "../../etc/x",
                "/etc/passwd",
                "archive/data/../../x",
                "C:\\x",
                "x/",
                "archive/data.pkl",
            ]
            + ["x/data.pkl", "archive/data/0", "archive/byteorder", "archive/constants.pkl", "é"]
        )
    )
    if how == "compress":
        methods[names[at]] = draw(st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
    elif how == "rename":
        entries[at], what = (name, entries[at][1]), (what, name)
    elif how == "double":
        entries.append((names[at], b"other"))
    elif how == "add":
        size = draw(st.integers(0, 10_000))
        entries.insert(at, (name, draw(st.sampled_from([WHOLE["zip"], bytes(size)]))))
        what = (name, size)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, content in entries:
            # Python warns of two files of one name
            archive.NameToInfo.pop(entry, None)
            archive.writestr(entry, content, methods.get(entry))
    data = bytearray(buffer.getvalue())
    with zipfile.ZipFile(buffer) as archive:
        start = archive.start_dir
    value = draw(st.one_of(st.sampled_from([0, 1, 2**31, 2**32 - 1]), st.integers(0, 2**18)))
    if how == "central":
        field_name = draw(st.sampled_from(sorted(CENTRAL)))
        for _ in range(at):
            lengths = struct.unpack_from("<HHH", data, start + 28)
            start += 46 + sum(lengths)
        _patch(data, start, CENTRAL[field_name], value)
        what = (what, field_name, value)
    elif how == "ending":
        field_name = draw(st.sampled_from(sorted(ENDING)))
        _patch(data, len(data) - 22, ENDING[field_name], value)
        what = (field_name, value)
    elif how == "around":
        before, after = draw(st.tuples(st.binary(max_size=99), st.binary(max_size=99)))
        data = bytearray((b"PK" + before if before else b"") + data + after)
        what = (before, after)
    return Case("zip", f"{how} {what}", bytes(data))


def _patch(data: bytearray, start: int, where: tuple[int, int], value: int) -> None:
    offset, width = where
    data[start + offset : start + offset + width] = (value % 256**width).to_bytes(width, "little")


def test_archives(attempt: Any) -> None:
    def check(case: Case) -> None:
        result = attempt(case.data)
        assert isinstance(result, str) or same(result, STATE)
        if case.change.startswith(("compress", "double")):
            assert isinstance(result, str), "it was read"

    # many are the same archive with a field that had this value
    fuzz("archives", archives(), check, tries=2)
