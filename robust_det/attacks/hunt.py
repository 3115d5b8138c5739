"""The search for an image that fools a classifier, whatever the attack is that searches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from robust_det.attacks.interface import Objective
from robust_det.attacks.objectives import LogitLoss, classifier_objective
from robust_det.attacks.threat import ThreatModel
from robust_det.core.device import autocast

__all__ = ["Hunt"]

# images are left out in lots of this share: each lot copies what the attack remembers
_LOT = 0.1


class Hunt:
    """An objective of a classifier that keeps the first image by which each target is missed.

    An attack returns the image of the highest objective, which need not be one that fools the
    network although others on its way did. This sees all that it asks for. Those outside of the
    threat model do not count, nor those whose logits are not finite.

    Args:
        network: takes images (N, C, H, W) in [0, 1], returns logits (N, K); in the mode it is in.
        images: (N, C, H, W) in [0, 1].
        targets: (N,) true classes.
        threat: what may be changed.
        loss: a name of :data:`robust_det.attacks.OBJECTIVES`, or a loss of logits like them.
        towards: (N,) classes to be taken for; None is untargeted.
        amp_dtype: autocast the network to this type; None for its own precision.
        tell: is told of each pass of the network, of how many images it is.

    Attributes:
        fooled: (N,) which images have been missed.
        found: like ``images``, by what; where nothing was found, the images.
        not_finite: a whole number on the device, how often logits were not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        images: torch.Tensor,
        targets: torch.Tensor,
        threat: ThreatModel,
        loss: str | LogitLoss,
        towards: torch.Tensor | None = None,
        amp_dtype: torch.dtype | None = None,
        tell: Callable[[int], None] = lambda images: None,
    ) -> None:
        self._network, self._threat, self._loss = network, threat, loss
        self._images, self._targets, self._towards = images, targets, towards
        self._amp_dtype, self._tell = amp_dtype, tell
        self._rows = torch.arange(len(images), device=images.device)
        self.fooled = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self.found = images.clone()
        self.not_finite = torch.zeros((), dtype=torch.long, device=images.device)
        self._objective = self._of_rows()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Return the losses (N,) of images, of those that are left."""
        return self._objective(x)

    def success(self, x: torch.Tensor) -> torch.Tensor:
        """Return which of the images that are left are missed: (N,), in the ball or out of it."""
        with torch.no_grad(), autocast(x.device, self._amp_dtype):
            return self._noted(self._network(x), x)

    def look(self, x: torch.Tensor) -> None:
        """Look at what an attack returned, of all images that there were at first."""
        if len(self._rows):
            self.success(x[self._rows])

    def narrow(self) -> torch.Tensor | None:
        """Leave out the images that have been missed; see :class:`Narrowing`."""
        standing = ~self.fooled[self._rows]
        left = int(standing.sum())
        if left and len(self._rows) - left < _LOT * len(self._rows):
            return None
        kept = standing.nonzero().flatten()
        self._rows = self._rows[kept]
        self._objective = self._of_rows()
        return kept

    def _of_rows(self) -> Objective:
        towards = None if self._towards is None else self._towards[self._rows]
        return classifier_objective(
            _Noting(self),
            self._targets[self._rows],
            self._loss,
            towards=towards,
            amp_dtype=self._amp_dtype,
        )

    def _noted(self, logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        rows = self._rows
        self._tell(len(rows))
        finite = logits.isfinite().all(1)
        self.not_finite += (~finite).sum()
        missed = finite & (logits.argmax(1) != self._targets[rows])
        new = missed & ~self.fooled[rows] & self._threat.holds(x, self._images[rows])
        self.fooled[rows] |= new
        self.found[rows] = torch.where(new.view(-1, 1, 1, 1), x, self.found[rows])
        return missed


class _Noting(nn.Module):
    """The network, of whose logits a hunt is told."""

    def __init__(self, hunt: Hunt) -> None:
        super().__init__()
        self._hunt = hunt

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._hunt._network(x)
        self._hunt._noted(logits.detach(), x.detach())
        return logits
