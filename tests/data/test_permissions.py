"""A folder that may not be read is said: it would seem to be empty."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import sys
from robust_det.data.detection.checking.listing import Listing
from robust_det.data.walking import files_below
from robust_det.records.store import find_records
folder = sys.argv[1]
for look in (
    lambda: Listing().missing([folder + "/closed/a.png"]),
    lambda: files_below(folder, [".png"]),
    lambda: find_records([folder]),
):
    try:
        print(look())
    except PermissionError as error:
        print("refused", error.filename)
"""
# root reads everything, unless it gives that up
AS_OTHERS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root reads any folder"
)
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "a.png").touch()
    closed.chmod(0)
    try:
        done = subprocess.run(
            [*(AS_OTHERS if os.geteuid() == 0 else []), sys.executable, "-c", LOOK, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        closed.chmod(0o755)
    assert done.stdout.splitlines() == [f"refused {closed}"] * 3
