"""How much of a batch is done while it is attacked, by the passes that it takes."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["PassCount"]


class PassCount:
    """Tells of a batch's images as their passes are done; those that fall early leap.

    Args:
        images: of the batch.
        passes: forward passes an image at most.
        tell: is given how many images more.
    """

    def __init__(self, images: int, passes: int, tell: Callable[[int], object]) -> None:
        self._images, self._most, self._tell = images, max(passes * images, 1), tell
        self._passes = self._told = 0

    def add(self, images: int) -> None:
        """Count a pass of so many images."""
        self._passes += images
        # the last image is done when all of its batch is
        self._say(min(self._images * self._passes // self._most, self._images - 1))

    def finish(self) -> None:
        """Count the rest."""
        self._say(self._images)

    def _say(self, done: int) -> None:
        if done > self._told:
            self._tell(done - self._told)
            self._told = done
