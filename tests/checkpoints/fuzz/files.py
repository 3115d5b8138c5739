"""The files that are damaged: one network in each format, and those of the robustness library."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_safetensors

from .networks import STATE

ROBUSTNESS = Path(__file__).parents[2] / "fixtures" / "robustness"
FORMATS = ("zip", "legacy", "pickle", "safetensors")


def contents(state: Mapping[str, Any]) -> dict[str, Any]:
    """What a training script saves."""
    momentum = {0: {"momentum_buffer": torch.ones(3), "step": 4}}
    groups = [{"lr": 0.1, "params": [0], "betas": (0.9, 0.999)}]
    return {
        "epoch": 3,
        "state_dict": dict(state),
        "optimizer": {"state": momentum, "param_groups": groups},
        "best": 0.5,
        "name": "a run",
    }


def with_arrays(value: Any) -> Any:
    """Replace tensors by numpy's arrays."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy()
    if isinstance(value, dict):
        return {key: with_arrays(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(with_arrays, value))
    return value


def written(content: Any, kind: str, protocol: int = 2) -> bytes:
    """Return the file of a content; a safetensors file takes a state dict alone."""
    if kind == "safetensors":
        return save_safetensors(content)
    if kind == "pickle":
        return pickle.dumps(with_arrays(content), protocol)
    buffer = io.BytesIO()
    torch.save(
        content,
        buffer,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=kind == "zip",
    )
    return buffer.getvalue()


WHOLE = {
    kind: written(STATE if kind == "safetensors" else contents(STATE), kind) for kind in FORMATS
}
WHOLE["zip4"] = written(contents(STATE), "zip", 4)
WHOLE["pickle4"] = written(contents(STATE), "pickle", 4)
REAL = {
    path.name: path.read_bytes()
    for path in sorted(ROBUSTNESS.iterdir())
    if path.name != "expected.pt"
}
BASES = {**WHOLE, **REAL}
