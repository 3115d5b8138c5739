"""One optimiser step of adversarial training: attack, forward, backward, update."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn
from torch.nn import functional as F

from robust_det.attacks import Attack, classifier_objective, frozen
from robust_det.core.device import autocast
from robust_det.training.averaging import WeightAverage
from robust_det.training.step import OptimizerStep
from robust_det.training.world import World

__all__ = ["TrainingStep"]


class TrainingStep:
    """Trains ``network`` on adversarial examples of ``model`` (the same weights, without DDP).

    Args:
        model: the bare classifier.
        network: what is trained: ``model`` itself, or DDP around it.
        optimizer: updates the parameters of ``model``.
        attack: makes the training examples; eps 0 gives standard training.
        attacked: yields the network that is attacked; by default ``model`` in eval mode.
        objective: what the attack maximises, a name of ``robust_det.attacks.OBJECTIVES``.
        amp_dtype: autocast all passes to this type; None for the network's own precision.
        label_smoothing: of the training loss only.
        clip_norm: largest gradient norm; 0 is no clipping.
        accumulate: number of passes the batch is split into.
        channels_last: memory format of the images.
        still: modules of the network that stay in eval mode while it is trained.
        average, world: see :class:`~robust_det.training.step.OptimizerStep`.
    """

    def __init__(
        self,
        model: nn.Module,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        attack: Attack,
        *,
        attacked: Callable[[], AbstractContextManager[nn.Module]] | None = None,
        objective: str = "cross_entropy",
        amp_dtype: torch.dtype | None = None,
        label_smoothing: float = 0.0,
        clip_norm: float = 0.0,
        accumulate: int = 1,
        channels_last: bool = False,
        still: Sequence[nn.Module] = (),
        average: WeightAverage | None = None,
        world: World | None = None,
    ) -> None:
        self.model = model
        self.network = network
        self.attack = attack
        self.attacked = attacked or functools.partial(frozen, model)
        self.objective = objective
        self.amp_dtype = amp_dtype
        self.label_smoothing = label_smoothing
        self.accumulate = accumulate
        self.still = still
        # how often an image's logits told its attack nothing; read by who can wait for a GPU
        self.overflows = torch.zeros((), dtype=torch.int64, device=next(model.parameters()).device)
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        self.update = OptimizerStep(
            network,
            optimizer,
            dtype=amp_dtype,
            clip_norm=clip_norm,
            average=average,
            world=world,
        )

    def __call__(
        self, images: torch.Tensor, targets: torch.Tensor, noise: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do one optimiser step.

        Args:
            images: (N, 3, H, W) uint8, or float in [0, 1].
            targets: (N,) class indices.
            noise: the source of random starts.

        Returns:
            The mean loss, and the number of adversarial examples classified right; scalars on
            the device, so that reading them is the caller's choice.
        """
        self.network.train()
        for module in self.still:
            module.training = False
        parts = min(self.accumulate, len(targets))
        xs, ys = images.tensor_split(parts), targets.tensor_split(parts)
        correct = torch.zeros((), device=images.device, dtype=torch.long)

        def losses(number: int) -> dict[str, torch.Tensor]:
            x, y = xs[number], ys[number]
            if x.dtype == torch.uint8:
                x = x.float().div_(255)
            x = x.contiguous(memory_format=self.format)
            logits = self._forward(self._examples(x, y, noise))
            loss = F.cross_entropy(logits, y, label_smoothing=self.label_smoothing)
            correct.add_((logits.detach().argmax(1) == y).sum())
            return {"loss": loss * (len(y) / len(targets))}

        return self.update(parts, losses)["loss"], correct

    def _examples(
        self, x: torch.Tensor, y: torch.Tensor, noise: torch.Generator | None
    ) -> torch.Tensor:
        if self.attack.threat.eps == 0:
            return x
        with self.attacked() as network:
            objective = classifier_objective(
                network, y, self.objective, amp_dtype=self.amp_dtype, overflows=self.overflows
            )
            return self.attack(objective, x, noise)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        with autocast(x.device, self.amp_dtype):
            logits: torch.Tensor = self.network(x)
        return logits.float()
