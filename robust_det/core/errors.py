"""The exceptions that are the user's to fix, and words for messages."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = [
    "FileError",
    "UserError",
    "counted",
    "did_you_mean",
    "did_you_mean_file",
    "naming",
    "one_line",
    "reason_of",
]


class UserError(Exception):
    """Something the user gave is wrong.

    The message is one line that says what is wrong and what to do. The tools print it without a
    traceback and exit with a non-zero code.

    Args:
        problem: what is wrong.
        advice: what to do, where somebody who knows more may have better advice to give.
    """

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)  # what it is pickled with
        self.problem, self.advice = problem, advice

    @property
    def reason(self) -> str:
        """What is wrong and what to do, without the name of a file."""
        return _plain("; ".join(filter(None, (self.problem, self.advice))))

    def __str__(self) -> str:
        return self.reason


class FileError(UserError):
    """A file does not hold what it should.

    What reads the content says what is wrong with it; what was given the file names it, once, with
    :func:`naming`.

    Args:
        problem: as it follows the file's name, such as ``holds no tensors``.
        advice: what to do.
        source: the file, as a message names it.
    """

    def __init__(self, problem: str, advice: str = "", source: str = "") -> None:
        super().__init__(problem, advice)
        self.source = source

    def __str__(self) -> str:
        return _plain(f"{self.source or 'the file'} {self.reason}")


@contextlib.contextmanager
def naming(source: str | Path) -> Iterator[None]:
    """Name the file that a :class:`FileError` raised inside is about, if it has no name yet."""
    try:
        yield
    except FileError as error:
        error.source = error.source or str(source)
        raise


def one_line(message: str) -> str:
    """Return a message that may quote a broken or hostile file as one line that can be read."""
    if not message.isprintable():
        message = "".join(c if c.isprintable() else "?" for c in message)
    return message if len(message) < 900 else f"{message[:600]} ... {message[-250:]}"


def reason_of(error: BaseException) -> str:
    """Return what an error says on one line; the name of its type if it says nothing."""
    return _plain(str(error)) or type(error).__name__


def _plain(text: str) -> str:
    return one_line(" ".join(text.split()))


def counted(number: int, noun: str, many: str = "s") -> str:
    """Return such as ``1 image`` or ``1,000 images``.

    Args:
        number: how many.
        noun: what; of one.
        many: what is added to it for more than one, or none.
    """
    return f"{number:,} {noun}{'' if number == 1 else many}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty string.

    A name that goes on where this one ends, as ``resnet10_narrow`` after ``resnet10``, is nearer
    than one of another number, as ``resnet101``.
    """
    by_lower = {k.lower(): k for k in known}
    longer = re.compile(rf"{re.escape(name.lower())}(?=[_.-]).*") if name else None
    close = [k for k in by_lower if k == name.lower()]
    close = close or [k for k in by_lower if longer and longer.fullmatch(k)]
    close = close or difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else ""


def did_you_mean_file(path: str | Path) -> str:
    """Return the same for a path that leads nowhere, of the names where it goes wrong."""
    wrong = Path(path)
    while not os.path.isdir(wrong.parent) and wrong != wrong.parent:
        wrong = wrong.parent
    try:
        return did_you_mean(wrong.name, os.listdir(wrong.parent))
    except OSError:
        return ""
