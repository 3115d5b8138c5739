"""Names of stages and pyramid levels, as they are asked for."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from robust_det.core.errors import UserError, did_you_mean

__all__ = ["require_layers"]

_NUMBERED = re.compile(r"([a-z]+)(\d{1,9})")


def require_layers(wanted: Sequence[str], known: Collection[str], network: str) -> None:
    """Refuse layers that a network does not have.

    Args:
        wanted: names.
        known: those that it has.
        network: its name.

    Raises:
        UserError: names the first that is not there, and the nearest that is.
    """
    for name in wanted:
        if name not in known:
            hint = _nearest(name, known)
            raise UserError(f"{network} has no layer '{name}'{hint} (it has {', '.join(known)})")


def _nearest(name: str, known: Collection[str]) -> str:
    """Return ``"; did you mean 'p6'?"``: of the same letters, that of the nearest number."""
    asked = _NUMBERED.fullmatch(name)
    if asked is not None:
        parts = [found for each in known if (found := _NUMBERED.fullmatch(each))]
        same = {abs(int(p[2]) - int(asked[2])): p[0] for p in parts if p[1] == asked[1]}
        if same:
            return f"; did you mean '{same[min(same)]}'?"
    return did_you_mean(name, known)
