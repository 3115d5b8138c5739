"""Accuracies of classes as a file, and the worst of them in a line."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from robust_det.classification.per_class.tally import ClassTally
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import one_line

__all__ = ["CLASSES_NAME", "ClassRow", "ClassTable", "table_of"]

CLASSES_NAME = "classes.csv"
_WORST = 5  # classes that a line names
_LONGEST = 40  # characters of a name there


@dataclass(frozen=True)
class ClassRow:
    """What became of the images of a class.

    Attributes:
        name: of the class.
        images, correct: how many there are, and are classified right as they are.
        attacked: how many were attacked.
        standing: how many of these were right under attack, at each eps.
    """

    name: str
    images: int
    correct: int
    attacked: int = 0
    standing: tuple[int, ...] = ()

    def accuracies(self) -> tuple[float | None, ...]:
        """Return the clean accuracy and that at each eps, in percent; None of no image."""
        clean = 100 * self.correct / self.images if self.images else None
        robust = (100 * n / self.attacked if self.attacked else None for n in self.standing)
        return clean, *robust


@dataclass(frozen=True)
class ClassTable:
    """Classes in their order.

    Attributes:
        rows: of the classes that occur.
        norm, eps: of the attacks; none if there was no attack.
    """

    rows: Sequence[ClassRow]
    norm: str = ""
    eps: Sequence[float] = ()

    @property
    def balanced(self) -> bool:
        """Whether all classes have as many images: then their mean is the accuracy."""
        return len({row.images for row in self.rows}) <= 1

    def means(self) -> list[float]:
        """Return the mean over classes of the clean accuracy, and of that at each eps."""
        columns = zip(*(row.accuracies() for row in self.rows), strict=True)
        return [statistics.fmean(v for v in column if v is not None) for column in columns]

    def csv(self) -> bytes:
        """Return a line a class: ``class``, ``images``, ``clean_top1``, ``attacked``, and the
        accuracy at each eps as ``l2_0.5``; in percent, empty where no image was attacked."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        attacked = ["attacked"] if self.eps else []
        columns = [f"{self.norm}_{value!r}" for value in self.eps]
        writer.writerow(["class", "images", "clean_top1", *attacked, *columns])
        for row in self.rows:
            clean, *robust = ("" if v is None else round(v, 4) for v in row.accuracies())
            number = [row.attacked] if self.eps else []
            writer.writerow([row.name, row.images, clean, *number, *robust])
        return out.getvalue().encode(errors="surrogateescape")

    def worst(self) -> str:
        """Return the classes of the lowest accuracy in a line, by that at the smallest eps where
        there was an attack; empty if there are not two classes."""
        place = 1 if self.eps else 0
        known = [(row.accuracies(), row) for row in self.rows]
        found = [(values[place], values[0] or 0.0, row) for values, row in known]
        able = sorted(
            ((robust, clean, row) for robust, clean, row in found if robust is not None),
            key=lambda each: each[:2],
        )
        if len(able) < 2:
            return ""
        shown = able[: min(_WORST, len(able) // 2)]
        beside = f"{eps_label(self.norm, self.eps[0])}, and clean" if self.eps else "clean"
        named = ", ".join(
            f"{_short(row.name)} {robust:.1f}" + (f" and {clean:.1f}" if self.eps else "")
            for robust, clean, row in shown
        )
        lowest = shown[0][0]
        equal = sum(robust == lowest for robust, _, _ in able)
        more = f"; {equal} classes are at {lowest:.1f}" if equal > len(shown) else ""
        return f"worst of {len(able)} classes ({beside}, in %): {named}{more}"


def _short(name: str) -> str:
    name = one_line(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def table_of(tally: ClassTally, names: Sequence[str], norm: str, eps: float) -> ClassTable:
    """Return the table of a validation.

    Args:
        tally: of all processes.
        names: of the classes.
        norm, eps: of the attack; eps 0 is none.
    """
    counts: list[list[int]] = torch.cat([tally.clean, tally.attacked]).T.long().tolist()
    rows = [
        ClassRow(name, images, correct, attacked, (standing,) if eps > 0 else ())
        for name, (images, correct, attacked, standing) in zip(names, counts, strict=True)
        if images
    ]
    return ClassTable(rows, norm, (eps,) if eps > 0 else ())
