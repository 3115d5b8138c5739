"""A run's folder: whose it is, and whether a run may go on in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import config_differences
from robust_det.core.errors import UserError

__all__ = ["refuse_other_config", "refuse_other_run"]


def refuse_other_run(
    folder: Path, products: Sequence[str], resume: bool, resumed_from: Sequence[str]
) -> None:
    """Refuse a folder that holds a run which this one may not go on with.

    Args:
        folder: of the run; it need not exist.
        products: files that a run leaves.
        resume: whether a run that is there may be gone on with.
        resumed_from: those of the products that one can be gone on from.

    Raises:
        UserError: it holds a run, and ``resume`` was not asked for or is not possible.
    """
    found = [name for name in products if (folder / name).exists()]
    if not found:
        return
    resumable = [name for name in resumed_from if name in found]
    if not resumable:
        raise UserError(
            f"{folder} holds another run ({found[0]}) and no {resumed_from[0]} to resume from;"
            " choose another OUTPUT_DIR"
        )
    if not resume:
        raise UserError(
            f"{folder} holds another run; pass --resume to continue it or choose another OUTPUT_DIR"
        )


def refuse_other_config(
    old: Mapping[str, Any], new: Mapping[str, Any], free: Sequence[str], where: Path
) -> None:
    """Refuse to go on with a run whose config computes something else.

    Args:
        old, new: the run's config, and the one to go on with.
        free: keys that change where or how fast a run goes, but not what it computes.
        where: the file or folder of the run.

    Raises:
        UserError: lists the differing keys.
    """
    differing = config_differences(old, new, ignore=free)
    if differing:
        raise UserError(
            f"{where} is of a run with another config ({'; '.join(differing)});"
            " use that config or another OUTPUT_DIR"
        )
