"""What training costs an image, as passes through the network."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Cost"]


class Cost(NamedTuple):
    """Passes an image in an optimiser step, on average over a batch.

    Attributes:
        forward: passes up to the logits.
        backward: passes back from them, whether to the image, to the weights or to both.
    """

    forward: float
    backward: float

    def plus(self, other: tuple[float, float], times: float = 1.0) -> Cost:
        """Return the cost of both, of the other so many times."""
        return Cost(self.forward + times * other[0], self.backward + times * other[1])

    def words(self) -> str:
        """Return it as it is logged."""
        return f"{self.forward:.3g} forward and {self.backward:.3g} backward"
