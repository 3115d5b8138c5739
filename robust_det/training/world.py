"""The processes that train together: joining them, DDP, sums, shared decisions."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from robust_det.core.errors import UserError

__all__ = [
    "World",
    "bare",
    "joined_world",
    "this_world",
    "under_torchrun",
    "world_from_environment",
]

logger = logging.getLogger(__name__)


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

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return the module, with DDP around it if there are several processes."""
        if self.size == 1:
            return module
        device = next(module.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        # statistics of batch norms: see average_statistics
        return DistributedDataParallel(module, device_ids=ids, broadcast_buffers=False)

    def synchronise_norms(self, module: nn.Module) -> None:
        """Let batch norms in training normalise by the images of all processes, not by their own
        alone (torch's :class:`SyncBatchNorm`); names, weights and evaluation stay as they are.

        Args:
            module: gets them in place; not a batch norm itself.

        Raises:
            UserError: it is on the CPU, where torch has none, or has no batch norm.
        """
        if next(module.parameters()).device.type == "cpu":
            raise UserError("MODEL.SYNC_NORMS needs GPUs; leave it out on the CPU")
        if not any(isinstance(each, _BatchNorm) for each in module.modules()):
            raise UserError(
                "the network has no batch norm that MODEL.SYNC_NORMS could synchronise; leave it"
                " out"
            )
        if self.size > 1:
            nn.SyncBatchNorm.convert_sync_batchnorm(module)
        else:
            logger.warning("MODEL.SYNC_NORMS has no effect on one process")

    @torch.no_grad()
    def average_statistics(self, module: nn.Module) -> None:
        """Average the statistics that batch norms track over all processes.

        DDP averages gradients only; without this each process would attack and validate a network
        of its own.
        """
        if self.size == 1:
            return
        norms = [
            norm
            for norm in module.modules()
            # one in eval mode tracks nothing, and the other kind synchronises by itself
            if isinstance(norm, _BatchNorm)
            and norm.training
            and not isinstance(norm, nn.SyncBatchNorm)
        ]
        buffers = [b for norm in norms for b in norm.buffers() if b.is_floating_point()]
        if not buffers:
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


def bare(module: nn.Module) -> nn.Module:
    """Return a module without the DDP around it."""
    return module.module if isinstance(module, DistributedDataParallel) else module


def under_torchrun() -> bool:
    """Whether ``torchrun`` started this process."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"))


def world_from_environment() -> World:
    """Read rank and size from the variables that ``torchrun`` sets."""
    return World(
        rank=int(os.environ.get("RANK", 0)),
        size=int(os.environ.get("WORLD_SIZE", 1)),
        local_rank=int(os.environ.get("LOCAL_RANK", 0)),
    )


def this_world() -> World:
    """Return the processes that were joined, whoever started them."""
    if not dist.is_initialized():
        return World()
    return World(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", 0)))


@contextlib.contextmanager
def joined_world(device: torch.device, backend: str = "") -> Iterator[World]:
    """Join the process group that ``torchrun`` announced, if any, and leave it at the end.

    Args:
        device: of this process.
        backend: of the group; by default tensors on a GPU travel by nccl and those on the CPU by
            gloo.
    """
    if device.type == "cuda":
        torch.cuda.set_device(device)
    world = world_from_environment()
    if world.size == 1:
        yield world
        return
    both = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend or both)
    try:
        yield world
    finally:
        dist.destroy_process_group()
