"""The one exception that is the user's to fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["UserError", "did_you_mean", "one_line", "reason_of"]


class UserError(Exception):
    """Something the user gave is wrong.

    The message is one line that says what is wrong and what to do. The tools print it without a
    traceback and exit with a non-zero code.
    """


def one_line(message: str) -> str:
    """Return a message that quotes a broken or hostile file as one line that can be read."""
    if not message.isprintable():
        message = "".join(c if c.isprintable() else "?" for c in message)
    return message if len(message) < 900 else f"{message[:600]} ... {message[-250:]}"


def reason_of(error: BaseException) -> str:
    """Return what an error says on one line; the name of its type if it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty string."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else ""
