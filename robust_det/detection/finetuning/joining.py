"""Several processes, on GPUs or CPUs, as Detectron2 wants to find them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
import torch.distributed as dist
from detectron2.utils import comm

from robust_det.training.world import joined_world, world_from_environment

__all__ = ["joined_processes"]


@contextlib.contextmanager
def joined_processes(device: str) -> Iterator[None]:
    """Join the processes that torchrun started, for a while.

    Args:
        device: ``cuda`` or ``cpu``.
    """
    on_gpu = device == "cuda"
    mine = torch.device("cuda", world_from_environment().local_rank) if on_gpu else device
    # one backend alone: Detectron2 asks for its name
    with joined_world(torch.device(mine), "nccl" if on_gpu else "gloo") as world:
        if world.size > 1:
            _group_of_this_machine(int(os.environ["LOCAL_WORLD_SIZE"]))
        yield


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
