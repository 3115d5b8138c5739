"""What a run was made on: versions, commit, device."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib import metadata
from typing import Any

from robust_det.core.config import REPOSITORY

__all__ = ["environment"]

_LIBRARIES = (
    "torch",
    "torchvision",
    "detectron2",
    "numpy",
    "pillow",
    "pycocotools",
    "faster-coco-eval",
    "fvcore",
)


def _git(*args: str) -> str | None:
    command = ["git", "-C", str(REPOSITORY), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def environment(device: str) -> dict[str, Any]:
    """Describe the machine and the software: versions, commit, device.

    Args:
        device: the torch device the job ran on, such as ``"cpu"`` or ``"cuda:0"``.
    """
    import torch

    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    cuda = device.startswith("cuda")
    return {
        "python": platform.python_version(),
        "versions": versions,
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "device": torch.cuda.get_device_name() if cuda else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
