"""Flowers-102; classes are called by their official numbers."""

from __future__ import annotations

from pathlib import Path

from robust_det.core.errors import FileError
from robust_det.data.matlab import matlab
from robust_det.data.transfer.listed import OFFICIAL, Listed
from robust_det.data.transfer.sets.layout import Layout

__all__ = ["LAYOUTS"]

_VARIABLES = {"train": "trnid", "val": "valid", "test": "tstid"}


def _read(base: Path) -> Listed:
    (labels,) = matlab(base / "imagelabels.mat", "labels")
    sets = matlab(base / "setid.mat", *_VARIABLES.values())
    splits = {}
    for split, numbers in zip(_VARIABLES, sets, strict=True):
        # MATLAB counts from 1
        if odd := [int(n) for n in numbers if not 1 <= n <= len(labels)]:
            raise FileError(
                f"has image {odd[0]}, and imagelabels.mat {len(labels)}",
                "take both from one archive",
                str(base / "setid.mat"),
            )
        splits[split] = [(f"jpg/image_{int(n):05d}.jpg", str(int(labels[n - 1]))) for n in numbers]
    classes = tuple(map(str, range(1, int(labels.max()) + 1)))
    return Listed(base, OFFICIAL, classes, splits)


LAYOUTS = (Layout(("flowers-102", "102flowers"), (("imagelabels.mat",), ("setid.mat",)), _read),)
