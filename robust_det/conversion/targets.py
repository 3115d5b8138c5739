"""The files that a conversion may write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save as safetensors_bytes

from robust_det.checkpoints.backbone_file import BackboneCard
from robust_det.core.files import write_atomically

__all__ = ["write_state_dict"]


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
