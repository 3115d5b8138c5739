"""What must not happen while a file is read."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 60  # of a guard against hangs


class Watch:
    """Records what Python does that a reader has no need of. Its hook cannot be taken out again."""

    def __init__(self) -> None:
        self.path: Path | None = None
        self.thread = 0
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        # the last is what tracers do
        if self.path is None or event in ("mmap.__new__", "builtins.id", "object.__getattr__"):
            return
        own = event == "open" and args[0] == str(self.path)
        if own and args[2] & ~os.O_CLOEXEC == os.O_RDONLY:
            return
        if threading.get_ident() == self.thread:
            self.seen.append(f"{event} {str(args)[:200]}")

    @contextlib.contextmanager
    def over(self, path: Path) -> Iterator[list[str]]:
        self.seen = []
        # not the test's standard error, which may be no file
        faulthandler.dump_traceback_later(SECONDS, exit=True, file=sys.__stderr__ or 2)
        self.path, self.thread = path, threading.get_ident()
        try:
            yield self.seen
        finally:
            self.path = None
            faulthandler.cancel_dump_traceback_later()


WATCH = Watch()
