"""Reads every bomb; ``test_bombs`` runs it in a process of its own."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import sys
from pathlib import Path

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.errors import UserError

from .bombs import bombs
from .bombs.copied import for_strict_readers
from .memory import peak_memory
from .networks import STATE, register_networks
from .reading import EITHER, READ, examine_bytes, same, warm_up
from .watch import WATCH


def explode(folder: Path) -> None:
    """Read every bomb; print a line of each that is not what it should be, and the memory."""
    register_networks()
    path = folder / "file"
    warm_up(path)
    peak = start = peak_memory()

    def read(data: bytes, expected: str) -> None:
        result = examine_bytes(path, data)
        right = expected == EITHER or same(result, STATE) == (expected == READ)
        assert right, f"not {expected}: {str(result)[:200]}"

    tries = itertools.chain(
        ((name, functools.partial(read, data, expected)) for name, expected, data in bombs()),
        (
            (f"{name}, copied", functools.partial(copy_into_memory, path, data))
            for name, data in for_strict_readers()
        ),
    )
    count = 0
    for name, attempt in tries:
        count += 1
        try:
            attempt()
        except BaseException as error:  # all of them are reported at once
            print(f"{name}: {type(error).__name__} {str(error)[:300]}")
        now = peak_memory()
        if now > peak + 50 * 1024:
            print(f"memory: {name} took {(now - peak) // 1024} MB", file=sys.stderr)
        peak = max(now, peak)
    print(json.dumps([count, peak - start]))


def copy_into_memory(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    with WATCH.over(path) as seen, contextlib.suppress(UserError):
        load_checkpoint(path)
    assert seen == [], seen


if __name__ == "__main__":
    explode(Path(sys.argv[1]))
