"""What a method of adversarial training is: what it maximises, and what it minimises."""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from robust_det.attacks import (
    Noise,
    Objective,
    Passes,
    TrainingAttack,
    classifier_objective,
)
from robust_det.attacks.objectives import LogitLoss
from robust_det.classification.methods.cost import Cost
from robust_det.classification.methods.trained import Trained
from robust_det.core.config.reading import CfgNode

__all__ = ["Inner", "Kind", "Method"]


@dataclass(frozen=True)
class Inner:
    """The inner maximisation of a step, but for its objective.

    Attributes:
        attack: makes the examples.
        attacked: yields the network that is attacked.
        amp_dtype: autocast its passes to this type.
        overflows: see :func:`~robust_det.attacks.classifier_objective`.
        noise: the source of random starts.
    """

    attack: TrainingAttack
    attacked: Callable[[], AbstractContextManager[nn.Module]]
    amp_dtype: torch.dtype | None = None
    overflows: torch.Tensor | None = None
    noise: Noise = None

    def objective(self, network: nn.Module, y: torch.Tensor, loss: str | LogitLoss) -> Objective:
        """Return a loss of the attacked network's logits as an objective of the image."""
        return classifier_objective(
            network, y, loss, amp_dtype=self.amp_dtype, overflows=self.overflows
        )


class Method(abc.ABC):
    """A method of adversarial training.

    Images are (N, 3, H, W) in [0, 1], targets (N,), or (N, K) where they are soft.

    Attributes:
        label_smoothing: of the cross-entropy that is minimised.
    """

    label_smoothing: float

    @abc.abstractmethod
    def examples(self, inner: Inner, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return adversarial examples of images, within the threat model of the attack."""

    @abc.abstractmethod
    def loss(
        self, network: Trained, x: torch.Tensor, attacked: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is minimised, and what was classified.

        Args:
            network: in training mode.
            x: the images.
            attacked: the examples (M, 3, H, W) of the last M of them; the others stay clean.
            y: targets of the images.

        Returns:
            The mean over the images, a scalar; and the logits (N, K) of the clean images and of the
            examples, in their order.
        """

    @abc.abstractmethod
    def inner_passes(self, attack: TrainingAttack) -> Passes:
        """Return what the examples cost an image that is attacked."""

    @abc.abstractmethod
    def loss_passes(self, attacked: float) -> Cost:
        """Return what the loss costs an image, of which this share is attacked."""

    def end_step(self) -> None:
        """Take in what the backward pass of a step found, after its update."""
        return

    def state_dict(self) -> dict[str, Any]:
        """Return what this process carries from step to step, on the CPU."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from that."""
        return


@dataclass(frozen=True)
class Kind:
    """A method as configs know it.

    Attributes:
        build: makes it from a config.
        source: the paper.
        step_size: of its attack as a share of eps, where ``ATTACK.STEP_SIZE`` is 0.
        key: that the method has alone, and cannot do without; empty if it has none.
        usual: the paper's value of it, with what it is.
        idle: keys that it makes no use of.
        fixed: keys that have one value with it.
    """

    build: Callable[[CfgNode], Method]
    source: str
    step_size: Fraction = Fraction(2, 3)
    key: str = ""
    usual: str = ""
    idle: Sequence[str] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def usual_step(self, eps: float) -> float:
        """Return the step size where none is given."""
        return eps * self.step_size.numerator / self.step_size.denominator
