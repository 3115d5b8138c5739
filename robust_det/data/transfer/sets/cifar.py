"""CIFAR-10 and CIFAR-100: the official pickles, which hold 10,000 images or more each.

A file is unpickled after its MD5 was found to be the official one, by a reader that knows numpy's
arrays and nothing else. An image is called by its file and its place in it: ``data_batch_1#123``.
"""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision.datasets import CIFAR10, CIFAR100

from robust_det.core.errors import FileError, naming
from robust_det.core.files import require_regular
from robust_det.data.transfer.listed import OFFICIAL, Listed
from robust_det.data.transfer.sets.layout import Layout

__all__ = ["LAYOUTS_10", "LAYOUTS_100", "is_packed", "packed_pixels"]

_SIDE = 32
_PACKED = re.compile(r"(?:data_batch_[1-5]|test_batch|train|test)#\d+")
# what pickled arrays name; the module was moved since
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.zeros(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _Arrays(pickle.Unpickler):
    """Reads dictionaries, lists, texts and arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FileError(f"names {module}.{name}, which no such file does", "do not use it")
        return _ALLOWED[module, name]


def is_packed(path: str) -> bool:
    """Return whether a path is that of an image in one of these files."""
    return _PACKED.fullmatch(path) is not None


def packed_pixels(base: Path, path: str) -> NDArray[np.uint8]:
    """Return an image of (32, 32, 3) RGB.

    Raises:
        FileError: its file is not the official one, or has fewer images.
    """
    name, _, place = path.partition("#")
    content = _content(base / name, _md5_of(name))
    if int(place) >= len(content[0]):
        raise FileError(f"has {len(content[0])} images, and none {place}", source=str(base / name))
    return content[0][int(place)]


def _md5_of(name: str) -> str:
    files = (*CIFAR10.train_list, *CIFAR10.test_list, *CIFAR100.train_list, *CIFAR100.test_list)
    return dict(map(tuple, files))[name]


def _official(path: Path, md5: str) -> dict[str, Any]:
    require_regular(path)
    content = path.read_bytes()
    with naming(path):
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            raise FileError(
                "is not the official file by its MD5, and is not unpickled",
                "take it from the official archive",
            )
        found = _Arrays(io.BytesIO(content), encoding="latin1").load()
        if not isinstance(found, dict):
            raise FileError("holds no dictionary")
    return found


@functools.lru_cache(maxsize=8)
def _content(path: Path, md5: str) -> tuple[NDArray[np.uint8], list[int]]:
    found = _official(path, md5)
    pixels = np.asarray(found["data"], dtype=np.uint8).reshape(-1, 3, _SIDE, _SIDE)
    labels = found["labels"] if "labels" in found else found["fine_labels"]
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels


def _read(base: Path, official: type[CIFAR10]) -> Listed:
    meta = official.meta
    classes = tuple(_official(base / meta["filename"], meta["md5"])[meta["key"]])
    splits = {
        "train": _items(base, official.train_list, classes),
        "test": _items(base, official.test_list, classes),
    }
    return Listed(base, OFFICIAL, classes, splits)


def _items(
    base: Path, files: Sequence[Sequence[str]], classes: tuple[str, ...]
) -> list[tuple[str, str]]:
    return [
        (f"{name}#{place}", classes[label])
        for name, md5 in files
        for place, label in enumerate(_content(base / name, md5)[1])
    ]


def _layout(official: type[CIFAR10]) -> tuple[Layout, ...]:
    files = [name for name, _ in (*official.train_list, *official.test_list)]
    needs = tuple((name,) for name in (*files, official.meta["filename"]))
    return (Layout((official.base_folder,), needs, functools.partial(_read, official=official)),)


LAYOUTS_10, LAYOUTS_100 = _layout(CIFAR10), _layout(CIFAR100)
