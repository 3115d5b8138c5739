"""Where a job runs, and in which precision."""

from __future__ import annotations

import torch

from robust_det.core.errors import UserError

__all__ = ["AMP_DTYPES", "autocast", "resolve_device"]

# the autocast type of each TRAIN.PRECISION; None is no autocast
AMP_DTYPES: dict[str, torch.dtype | None] = {
    "fp32": None,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def autocast(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """Return what lets passes on a device compute in a type; None leaves them their own."""
    return torch.autocast(device.type, dtype=dtype, enabled=dtype is not None)


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device.

    Args:
        name: ``auto`` is a GPU where there is one, the CPU otherwise.
        local_rank: the GPU of this process when the name does not say which.

    Raises:
        UserError: CUDA is asked for and absent, or the name is none of these.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device '{name}'; use auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda":
        index = local_rank if device.index is None else device.index
        if not available:
            raise UserError(
                f"device '{name}' was asked for, but there is no CUDA GPU; use cpu or auto"
            )
        if index >= torch.cuda.device_count():
            raise UserError(
                f"there is no GPU {index}; this machine has {torch.cuda.device_count()}"
            )
        return torch.device("cuda", index)
    if device.type != "cpu":
        raise UserError(f"device '{name}' is not supported; use auto, cpu or cuda")
    return device
