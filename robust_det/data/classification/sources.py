"""What an image is decoded from: a file of its own, or its content."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO

from robust_det.core.files import require_regular

__all__ = ["ForeignContent", "Source", "opened"]

Source = str | IO[bytes]  # the path of an image, or its content


class ForeignContent(Exception):
    """An image has not the content that it should have, however sound it is."""


@contextlib.contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """Give what an image is decoded from as a binary file.

    Raises:
        OSError: it is not there, may not be read, or is no file.
    """
    if not isinstance(source, str):
        yield source
        return
    require_regular(source)
    with open(source, "rb", buffering=0) as file:
        yield file
