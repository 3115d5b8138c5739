"""Stanford Cars, as it was published first and second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robust_det.core.errors import FileError
from robust_det.data.matlab import matlab
from robust_det.data.transfer.listed import OFFICIAL, Item, Listed
from robust_det.data.transfer.sets.layout import Layout, first_of

__all__ = ["LAYOUTS"]

_TRAIN, _META = "devkit/cars_train_annos.mat", "devkit/cars_meta.mat"
_NAME = "cars_test_annos_withlabels.mat"
_TEST = (_NAME, f"devkit/{_NAME}")


def _read(base: Path) -> Listed:
    (names,) = matlab(base / _META, "class_names")
    classes = tuple(map(str, names))
    test = first_of(base, *_TEST)
    assert test is not None  # the layout needs it
    splits = {
        "train": _items(base / _TRAIN, classes, "fname", "cars_train/"),
        "test": _items(test, classes, "fname", "cars_test/"),
    }
    return Listed(base, OFFICIAL, classes, splits)


def _read_together(base: Path) -> Listed:
    """Read the form of one file, in which a flag says which images are for testing."""
    path = base / "cars_annos.mat"
    names, rows = matlab(path, "class_names", "annotations")
    classes = tuple(map(str, names))
    items = _of_rows(path, rows, classes, "relative_im_path", "")
    splits: dict[str, list[Item]] = {"train": [], "test": []}
    for item, flag in zip(items, rows["test"], strict=True):
        splits["test" if int(flag) else "train"].append(item)
    return Listed(base, OFFICIAL, classes, splits)


def _items(path: Path, classes: tuple[str, ...], column: str, below: str) -> list[Item]:
    (rows,) = matlab(path, "annotations")
    return _of_rows(path, rows, classes, column, below)


def _of_rows(
    path: Path, rows: Any, classes: tuple[str, ...], column: str, below: str
) -> list[Item]:
    if lost := [name for name in (column, "class") if name not in (rows.dtype.names or ())]:
        raise FileError(f"has no field '{lost[0]}'", "take the file with labels", str(path))
    # MATLAB counts from 1
    labels = [int(label) for label in rows["class"]]
    if odd := [label for label in labels if not 1 <= label <= len(classes)]:
        raise FileError(f"has class {odd[0]}, of {len(classes)}", source=str(path))
    return [
        (f"{below}{name}", classes[label - 1])
        for name, label in zip(rows[column], labels, strict=True)
    ]


LAYOUTS = (
    Layout(("stanford_cars", "cars"), ((_TRAIN,), (_META,), _TEST), _read),
    Layout(("stanford_cars", "cars"), (("cars_annos.mat",), ("car_ims",)), _read_together),
)
