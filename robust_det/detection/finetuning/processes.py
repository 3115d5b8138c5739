"""Several processes, on GPUs or CPUs, started by torchrun or by Detectron2's launcher."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["in_processes", "joined_processes", "under_torchrun"]


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"))


@contextlib.contextmanager
def joined_processes(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, for a while.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if device == "cuda":
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if device == "cuda" else "gloo")
    _group_of_this_machine(local_size)
    try:
        yield
    finally:
        dist.destroy_process_group()


def _group_of_this_machine(size: int) -> None:
    """Make the group that Detectron2 keeps of the processes of one machine."""
    if hasattr(comm, "create_local_process_group"):
        comm.create_local_process_group(size)
        return
    # version 0.5 does it in its launcher alone
    for first in range(0, comm.get_world_size(), size):
        ranks = list(range(first, first + size))
        group = dist.new_group(ranks)
        if comm.get_rank() in ranks:
            comm._LOCAL_PROCESS_GROUP = group


def in_processes(model: nn.Module) -> Any:
    """Wrap a model so that its gradients are averaged over all processes, if there are several."""
    if comm.get_world_size() == 1:
        return model
    on_gpu = next(model.parameters()).is_cuda
    devices = [comm.get_local_rank()] if on_gpu else None
    return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
