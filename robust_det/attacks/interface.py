"""What an attack is: a threat model, an optimiser under it, and an objective that is its caller's.

The optimiser knows neither networks nor labels. Whoever builds the objective says which network is
attacked, in which mode, at which precision and by which loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from robust_det.attacks.threat import ThreatModel

__all__ = ["Attack", "Noise", "Objective"]

# images (N, ...) in [0, 1] -> losses (N,), to be maximised: differentiable, and each a function of
# its own image alone
Objective = Callable[[torch.Tensor], torch.Tensor]

# the source of random starts: one generator of the batch, or one an image, with which the result
# does not depend on how images are batched; None is torch's global one
Noise = torch.Generator | Sequence[torch.Generator] | None


class Attack(Protocol):
    """An optimiser under a threat model."""

    @property
    def threat(self) -> ThreatModel:
        """What may be changed, and how far."""

    def __call__(
        self, objective: Objective, images: torch.Tensor, noise: Noise = None
    ) -> torch.Tensor:
        """Return images of the threat model around ``images`` with a high objective; detached."""
