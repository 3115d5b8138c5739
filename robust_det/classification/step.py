"""One optimiser step of adversarial training: attack, forward, backward, update."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from robust_det.attacks import Attack, classifier_objective, frozen

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
    """

    def __init__(
        self,
        model: nn.Module,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        attack: Attack,
        *,
        attacked: Callable[[], contextlib.AbstractContextManager[nn.Module]] | None = None,
        objective: str = "cross_entropy",
        amp_dtype: torch.dtype | None = None,
        label_smoothing: float = 0.0,
        clip_norm: float = 0.0,
        accumulate: int = 1,
        channels_last: bool = False,
    ) -> None:
        self.model = model
        self.network = network
        self.optimizer = optimizer
        self.attack = attack
        self.attacked = attacked or functools.partial(frozen, model)
        self.objective = objective
        self.amp_dtype = amp_dtype
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.accumulate = accumulate
        self.format = torch.channels_last if channels_last else torch.contiguous_format
        device = next(model.parameters()).device
        # fp16 gradients underflow without loss scaling; bf16 has float32's range
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp_dtype == torch.float16)

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
        self.optimizer.zero_grad(set_to_none=True)
        parts = min(self.accumulate, len(targets))
        total_loss = torch.zeros((), device=images.device)
        correct = torch.zeros((), device=images.device, dtype=torch.long)
        for i, (x, y) in enumerate(
            zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True)
        ):
            if x.dtype == torch.uint8:
                x = x.float().div_(255)
            x = self._examples(x.contiguous(memory_format=self.format), y, noise)
            with self._sync_only_if(i == parts - 1):
                logits = self._forward(x)
                loss = F.cross_entropy(logits, y, label_smoothing=self.label_smoothing)
                loss = loss * (len(y) / len(targets))
                self.scaler.scale(loss).backward()
            total_loss += loss.detach()
            correct += (logits.detach().argmax(1) == y).sum()
        if self.clip_norm > 0:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return total_loss, correct

    def _examples(
        self, x: torch.Tensor, y: torch.Tensor, noise: torch.Generator | None
    ) -> torch.Tensor:
        if self.attack.threat.eps == 0:
            return x
        with self.attacked() as network:
            objective = classifier_objective(network, y, self.objective, amp_dtype=self.amp_dtype)
            return self.attack(objective, x, noise)

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        dtype = self.amp_dtype
        with torch.autocast(x.device.type, dtype=dtype, enabled=dtype is not None):
            logits: torch.Tensor = self.network(x)
        return logits.float()

    def _sync_only_if(self, last: bool) -> contextlib.AbstractContextManager[None]:
        if isinstance(self.network, DistributedDataParallel) and not last:
            return self.network.no_sync()
        return contextlib.nullcontext()
