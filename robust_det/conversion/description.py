"""What the user says of a file, beside what the file says of itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from robust_det.attacks import NORMS
from robust_det.attacks.units import check_radius, radius_doubt
from robust_det.checkpoints.model import Model
from robust_det.core.errors import FileError, UserError

__all__ = ["described"]


def described(
    model: Model,
    norm: str | None,
    eps: float | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Model:
    """Add what the user says to what the file says.

    Args:
        model: that was read.
        norm, eps, mean, std: see :func:`robust_det.conversion.convert.convert`.

    Raises:
        FileError: the file says something else.
        UserError: the user says something that cannot be, or half of it.
    """
    norm = norm.lower() if norm else None
    if norm is not None and norm not in NORMS:
        raise UserError(f"unknown norm '{norm}'; use {' or '.join(NORMS)}")
    if eps is not None and not 0 <= eps < math.inf:
        raise UserError(f"eps is {eps}, not a number from 0 up")
    if eps is not None:
        check_radius(norm or model.norm, eps, model.image_size)
    if (mean is None) != (std is None):
        raise UserError("give --mean and --std together, three numbers each, RGB in [0, 1]")
    if model.eps is not None:
        for what, given, known in (("norm", norm, model.norm), ("eps", eps, model.eps)):
            if given is not None and given != known:
                known = "no norm" if known == "" else f"{what} {known}"
                raise FileError(f"has {known}, not {given}", f"leave --{what} out")
    else:
        if eps and not norm:
            raise UserError(f"--eps {eps:g} needs --norm, {' or '.join(NORMS)}")
        if norm and eps is None:
            raise UserError(f"--norm {norm} needs --eps, in [0, 1] pixel units such as 4/255")
        model = replace(model, norm=norm or "", eps=eps)
        if note := radius_doubt(model.norm, eps):
            model = replace(model, notes=(*model.notes, note))
    if mean is None or std is None:
        return model
    if (len(mean), len(std)) != (3, 3) or not all(
        0 <= m <= 1 and 0 < s <= 1 for m, s in zip(mean, std, strict=True)
    ):
        raise UserError(
            "--mean and --std need three numbers each, RGB in [0, 1], std above 0; divide those of"
            " images in [0, 255] by 255"
        )
    if not model.assumed and any(
        abs(a - b) > 1e-6 for a, b in zip((*model.mean, *model.std), (*mean, *std), strict=True)
    ):
        raise FileError(
            f"has mean {_numbers(model.mean)} and std {_numbers(model.std)}",
            "leave --mean and --std out",
        )
    notes = tuple(note for note in model.notes if note != model.assumed)
    return replace(model, mean=tuple(mean), std=tuple(std), notes=notes, assumed="")


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in values)
