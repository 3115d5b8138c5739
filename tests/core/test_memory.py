"""What becomes of freed memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, resource
from pathlib import Path
from robust_det.core.memory import keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

keep_freed_memory()
before = resident()
block = bytearray(os.urandom(1 << 16)) * (1 << 11)  # 128 MB, each page written to
assert resident() - before > 120e6
del block
print(resident() - before > 120e6)
"""


@pytest.mark.parametrize("variables, kept", [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "1"}, False)])
def test_freed_memory_is_kept_unless_the_user_says_otherwise(
    variables: dict[str, str], kept: bool
) -> None:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=own | variables, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(kept), done.stderr
