"""What became of each image, as it is kept and as it is handed on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from robust_det.classification.examples.example import STANDING, WRONG

__all__ = ["STANDING", "WRONG", "Fate", "fates_csv", "fell_at", "from_plain", "name_of"]


@dataclass(frozen=True)
class Fate:
    """What became of an image.

    Attributes:
        image: its path below the folder of the images.
        prediction: the class it is given as it is.
        top5: whether its own class is among the first five; None below five classes.
        fell: at each eps, ``wrong``, ``standing``, or the name of the attack that felled it, with
            ``@`` and the eps where that was a smaller one.
    """

    image: str
    prediction: int
    top5: bool | None
    fell: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**asdict(self), "fell": list(self.fell)}


def from_plain(values: Mapping[str, Any]) -> Fate:
    """Return what :meth:`Fate.plain` was of.

    Raises:
        KeyError: a field is missing.
    """
    found = {field.name: values[field.name] for field in fields(Fate)}
    return Fate(**{**found, "fell": tuple(found["fell"])})


def fell_at(attack: str, eps: float) -> str:
    """Return what is said at larger eps of an image that an attack felled at this one."""
    return f"{attack}@{eps!r}"


def name_of(image: bytes) -> str:
    """Return the path of an image as text, whatever its bytes are."""
    return image.decode(errors="surrogateescape")


def fates_csv(rows: Iterable[tuple[str, int, Fate]], norm: str, eps: Sequence[float]) -> bytes:
    """Return a table of images, a line each.

    Args:
        rows: the name and number of the class, and what became of the image.
        norm, eps: of the attacks.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [f"{norm}_{value!r}" for value in eps]
    writer.writerow(["image", "class", "target", "prediction", "top5", *columns])
    for name, target, fate in rows:
        top5 = "" if fate.top5 is None else int(fate.top5)
        writer.writerow([fate.image, name, target, fate.prediction, top5, *fate.fell])
    return out.getvalue().encode(errors="surrogateescape")
