"""One optimiser step of adversarial training: attack, forward, backward, update."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import torch
from torch import nn

from robust_det.attacks import TrainingAttack, frozen
from robust_det.classification.methods import (
    CleanNorms,
    Inner,
    Method,
    PGDTraining,
    Trained,
    WeightPerturbation,
)
from robust_det.classification.methods.clean_share import clean_images
from robust_det.classification.methods.cost import Cost
from robust_det.classification.methods.warm_up import scaled
from robust_det.training.averaging import WeightAverage
from robust_det.training.step import OptimizerStep
from robust_det.training.world import World

__all__ = ["TrainingStep"]

# images of a pass, and the examples of the last of them
_Part = tuple[torch.Tensor, torch.Tensor]


class TrainingStep:
    """Trains ``network`` on adversarial examples of ``model`` (the same weights, without DDP).

    Args:
        model: the bare classifier.
        network: what is trained: ``model`` itself, or DDP around it.
        optimizer: updates the parameters of ``model``.
        attack: makes the training examples; eps 0 gives standard training, by any method and with
            any switch.
        method: what the examples maximise, and what is minimised on them.
        attacked: yields the network that is attacked; by default ``model`` in eval mode.
        clean_share: of the images that are not attacked.
        awp_gamma: see :class:`WeightPerturbation`; 0 does not perturb.
        clean_norms: those that clean images pass through; None for the network's own.
        amp_dtype: autocast all passes to this type; None for the network's own precision.
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
        attack: TrainingAttack,
        method: Method | None = None,
        *,
        attacked: Callable[[], AbstractContextManager[nn.Module]] | None = None,
        clean_share: float = 0.0,
        awp_gamma: float = 0.0,
        clean_norms: CleanNorms | None = None,
        amp_dtype: torch.dtype | None = None,
        clip_norm: float = 0.0,
        accumulate: int = 1,
        channels_last: bool = False,
        still: Sequence[nn.Module] = (),
        average: WeightAverage | None = None,
        world: World | None = None,
    ) -> None:
        self.network = network
        self.attack = attack
        self.method = method or PGDTraining()
        self.world = world or World()
        if attack.threat.eps == 0:
            self.method = PGDTraining(label_smoothing=self.method.label_smoothing)
            clean_share, awp_gamma, clean_norms = 0.0, 0.0, None
        self.attacked = attacked or functools.partial(frozen, model)
        self.clean_share = clean_share
        self.perturbed = WeightPerturbation(model, awp_gamma, self.world) if awp_gamma else None
        self.trained = Trained(network, amp_dtype, clean_norms)
        self.bare = Trained(model, amp_dtype, clean_norms)
        self.amp_dtype = amp_dtype
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
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        noise: torch.Generator | None = None,
        strength: float = 1.0,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do one optimiser step.

        Args:
            images: (N, 3, H, W) uint8, or float in [0, 1].
            targets: (N,) class indices, or (N, K) probabilities of classes.
            noise: the source of random starts.
            strength: share of eps that the attack has, above 0.

        Returns:
            The mean loss, and the number of images classified right as they were trained on, most
            of them adversarial examples, by their most probable class where targets are soft;
            scalars on the device, so that reading them is the
            caller's choice.
        """
        self.network.train()
        for module in self.still:
            module.training = False
        parts = min(self.accumulate, len(targets))
        xs, ys = images.tensor_split(parts), targets.tensor_split(parts)
        correct = torch.zeros((), device=images.device, dtype=torch.long)
        attack = scaled(self.attack, strength)
        inner = Inner(attack, self.attacked, self.amp_dtype, self.overflows, noise)

        def loss_of(network: Trained, number: int, part: _Part) -> _Part:
            y = ys[number]
            loss, logits = self.method.loss(network, *part, y)
            return loss * (len(y) / len(targets)), logits

        def losses(number: int, part: _Part) -> dict[str, torch.Tensor]:
            loss, logits = loss_of(self.trained, number, part)
            correct.add_((logits.detach().argmax(1) == _classes(ys[number])).sum())
            return {"loss": loss}

        if self.perturbed is None:
            found = self.update(parts, lambda n: losses(n, self._part(inner, xs[n], ys[n])))
        else:
            # examples are of the weights as they are, and so have to be there before
            ready = [self._part(inner, x, y) for x, y in zip(xs, ys, strict=True)]
            scale = self.update.scaler.scale

            def ascent(number: int) -> torch.Tensor:
                return scale(loss_of(self.bare, number, ready[number])[0])

            with self.perturbed(parts, ascent) as put_back:
                found = self.update(parts, lambda n: losses(n, ready[n]), put_back)
        self.method.end_step()
        return found["loss"], correct

    def cost(self) -> Cost:
        """Return the passes of a step, the clean share taken as it is asked for."""
        if self.attack.threat.eps == 0:
            return self.method.loss_passes(0)
        share = 1 - self.clean_share
        loss = self.method.loss_passes(share)
        inner = Cost(0, 0).plus(self.method.inner_passes(self.attack), share)
        return inner.plus(loss, 1 if self.perturbed is None else 2)

    def _part(self, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> _Part:
        """Return images in [0, 1], and the examples of those that are attacked, the last ones."""
        if x.dtype == torch.uint8:
            x = x.float().div_(255)
        x = x.contiguous(memory_format=self.format)
        if self.attack.threat.eps == 0:
            return x, x
        clean = clean_images(self.clean_share, len(x), self.world)
        return x, self.method.examples(inner, x[clean:], y[clean:])


def _classes(targets: torch.Tensor) -> torch.Tensor:
    """Return the classes (N,) of targets, the most probable of soft ones."""
    return targets if targets.ndim == 1 else targets.argmax(1)
