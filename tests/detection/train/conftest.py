"""One run of the tool that several files look at."""

import contextlib
import fcntl
import os
import pty
import struct
import termios
from pathlib import Path
from typing import Any

import pytest

from tests.support import start_tool, tiny_detector


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, scenes: Path, backbone_file: Path
) -> tuple[Path, Path, tuple[str, str]]:
    """A finished run of the tool: its config, its folder and what it printed. Do not change it."""
    folder = tmp_path_factory.mktemp("finished")
    config = tiny_detector(
        folder / "finished.yaml",
        scenes,
        backbone_file,
        "finished",
        # a score of 0 and many detections, so that there is an AP to compare
        MODEL={"RESNETS": {"NORM": "BN"}, "ROI_HEADS": {"SCORE_THRESH_TEST": 0.0}},
        DATALOADER={"NUM_WORKERS": 1},
        SOLVER={
            "MAX_ITER": 60,
            "STEPS": [50],
            "WARMUP_ITERS": 5,
            "IMS_PER_BATCH": 4,
            "CHECKPOINT_PERIOD": 10,
        },
        TEST={"PICTURES": 3, "DETECTIONS_PER_IMAGE": 200},
    )
    code, printed, terminal = on_a_terminal(config)
    assert code == 0, terminal
    return config, folder / "run", (printed, terminal)


def on_a_terminal(config: Any) -> Any:
    """Train where standard error is a terminal; return the exit code and both outputs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = start_tool("train_net", "--config", config, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how the end of a terminal is told
        while block := os.read(ours, 4096):
            shown += block
    os.close(ours)
    printed, _ = process.communicate()
    return process.returncode, printed, shown.decode()
