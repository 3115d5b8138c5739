"""The files that a conversion may write."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as safetensors_bytes

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically

__all__ = ["TARGETS", "check_target", "write_state_dict"]

_STATE_DICTS = (".pth", ".pt", ".bin", ".safetensors")
# what can be written, and the suffixes that its readers go by
TARGETS = {"detectron2": (".pth",), "torchvision": _STATE_DICTS, "timm": _STATE_DICTS}


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
    if target.is_dir():
        raise UserError(f"OUTPUT {target} is a folder; give a file")
    if target.exists() and not overwrite:
        raise UserError(f"OUTPUT {target} exists; pass --overwrite to replace it")
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"cannot write {target}: {folder} is a file; choose another folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {target}: no permission in {folder}; choose another folder")


def write_state_dict(
    target: str | Path, state: Mapping[str, torch.Tensor], card: BackboneCard
) -> None:
    """Write a plain state dict atomically; a safetensors file carries the card as metadata.

    Raises:
        UserError: the file system refuses, or the file could not be loaded.
    """
    if Path(target).suffix != ".safetensors":
        write_atomically(target, lambda file: torch.save(state, file))
        return
    plain = {k: v if isinstance(v, str) else json.dumps(v) for k, v in card.plain().items()}
    data = safetensors_bytes(
        {k: v.contiguous() for k, v in state.items()}, {"format": "pt", **plain}
    )
    write_atomically(target, lambda file: file.write(data))
