"""The little that distributed training needs beyond DDP: start-up, sums, shared decisions."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn

__all__ = ["World", "joined_world"]


@dataclass(frozen=True)
class World:
    """This process among all: rank 0 of 1 unless started by ``torchrun``."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process prints and writes."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum a tensor over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process; all processes get the same answer."""
        if self.size == 1:
            return flag
        value = torch.tensor(int(flag))  # on the CPU: nothing waits for a GPU
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)

    @torch.no_grad()
    def average_buffers(self, module: nn.Module) -> None:
        """Average the floating-point buffers (batch-norm statistics) over all processes.

        DDP averages gradients only; without this each process would attack and validate a
        network of its own.
        """
        buffers = [b for b in module.buffers() if b.is_floating_point()]
        if self.size == 1 or not buffers:
            return
        flat = torch.cat([b.flatten() for b in buffers])
        dist.all_reduce(flat)
        flat.div_(self.size)
        for buffer, mean in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(mean.view_as(buffer))

    def gather(self, value: object) -> list[object]:
        """Return the values of all processes, in every process."""
        if self.size == 1:
            return [value]
        values: list[object] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


def world_from_environment() -> World:
    """Read rank and size from the variables that ``torchrun`` sets."""
    return World(
        rank=int(os.environ.get("RANK", 0)),
        size=int(os.environ.get("WORLD_SIZE", 1)),
        local_rank=int(os.environ.get("LOCAL_RANK", 0)),
    )


@contextlib.contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """Join the process group that ``torchrun`` announced, if any, and leave it at the end.

    Args:
        device: of this process; tensors on a GPU travel by nccl, those on the CPU by gloo.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    world = world_from_environment()
    if world.size == 1:
        yield world
        return
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()
