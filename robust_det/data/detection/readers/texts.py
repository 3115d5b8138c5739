"""Lists, labels and names of classes in text files, as editors and tools write them."""

from __future__ import annotations

import codecs
from pathlib import Path

from robust_det.data.detection.checking.report import Report

__all__ = ["decoded", "read_text"]

# the longer marks first: the mark of UTF-32 begins with that of UTF-16
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_WINDOWS = "cp1252"


def read_text(path: str | Path, guesses: Report | None = None) -> str:
    """Return the text of a file, in UTF-8, UTF-16 or UTF-32.

    Args:
        path: of the file.
        guesses: with it, what is in none of these is taken for Windows-1252, and said.

    Raises:
        OSError: it cannot be read.
        ValueError: it is in none of these encodings.
    """
    content = Path(path).read_bytes()
    try:
        return decoded(content)
    except UnicodeDecodeError:
        if guesses is None:
            raise
    text = content.decode(_WINDOWS)
    line = next(line for line in text.splitlines() if not line.isascii())
    guesses.add("guessed_text", f"'{line.strip()}' in {path}")
    return text


def decoded(content: bytes) -> str:
    """Return bytes as text, by their mark, or by the zeros that UTF-16 has; else as UTF-8.

    Raises:
        UnicodeDecodeError: they are no such text.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding)
    even, odd = content[0::2].count(0), content[1::2].count(0)
    if max(even, odd) > len(content) // 4:
        return content.decode("utf-16-be" if even > odd else "utf-16-le")
    return content.decode()
