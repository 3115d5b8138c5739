"""Small files that grow, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .memory import MEGABYTES


def test_bombs(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "faulthandler", "-m", f"{__package__}.explode", str(tmp_path)]
    folder = Path(__file__).parents[1]  # in which the package lies
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    *wrong, last = done.stdout.splitlines()
    assert wrong == []
    count, grown = json.loads(last)
    assert count > 400 and grown < MEGABYTES * 1024, done.stderr[-3000:]
