"""All that changes while training, saved and restored so that a run continues bit-exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.state_dicts import load_state
from robust_det.core.errors import UserError
from robust_det.core.seeding import generator_states, restore_generators
from robust_det.training.averaging import WeightAverage
from robust_det.training.step import OptimizerStep
from robust_det.training.world import World

__all__ = ["Carried", "Progress", "TrainingState", "require_resumable"]


@dataclass
class Progress:
    """How far a run is, and the sums of the current epoch.

    Attributes:
        step: optimiser steps done.
        loss, correct, images, corrupt: sums over the steps of the current epoch, this process.
        latest, best: selection metric of the latest validation and the best so far, in percent.
        best_step: after how many steps the best was found; 0 before the first validation.
        seconds: training time so far, over all sessions.
    """

    step: int = 0
    loss: float = 0.0
    correct: int = 0
    images: int = 0
    corrupt: int = 0
    best: float = -1.0
    seconds: float = 0.0
    latest: float = -1.0
    best_step: int = 0

    def begin_epoch(self) -> None:
        """Empty the sums."""
        self.loss, self.correct, self.images, self.corrupt = 0.0, 0, 0, 0


class Carried(Protocol):
    """What each process carries from step to step by itself."""

    def state_dict(self) -> dict[str, Any]:
        """Return it, on the CPU."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from it."""
        ...


@dataclass
class TrainingState:
    """All that changes while training.

    Args:
        network: what is trained, as its checkpoint names its tensors: without DDP.
        step: its optimiser and scaler.
        average: its moving average, or None.
        progress: how far the run is.
        any_world: whether as many processes as there are may go on with what others saved. Batches
            and steps are the same; what each process draws by itself is drawn anew, and what it
            carries begins anew.
        beside: modules that are trained with the network and end with the run, by their names in
            the file.
        carried: by each process.
    """

    network: nn.Module
    step: OptimizerStep
    average: WeightAverage | None
    progress: Progress
    any_world: bool = False
    beside: Mapping[str, nn.Module] = field(default_factory=dict)
    carried: Carried | None = None

    def weights(self) -> dict[str, Any]:
        """Return the weights and how they came about: what evaluation and conversion read."""
        content: dict[str, Any] = {
            "step": self.progress.step,
            "model": self.network.state_dict(),
        }
        if self.average is not None:
            content["ema"] = self.average.network.state_dict()
            content["ema_updates"] = self.average.updates
        return content

    def save(self, path: Path, description: Mapping[str, Any], world: World) -> None:
        """Write everything; a collective call, the main process writes.

        Args:
            path: of the checkpoint.
            description: what the checkpoint says of itself beside.
            world: the processes that train together.
        """
        rng = world.gather(generator_states())
        progress = world.gather(asdict(self.progress))
        carried = world.gather(self.carried.state_dict() if self.carried is not None else {})
        if world.is_main:
            content = {**description, **self.weights(), **self.step.state_dict()}
            content |= {name: module.state_dict() for name, module in self.beside.items()}
            content |= {"carried": carried} if any(carried) else {}
            save_checkpoint(path, {**content, "rng": rng, "progress": progress})
        world.barrier()

    def restore(self, content: Mapping[str, Any], path: Path, world: World) -> None:
        """Load everything back from a checkpoint that is known to be of this run.

        Raises:
            UserError: it cannot be resumed from by as many processes.
        """
        same = len(content["rng"]) == world.size
        if not same and not self.any_world:
            raise UserError(
                f"{path} was written by {len(content['rng'])} processes, this run has {world.size};"
                " start as many, or add --new-world-size to --resume"
            )
        load_state(self.network, content["model"], str(path))
        if self.average is not None:
            load_state(self.average.network, content["ema"], str(path))
            self.average.updates = content["ema_updates"]
        for name, module in self.beside.items():
            load_state(module, content[name], str(path))
        self.step.load_state_dict(content)
        if same and self.carried is not None and "carried" in content:
            self.carried.load_state_dict(content["carried"][world.rank])
        if same:
            self.progress = Progress(**content["progress"][world.rank])
            restore_generators(content["rng"][world.rank])
        else:
            self.progress = _shared(content["progress"], world.rank)


def _shared(before: Sequence[Mapping[str, Any]], rank: int) -> Progress:
    """Return the progress of a process of another number of them: the first takes up all sums."""
    progress = Progress(**before[0])
    for name in ("loss", "correct", "images", "corrupt"):
        total = sum(each[name] for each in before)
        setattr(progress, name, total if rank == 0 else type(total)(0))
    return progress


def require_resumable(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a checkpoint of weights alone.

    Raises:
        UserError: it lacks what :meth:`TrainingState.restore` reads.
    """
    if {"optimizer", "scaler", "rng", "progress"} - set(content):
        raise UserError(f"{path} holds weights only; a run resumes from its last.pth")
