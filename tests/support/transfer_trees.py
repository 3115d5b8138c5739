"""Miniature trees of the sets of classification transfer, as their official archives have them:
three classes (two of CIFAR), small images of random pixels, and lists."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

__all__ = ["TREES", "cifar_pickle", "folders", "picture", "trees_below"]

_numbers = itertools.count()


def picture(path: Path, mode: str = "RGB", kind: str = "") -> Path:
    """Write an image that no other one is equal to; its format is ``kind``, or by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(next(_numbers)).integers(0, 256, (10, 12, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path, kind or None)
    return path


def folders(root: Path, counts: Mapping[str, int]) -> Path:
    """Write folders of so many images each; none makes an empty folder."""
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            picture(root / folder / f"{i:02d}.png")
    return root


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _text(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def _aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b/data"
    names = ["707-320", "DC-10", "F-16A/B"]
    _text(data / "variants.txt", names)
    numbers = itertools.count(34958)
    for split in ("train", "val", "test"):
        lines = [f"{next(numbers):07d} {name}" for name in names for _ in range(2)]
        _text(data / f"images_variant_{split}.txt", lines)
        for line in lines:
            picture(data / f"images/{line.split()[0]}.jpg")


def _birdsnap(root: Path) -> None:
    species = {"1": "Acadian_Flycatcher", "2": "Blue_Jay", "3": "Sora"}
    rows = [f"{n}\tname\tlatin\t{folder}" for n, folder in species.items()]
    _text(root / "species.txt", ["id\tcommon\tscientific\tdir", *rows])
    images = [(f"{folder}/{i}.jpg", n) for n, folder in species.items() for i in range(4)]
    md5s = [_md5(picture(root / "images" / path).read_bytes()) for path, _ in images]
    rows = [
        f"http://gone/{path}\t{md5}\t{path}\t{n}\t1"
        for (path, n), md5 in zip(images, md5s, strict=True)
    ]
    _text(root / "images.txt", ["url\tmd5\tpath\tspecies_id\tbb_x1", *rows])
    _text(root / "test_images.txt", ["path", *(path for path, _ in images if "/0" in path)])


def _caltech101(root: Path) -> None:
    base = root / "caltech101/101_ObjectCategories"
    for name, count in {
        "BACKGROUND_Google": 2,
        "Faces": 33,
        "accordion": 32,
        "yin_yang": 31,
    }.items():
        for i in range(1, count + 1):
            picture(base / f"{name}/image_{i:04d}.jpg")
    (base / "BACKGROUND_Google/tmp").write_bytes(b"")


def _caltech256(root: Path) -> None:
    base = root / "256_ObjectCategories"
    for name in ("001.ak47", "198.spider", "257.clutter"):
        for i in range(1, 63):
            picture(base / f"{name}/{name[:3]}_{i:04d}.jpg")
    (base / "198.spider/RENAME2").write_text("#!/bin/sh\n")


def _cars(root: Path) -> None:
    base = root / "stanford_cars"
    names = ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "smart fortwo 2012"]
    (base / "devkit").mkdir(parents=True)
    content = np.array([*names], dtype=object)
    scipy.io.savemat(base / "devkit/cars_meta.mat", {"class_names": content})
    kinds = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]
    for split, labels in {"train": [1, 2, 3, 3], "test": [2, 1, 3]}.items():
        rows = [(1, label, f"{i:05d}.jpg") for i, label in enumerate(labels, start=1)]
        annotations = {"annotations": np.array(rows, dtype=kinds)}
        where = "devkit/cars_train_annos" if split == "train" else "cars_test_annos_withlabels"
        scipy.io.savemat(base / f"{where}.mat", annotations)
        for *_, name in rows:
            picture(base / f"cars_{split}" / name)


