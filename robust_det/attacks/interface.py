"""What an attack is: a threat model, an optimiser under it, and an objective that is its caller's.

The optimiser knows neither networks nor labels. Whoever builds the objective says which network is
attacked, in which mode, at which precision and by which loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self, runtime_checkable

import torch

from robust_det.attacks.threat import ThreatModel

__all__ = [
    "Attack",
    "Narrowing",
    "Noise",
    "Objective",
    "Passes",
    "TrainingAttack",
    "narrowed",
]

# images (N, ...) in [0, 1] -> losses (N,), to be maximised: differentiable, and each a function of
# its own image alone
Objective = Callable[[torch.Tensor], torch.Tensor]

# the source of random starts: one generator of the batch, or one an image, with which the result
# does not depend on how images are batched; None is torch's global one
Noise = torch.Generator | Sequence[torch.Generator] | None


class Passes(NamedTuple):
    """What an attack costs an image at most: passes through the network."""

    forward: int
    backward: int


@runtime_checkable
class Narrowing(Protocol):
    """An objective that is done with some of its images before the attack is.

    An attack may ask between two steps; one that never asks goes on with all of them.
    """

    def narrow(self) -> torch.Tensor | None:
        """Leave out the images that are done with.

        Returns:
            The rows that are left of the images that the objective took until now, in order, and
            from now on takes alone; None if all are.
        """


def narrowed(objective: Objective) -> torch.Tensor | None:
    """Return the rows that an objective has narrowed itself to; None if it did not."""
    return objective.narrow() if isinstance(objective, Narrowing) else None


class Attack(Protocol):
    """An optimiser under a threat model."""

    @property
    def threat(self) -> ThreatModel:
        """What may be changed, and how far."""

    @property
    def passes(self) -> Passes:
        """What the attack costs an image at most."""

    def __call__(
        self, objective: Objective, images: torch.Tensor, noise: Noise = None
    ) -> torch.Tensor:
        """Return images of the threat model around ``images`` with a high objective; detached."""


class TrainingAttack(Attack, Protocol):
    """One of a number of gradient steps, which training can start where it likes, and weaken."""

    @property
    def steps(self) -> int:
        """Gradient steps."""

    def scaled(self, share: float) -> Self:
        """Return the attack whose eps and steps are this share of what they were."""

    def __call__(
        self,
        objective: Objective,
        images: torch.Tensor,
        noise: Noise = None,
        start: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Do the same; the first start is ``start``, a point of the threat model, if given."""
