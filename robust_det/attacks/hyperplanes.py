"""The nearest point of a hyperplane within the box of images (section 2 of FAB, see ``fab.py``)."""

from __future__ import annotations

import torch

__all__ = ["to_hyperplane"]


def to_hyperplane(
    x: torch.Tensor, weight: torch.Tensor, value: torch.Tensor, norm: str
) -> torch.Tensor:
    """Return the shortest moves of points of the box [0, 1] onto hyperplanes.

    Args:
        x: (N, D) in [0, 1].
        weight: (N, D) normals of the hyperplanes.
        value: (N,) of ``weight · z + constant`` at ``x``; the hyperplane is where it is 0.
        norm: ``"l2"`` or ``"linf"``, by which a move is short.

    Returns:
        (N, D) what to add to ``x``. Where the box does not reach the hyperplane, the move to the
        corner that is nearest to it.
    """
    # a move gains |weight| in each coordinate, up to the wall that it is directed to
    toward = -value.sign()[:, None] * weight.sign()
    slope = weight.abs()
    room = torch.where(toward > 0, 1 - x, x)
    # every coordinate moves by min(length * pace, room), and one length gains what is needed
    pace = slope if norm == "l2" else torch.ones_like(slope)
    ends, order = (room / pace).nan_to_num(nan=0.0, posinf=torch.inf).sort(dim=1)
    stopped = (slope * room).gather(1, order).cumsum(1)
    speed = (slope * pace).gather(1, order)
    # of those that have not met their wall at an end: summed from behind, or rounding adds up
    moving = speed.flip(1).cumsum(1).flip(1)
    later = torch.cat([moving[:, 1:], torch.zeros_like(moving[:, :1])], 1)
    gained = stopped + torch.where(later > 0, ends * later, 0.0)
    needed = value.abs()[:, None]
    at = torch.searchsorted(gained.contiguous(), needed).clamp(max=x.shape[1] - 1)
    before = torch.cat([torch.zeros_like(stopped[:, :1]), stopped[:, :-1]], 1).gather(1, at)
    length = ((needed - before) / moving.gather(1, at).clamp(min=1e-30)).clamp(min=0)
    reached = gained[:, -1:] >= needed
    move = torch.where(reached, torch.minimum(length * pace, room), room)
    return toward * move
