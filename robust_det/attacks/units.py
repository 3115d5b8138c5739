"""Whether radii and steps are in the units that they have to be in: those of images in [0, 1].

The mistake is always the same one: 8 where 8/255 is meant. It trains, on noise or on nothing.
"""

from __future__ import annotations

import math

from robust_det.core.errors import UserError

__all__ = ["check_radius", "check_step", "radius_doubt", "step_doubt"]

# twice the largest of the published models
_LARGE_L2 = 10.0
_ROUNDING = 1 + 1e-6


def check_radius(norm: str, eps: float, side: int | None = None, name: str = "eps") -> None:
    """Refuse a radius that leaves nothing of the image.

    Args:
        norm, eps: of the threat model.
        side: of the square images in pixels, if it is known.
        name: what the message calls eps.

    Raises:
        UserError: says which value was probably meant.
    """
    if norm == "linf" and eps >= 1:
        raise UserError(f"{name} {eps:g} is more than all of [0, 1]", _in_pixels(eps, name))
    furthest = math.sqrt(3) * side if side else math.inf
    if norm == "l2" and eps >= furthest:
        raise UserError(
            f"{name} {eps:g} is more than the L2 distance of black and white images of {side} px,"
            f" {furthest:.4g} in [0, 1] pixel units",
            _in_pixels(eps, name),
        )


def check_step(eps: float, step_size: float, name: str = "step_size", radius: str = "eps") -> None:
    """Refuse a step that leaps over the ball.

    Args:
        eps, step_size: of the attack; of eps 0 no step is looked at.
        name, radius: what the message calls them.

    Raises:
        UserError: says which value was probably meant.
    """
    if eps > 0 and step_size > 2 * eps * _ROUNDING:
        meant = _in_pixels(step_size, name) if 0.1 <= step_size <= 2 * eps * 255 else ""
        raise UserError(
            f"{name} {step_size:g} is more than the diameter of the ball, 2 * {radius} ="
            f" {2 * eps:.4g}",
            meant or f"give one from {radius} / steps to {radius}",
        )


def radius_doubt(norm: str, eps: float | None, name: str = "eps") -> str:
    """Return what speaks against the unit of a radius that may be right; empty if nothing does."""
    if norm == "l2" and eps and eps > _LARGE_L2:
        return f"an L2 {name} of {eps:g} is more than published models have; its unit is [0, 1]"
    return ""


def step_doubt(eps: float, step_size: float, steps: int, name: str = "PGD") -> str:
    """Say so if an attack cannot reach the surface of its ball from the image; else empty."""
    if step_size * steps * _ROUNDING >= eps:
        return ""
    return (
        f"{name}: {steps} steps of {step_size:.4g} are {steps * step_size:.4g} in all, less than"
        f" eps {eps:.4g}: it does not reach the surface of its ball from the image, and is weaker"
        " than its eps says"
    )


def _in_pixels(value: float, name: str) -> str:
    """Return the value that was meant, if it is one of pixels up to 255."""
    if value > 255:
        return f"{name} is in units of images in [0, 1]"
    return f"for pixels up to 255 divide by 255: {name} {value:g}/255 was probably meant"
