"""What a run was made on: versions, commit, device."""

from __future__ import annotations

import platform
import sys
import time

import msgspec

from robust_det.core.installation import __version__, source_state, versions_of

__all__ = ["Environment", "environment"]

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


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What a run was made on.

    Attributes:
        python: its version.
        versions: of the libraries that figures depend on, where they are installed.
        commit: of the checkout; None without one.
        modified: whether tracked files differed from it.
        device: its name.
        threads: of torch on the CPU.
        command: the arguments of the process.
        created: when the record was made, UTC in ISO 8601.
    """

    python: str
    versions: dict[str, str]
    commit: str | None
    modified: bool
    device: str
    threads: int
    command: list[str]
    created: str


def environment(device: str) -> Environment:
    """Describe the machine and the software: versions, commit, device.

    Args:
        device: the torch device the job ran on, such as ``"cpu"`` or ``"cuda:0"``.
    """
    import torch

    commit, modified = source_state()
    cuda = device.startswith("cuda")
    return Environment(
        python=platform.python_version(),
        versions={"robust_det": __version__, **versions_of(_LIBRARIES)},
        commit=commit,
        modified=modified,
        device=torch.cuda.get_device_name() if cuda else f"cpu ({platform.machine()})",
        threads=torch.get_num_threads(),
        command=sys.argv,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
