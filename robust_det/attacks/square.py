"""The Square attack (Andriushchenko et al. 2020): random search that asks for scores alone."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from robust_det.attacks.interface import Noise, Objective, Passes, narrowed
from robust_det.attacks.steps import as_wide, evaluated, uniform
from robust_det.attacks.threat import ThreatModel
from robust_det.core.errors import UserError

__all__ = ["Square"]

# after which query of 10,000 the share of pixels in the square is halved once more
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# queries whose random numbers are drawn at once, which is what drawing costs
_DRAWN = 64


@dataclass(frozen=True)
class Square:
    """Random squares, each kept where it raises the objective (algorithms 1 to 3 of the paper).

    It asks for no gradient, so that it sees through networks whose gradients are masked. Linf
    squares are at a corner of the ball in each channel; L2 ones move the budget of one window to
    another. Each image has squares of its own, which may lie at every border, as in the paper;
    the published code leaves out the last row and column, which matters on small images.

    It narrows with an objective that is done with an image, which does not change the others.

    Args:
        threat: where to stay.
        queries: proposals, >= 1. The schedule is that of 10,000, cut off, as AutoAttack has it.
        share: of the pixels in the first square, in (0, 1].

    Raises:
        UserError: a number is out of its range.
    """

    threat: ThreatModel
    queries: int = 5000
    share: float = 0.8

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise UserError(f"Square needs queries >= 1, not {self.queries}")
        if not 0 < self.share <= 1:
            raise UserError(f"Square needs a share of pixels in (0, 1], not {self.share}")

    @property
    def passes(self) -> Passes:
        """What the attack costs an image at most."""
        return Passes(self.queries + 1, 0)

    def side(self, query: int, height: int, width: int) -> int:
        """Return the side of the square of a query, from 0, in pixels of an image."""
        share = self.share / 2 ** sum(query > after for after in _HALVINGS)
        side = round(math.sqrt(share * height * width))
        if self.threat.norm == "l2":  # odd, so that the pattern has a middle
            side = max(side, 3)
            side += side % 2 == 0
        return min(max(side, 1), height, width)

    @torch.no_grad()
    def __call__(
        self, objective: Objective, images: torch.Tensor, noise: Noise = None
    ) -> torch.Tensor:
        """Return adversarial examples.

        Args:
            objective: of images like these; no gradient of it is asked for.
            images: (N, C, H, W) float in [0, 1].
            noise: the source of squares; torch's global generator by default.

        Returns:
            Like ``images``: in [0, 1] and in the threat model around them; detached.

        Raises:
            UserError: the images have no height and width, or are too small for L2, or the
                objective does not return one loss an image.
        """
        l2 = self.threat.norm == "l2"
        if images.dim() != 4 or (l2 and min(images.shape[2:]) < 5):
            least = " of 5 pixels or more" if l2 else ""
            raise UserError(f"Square needs images (N, C, H, W){least}, not {tuple(images.shape)}")
        center = images.detach()
        if self.threat.eps == 0 or len(center) == 0:
            return center
        result, rows = center.clone(), torch.arange(len(center), device=center.device)
        start = self._tiles if l2 else self._stripes
        best = start(center, noise)
        highest = evaluated(objective, best)
        drawn = center.new_empty(0)
        for query in range(self.queries):
            left = narrowed(objective)
            if left is not None:
                result[rows] = best
                if len(left) == 0:
                    return result
                rows, center, best, highest = rows[left], center[left], best[left], highest[left]
                drawn, noise = drawn[left] if len(drawn) else drawn, _of_rows(noise, left)
            if query % _DRAWN == 0:
                drawn = uniform(center, (_DRAWN, 5 + center.shape[1]), noise)
            side = self.side(query, *center.shape[2:])
            propose = self._moved_budget if l2 else self._square
            x = propose(best, center, side, drawn[:, query % _DRAWN])
            losses = evaluated(objective, x)
            better = losses > highest
            best = torch.where(as_wide(better, x), x, best)
            highest = torch.where(better, losses, highest)
        result[rows] = best
        return result

    def _stripes(self, center: torch.Tensor, noise: Noise) -> torch.Tensor:
        """Start with vertical stripes of one pixel at a corner of the ball."""
        channels, _, width = center.shape[1:]
        signs = _signs(uniform(center, (channels, 1, width), noise))
        return self.threat.project(center + self.threat.eps * signs, center)

    def _square(
        self, best: torch.Tensor, center: torch.Tensor, side: int, drawn: torch.Tensor
    ) -> torch.Tensor:
        """Put a square at a corner of the ball."""
        inside = _window(drawn[:, 0:2], side, best)
        signs = _signs(drawn[:, 5:])[:, :, None, None]
        moved = best + 2 * self.threat.eps * signs * inside
        return self.threat.project(moved, center)

    def _tiles(self, center: torch.Tensor, noise: Noise) -> torch.Tensor:
        """Start with tiles of a fifth of the image, each a pattern of either sign."""
        channels, height, width = center.shape[1:]
        side = min(height, width) // 5
        down, across = height // side, width // side
        drawn = uniform(center, (down, across, 1 + channels), noise)
        pattern = _pattern(side, center.dtype, center.device)
        delta = torch.zeros_like(center)
        # what the tiles leave is shared by both borders
        top, left = (height - down * side) // 2, (width - across * side) // 2
        for i in range(down):
            for j in range(across):
                tile = _turned(pattern, drawn[:, i, j, 0])
                tile = tile * _signs(drawn[:, i, j, 1:])[:, :, None, None]
                y, x = top + i * side, left + j * side
                delta[:, :, y : y + side, x : x + side] += tile
        return (center + self.threat.eps * _unit(delta, (1, 2, 3))).clamp(0, 1)

    def _moved_budget(
        self, best: torch.Tensor, center: torch.Tensor, side: int, drawn: torch.Tensor
    ) -> torch.Tensor:
        """Give a window the norm that another one, and the unused rest, had."""
        delta = best - center
        to = _window(drawn[:, 0:2], side, best)
        gone = _window(drawn[:, 2:4], side, best)
        used = delta.flatten(1).norm(dim=1)[:, None, None, None]
        either = (delta * torch.maximum(to, gone)).norm(dim=(2, 3), keepdim=True)
        unused = (self.threat.eps**2 - used**2).clamp(min=0) / delta.shape[1]
        pattern = _turned(_pattern(side, best.dtype, best.device), drawn[:, 4])
        pattern = pattern * _signs(drawn[:, 5:])[:, :, None, None]
        old = _unit(delta * to, (2, 3))
        fresh = _unit(_placed(pattern, drawn[:, 0:2], best) + old, (2, 3))
        fresh = fresh * (unused + either**2).sqrt()
        delta = torch.where(to > 0, fresh, torch.where(gone > 0, 0.0, delta))
        return (center + self.threat.eps * _unit(delta, (1, 2, 3))).clamp(0, 1)


def _signs(drawn: torch.Tensor) -> torch.Tensor:
    return torch.where(drawn < 0.5, -1.0, 1.0)


def _corners(drawn: torch.Tensor, side: int, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The top and left (N,) of windows, of two numbers in [0, 1) an image."""
    height, width = like.shape[2:]
    rooms = drawn.new_tensor([height - side + 1, width - side + 1])
    top, left = (drawn * rooms).long().unbind(1)
    return top, left


