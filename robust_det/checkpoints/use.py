"""Which of a file's tensors were used, and which nobody asked for."""

from __future__ import annotations

from dataclasses import dataclass

from robust_det.core.errors import one_line

__all__ = ["LeftOut", "Use"]

_SHOWN = 4


@dataclass(frozen=True)
class LeftOut:
    """Tensors beside the network that was read.

    Attributes:
        place: what their names begin with, below their dictionary.
        share: of the file's parameters.
    """

    place: str
    share: float


@dataclass(frozen=True)
class Use:
    """The place that a network was read from.

    Attributes:
        place: its dictionary and the beginning of its tensors' names, as ``--prefix`` takes it;
            empty for the whole of a file.
        share: of the file's parameters, without the optimiser's state and copies of the network.
        left_out: the others, the largest first.
    """

    place: str = ""
    share: float = 1.0
    left_out: tuple[LeftOut, ...] = ()

    def printable(self) -> Use:
        """Return it with names that are no commands to a terminal."""
        parts = tuple(LeftOut(one_line(part.place), part.share) for part in self.left_out)
        return Use(one_line(self.place), self.share, parts)

    @property
    def summary(self) -> str:
        """The place and its share, in words."""
        where = f"at '{self.place}'" if self.place else "at the top of the file"
        whole = "all" if not self.left_out else shown_share(self.share)
        return f"{where}, {whole} of its parameters"

    @property
    def remainder(self) -> str:
        """What was left out, in words; empty if there is nothing."""
        if not self.left_out:
            return ""
        some = [f"'{part.place}' ({shown_share(part.share)})" for part in self.left_out[:_SHOWN]]
        if more := self.left_out[_SHOWN:]:
            some.append(f"{len(more)} more ({shown_share(sum(part.share for part in more))})")
        return f"of the file's parameters were left out: {', '.join(some)}"


def shown_share(share: float) -> str:
    """Return a share of all as percents, never rounded to nothing or to all."""
    if share < 0.001:
        return "under 0.1%"
    return f"{min(100 * share, 99.9):.3g}%"
