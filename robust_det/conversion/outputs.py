"""Where a conversion may write; told without torch, before anything is read."""

from __future__ import annotations

import os
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.core.files import through_links
from robust_det.core.outputs import require_new

__all__ = ["TARGETS", "check_other", "check_target"]

_STATE_DICTS = (".pth", ".pt", ".bin", ".safetensors")
# what can be written, and the suffixes that its readers go by
TARGETS = {"detectron2": (".pth",), "torchvision": _STATE_DICTS, "timm": _STATE_DICTS}


def check_other(source: str | Path, target: str | Path) -> None:
    """Refuse a target that is the source.

    Raises:
        UserError: they are one file.
    """
    # unlike Path.resolve, this follows links in a circle no further
    if os.path.realpath(target) == os.path.realpath(source):
        raise UserError(f"OUTPUT is INPUT, {source}; give another file to write")


def check_target(target: str | Path, to: str, overwrite: bool) -> None:
    """Refuse a target before anything is proven and written.

    Raises:
        UserError: unknown kind, wrong suffix, a file that exists, or a folder that cannot be
            written to.
    """
    target = Path(target)
    if to not in TARGETS:
        raise UserError(f"unknown target '{to}'; use {', '.join(TARGETS)}")
    if target.suffix not in TARGETS[to]:
        raise UserError(
            f"OUTPUT must end in {' or '.join(TARGETS[to])}, which {to} reads: {target}"
        )
    require_new([target], overwrite)
    folder = through_links(target).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"cannot write {target}: {folder} is a file; choose another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {target}: no permission in {folder}; choose another folder")
