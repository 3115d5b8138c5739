"""A few images in the tar files of ImageNet, under their official names."""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import imagenet

WNIDS = ("n01440764", "n01443537", "n02105855")
NUMBERS = {1: "n02105855", 2: "n01440764", 3: "n01443537"}  # no order of the WordNet ids
TRUTH = (2, 3, 1, 1, 2, 3, 1)  # of the validation images
TRAIN, VAL = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
_LISTS = "ILSVRC2012_devkit_t12/data/"
_FIELDS = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children")


def tar_of(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    """Return a tar with these files, in this order."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def image(seed: int, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    """Return a noisy image of 40 to 49 pixels."""
    numbers = np.random.default_rng(seed)
    height, width = numbers.integers(40, 50, 2)
    pixels = numbers.integers(0, 256, (height, width, 4 if mode == "CMYK" else 3), np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels, mode=None if mode == "RGB" else mode).save(content, kind)
    return content.getvalue()


def train_files() -> dict[str, bytes]:
    """Return the tars of the classes, in no order, as the images in them are. As in ImageNet, one
    image is a PNG by its content, and one has four colours."""
    classes = {}
    for number, wnid in enumerate((WNIDS[2], WNIDS[0], WNIDS[1])):
        files = {f"{wnid}_{i}.JPEG": image(10 * number + i) for i in (10, 2, 0, 33, 1)}
        classes[wnid] = files
    classes[WNIDS[1]][f"{WNIDS[1]}_2.JPEG"] = image(7, kind="PNG")
    classes[WNIDS[1]][f"{WNIDS[1]}_10.JPEG"] = image(8, "CMYK")
    return {f"{wnid}.tar": tar_of(files) for wnid, files in classes.items()}


def devkit(truth: Sequence[object] = TRUTH, numbers: Mapping[int, str] | None = None) -> bytes:
    """Return the development kit: the synsets, of which the last is no class, and the list."""
    rows = np.empty((len(NUMBERS) + 1, 1), [(field, object) for field in _FIELDS])
    for row, (number, wnid) in enumerate((numbers or NUMBERS).items()):
        rows[row, 0] = (float(number), wnid, f"a {wnid}, b", "such", 0.0, np.zeros(0))
    rows[-1, 0] = (4.0, "n00001740", "entity", "all", 3.0, np.arange(3.0))
    synsets = io.BytesIO()
    savemat(synsets, {"synsets": rows})
    listed = "".join(f"{number}\n" for number in truth).encode()
    return tar_of(
        {
            f"{_LISTS}meta.mat": synsets.getvalue(),
            f"{_LISTS}ILSVRC2012_validation_ground_truth.txt": listed,
        },
        "w:gz",
    )


def val_files() -> dict[str, bytes]:
    """Return the validation images, in no order."""
    names = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, len(TRUTH) + 1)]
    return {name: image(50 + i) for i, name in reversed([*enumerate(names)])}


def write_imagenet(root: Path) -> Path:
    """Write the three files, of 15 training and 7 validation images."""
    root.mkdir()
    (root / TRAIN).write_bytes(tar_of(train_files()))
    (root / VAL).write_bytes(tar_of(val_files()))
    (root / DEVKIT).write_bytes(devkit())
    return root


def unpacked_by_torchvision(root: Path, to: Path) -> dict[str, Any]:
    """Let torchvision unpack the files; return its data sets by split."""
    meta = {key: name for key, (name, _) in imagenet.ARCHIVE_META.items()}
    to.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for key, name in meta.items():
            shutil.copy(root / name, to)
            md5 = hashlib.md5((root / name).read_bytes()).hexdigest()
            patch.setitem(imagenet.ARCHIVE_META, key, (name, md5))
        found = {split: imagenet.ImageNet(to, split) for split in ("train", "val")}
    for name in meta.values():
        (to / name).unlink()
    return found
