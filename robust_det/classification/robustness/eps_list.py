"""The radii of an evaluation, as the command line has them."""

from __future__ import annotations

from collections.abc import Sequence

from robust_det.core.config.reading import parse_number
from robust_det.core.errors import UserError

__all__ = ["check_order", "parse_eps"]


def parse_eps(words: Sequence[str]) -> tuple[float, ...]:
    """Return radii from words such as ``0.5`` and ``4/255``.

    Raises:
        UserError: one is no number, or see :func:`check_order`.
    """
    found = []
    for word in words:
        try:
            found.append(parse_number(word))
        except ValueError:
            raise UserError(f"--eps takes numbers such as 0.5 or 4/255, not '{word}'") from None
    check_order(found, words)
    return tuple(found)


def check_order(eps: Sequence[float], words: Sequence[str] = ()) -> None:
    """Refuse radii that do not rise: what falls at one counts as fallen at those after it.

    Args:
        eps: in [0, 1] pixel units.
        words: as they were written, for the message.

    Raises:
        UserError: gives the list in order.
    """
    said = list(words) or [f"{value:g}" for value in eps]
    by_value: dict[float, str] = {}
    for value, word in zip(eps, said, strict=True):
        if not 0 <= value < float("inf"):
            raise UserError(f"--eps takes numbers >= 0 in units of images in [0, 1], not {word}")
        by_value.setdefault(value, word)
    rising = [by_value[value] for value in sorted(by_value)]
    if len(rising) < len(eps):
        raise UserError(f"--eps has a value twice; give --eps {' '.join(rising)}")
    if rising != said:
        raise UserError(f"--eps has to rise; give --eps {' '.join(rising)}")