def cifar_pickle(entries: Mapping[str, Any]) -> bytes:
    """Pickle lists, texts and one array as Python 2 and the numpy of its day did."""

    def text(value: str | bytes) -> bytes:
        raw = value.encode() if isinstance(value, str) else value
        return b"T" + len(raw).to_bytes(4, "little") + raw

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)

    def plain(value: Any) -> bytes:
        if isinstance(value, int):
            return number(value)
        if isinstance(value, list):
            return b"](" + b"".join(map(plain, value)) + b"e"
        if isinstance(value, np.ndarray):
            return array(value)
        return text(value)

    def array(value: np.ndarray) -> bytes:
        start = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n("
        empty = start + number(0) + b"t" + text("b") + b"tR"
        kind = b"cnumpy\ndtype\n(" + text("u1") + number(0) + number(1) + b"tR("
        kind += number(3) + text("|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
        shape = b"(" + b"".join(map(number, value.shape)) + b"t"
        return empty + b"(" + number(1) + shape + kind + b"\x89" + text(value.tobytes()) + b"tb"

    body = b"".join(text(key) + plain(value) for key, value in entries.items())
    return b"\x80\x02}(" + body + b"u."


def _cifar(root: Path, official: Any, label: str) -> None:
    """Write the pickles, and make their MD5s the official ones until the test ends."""
    base = root / official.base_folder
    base.mkdir(parents=True)
    generator = np.random.default_rng(next(_numbers))

    def write(name: str, content: bytes) -> str:
        (base / name).write_bytes(content)
        return _md5(content)

    def batch(name: str) -> list[str]:
        pixels = generator.integers(0, 256, (4, 3072), np.uint8)
        return [name, write(name, cifar_pickle({"data": pixels, label: [0, 1, 1, 0]}))]

    for files in (official.train_list, official.test_list):
        files[:] = [batch(name) for name, _ in files]
    meta = official.meta
    meta["md5"] = write(meta["filename"], cifar_pickle({meta["key"]: ["zebra", "ant"]}))


def _cifar10(root: Path) -> None:
    _cifar(root, CIFAR10, "labels")


def _cifar100(root: Path) -> None:
    _cifar(root, CIFAR100, "fine_labels")


def _dtd(root: Path) -> None:
    base = root / "dtd"
    for number, split in enumerate(("train", "val", "test")):
        names = [
            f"{name}/{name}_{number}{i}.jpg"
            for name in ("banded", "dotted", "zigzagged")
            for i in "12"
        ]
        _text(base / f"labels/{split}1.txt", names)
        for name in names:
            picture(base / "images" / name)


def _flowers(root: Path) -> None:
    labels = [3, 1, 2, 2, 1, 3, 1, 2, 3, 3]
    for i in range(1, 11):
        picture(root / f"jpg/image_{i:05d}.jpg")
    scipy.io.savemat(root / "imagelabels.mat", {"labels": np.array([labels])})
    ids = {"trnid": [[1, 2, 3]], "valid": [[4, 5, 6]], "tstid": [[7, 8, 9, 10]]}
    scipy.io.savemat(root / "setid.mat", {key: np.array(value) for key, value in ids.items()})


def _food(root: Path) -> None:
    base = root / "food-101"
    (base / "meta").mkdir(parents=True)
    for split, numbers in {"train": "123", "test": "4"}.items():
        names = ("waffles", "apple_pie", "tacos")
        images = {name: [f"{name}/{number}" for number in numbers] for name in names}
        (base / f"meta/{split}.json").write_text(json.dumps(images))
        for each in itertools.chain(*images.values()):
            picture(base / f"images/{each}.jpg")


def _pets(root: Path) -> None:
    base = root / "oxford-iiit-pet"
    breeds = {"Abyssinian": 1, "american_bulldog": 2, "Bengal": 3}
    for split, numbers in {"trainval": "12", "test": "3"}.items():
        lines = [f"{breed}_{i} {n} 1 1" for breed, n in breeds.items() for i in numbers]
        _text(base / f"annotations/{split}.txt", lines)
        for line in lines:
            picture(base / f"images/{line.split()[0]}.jpg")


def _sun397(root: Path) -> None:
    base = root / "SUN397"
    names = ["/a/abbey", "/a/apartment_building/outdoor", "/z/zoo"]
    _text(base / "ClassName.txt", names)
    for split, numbers in {"Training": "ab", "Testing": "c"}.items():
        lines = [f"{name}/sun_{i}.jpg" for name in names for i in numbers]
        _text(base / f"Partitions/{split}_01.txt", lines)
        for line in lines:
            picture(base / line[1:])
    picture(base / "a/abbey/sun_z.jpg")  # in no list of the first partition


TREES: Mapping[str, Callable[[Path], None]] = {
    "aircraft": _aircraft,
    "birdsnap": _birdsnap,
    "caltech101": _caltech101,
    "caltech256": _caltech256,
    "cars": _cars,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "dtd": _dtd,
    "flowers": _flowers,
    "food": _food,
    "pets": _pets,
    "sun397": _sun397,
}


@contextlib.contextmanager
def trees_below(folder: Path) -> Iterator[Callable[[str], Path]]:
    """Yield a function that writes the official layout of a set, and returns its folder."""
    kept = [
        (official, key, copy.deepcopy(getattr(official, key)))
        for official in (CIFAR10, CIFAR100)
        for key in ("train_list", "test_list", "meta")
    ]

    def make(name: str) -> Path:
        root = folder / name
        root.mkdir()
        TREES[name](root)
        return root

    try:
        yield make
    finally:  # a tree of CIFAR has put its own MD5s into them
        for official, key, value in kept:
            setattr(official, key, value)
