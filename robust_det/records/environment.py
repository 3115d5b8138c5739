"""What a run was made on: versions, commit, device."""

from __future__ import annotations

import platform
import sys
import time
from importlib import metadata
from typing import Any

from robust_det import __version__
from robust_det.core.installation import source_state

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


def environment(device: str) -> dict[str, Any]:
    """Describe the machine and the software: versions, commit, device.

    Args:
        device: the torch device the job ran on, such as ``"cpu"`` or ``"cuda:0"``.
    """
    import torch

    versions = {"robust_det": __version__}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    commit, modified = source_state()
    cuda = device.startswith("cuda")
    return {
        "python": platform.python_version(),
        "versions": versions,
        "commit": commit,
        "modified": modified,
        "device": torch.cuda.get_device_name() if cuda else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