def _window(drawn: torch.Tensor, side: int, like: torch.Tensor) -> torch.Tensor:
    """Return masks (N, 1, H, W) that are 1 within a window, and 0 outside."""
    top, left = _corners(drawn, side, like)
    y = torch.arange(like.shape[2], device=like.device) - top[:, None]
    x = torch.arange(like.shape[3], device=like.device) - left[:, None]
    inside = ((y >= 0) & (y < side))[:, :, None] & ((x >= 0) & (x < side))[:, None, :]
    return inside[:, None].to(like.dtype)


def _placed(pattern: torch.Tensor, drawn: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Put patterns (N, C, side, side) where windows are, on zeros like the images."""
    side = pattern.shape[-1]
    top, left = _corners(drawn, side, like)
    steps = torch.arange(side, device=like.device)
    y = (top[:, None] + steps)[:, None, :, None]
    x = (left[:, None] + steps)[:, None, None, :]
    n = torch.arange(len(like), device=like.device)[:, None, None, None]
    c = torch.arange(like.shape[1], device=like.device)[None, :, None, None]
    out = torch.zeros_like(like)
    out[n, c, y, x] = pattern
    return out


@functools.lru_cache(maxsize=32)  # few sides, and thousands of queries
def _pattern(side: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Two hills side by side, the second one negative, of unit norm: (side, side)."""
    upper, lower = _hill(side // 2, side), _hill(side - side // 2, side)
    return _unit(torch.cat([upper, -lower]), (0, 1)).to(device, dtype)


def _hill(height: int, width: int) -> torch.Tensor:
    """Rectangles around a middle, each ring one pixel wider, that add up 1 / ring ** 2."""
    hill = torch.zeros(height, width)
    y, x = height // 2, width // 2
    for ring in range(max(height, width) // 2 + 1):
        rows = slice(max(y - ring, 0), y + ring + 1)
        columns = slice(max(x - ring, 0), x + ring + 1)
        hill[rows, columns] += 1 / (ring + 1) ** 2
    return _unit(hill, (0, 1))


def _turned(pattern: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Turn a pattern on its side for half of the images: (N, 1, side, side)."""
    return torch.where(drawn[:, None, None] > 0.5, pattern.T, pattern)[:, None]


def _unit(x: torch.Tensor, dims: tuple[int, ...]) -> torch.Tensor:
    return x / (torch.linalg.vector_norm(x, dim=dims, keepdim=True) + 1e-12)


def _of_rows(noise: Noise, rows: torch.Tensor) -> Noise:
    if isinstance(noise, Sequence):
        return [noise[row] for row in rows.tolist()]
    return noise
