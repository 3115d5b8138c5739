"""ImageNet's tar files give what they give when torchvision has unpacked them."""

from __future__ import annotations

import gzip
import logging
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.datasets.imagenet import load_meta_file

from robust_det.core.errors import UserError
from robust_det.data.classification.crops import Transform, eval_transform, train_transform
from robust_det.data.classification.identity import contents_of, in_both, names_digest
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import collate
from robust_det.data.classification.imagenet import index_cache
from robust_det.data.classification.imagenet.devkit import validation_classes
from robust_det.data.classification.sampling import TrainBatches
from tests.support.imagenet_tars import (
    DEVKIT,
    TRAIN,
    VAL,
    WNIDS,
    devkit,
    image,
    tar_of,
    train_files,
    unpacked_by_torchvision,
    val_files,
    write_imagenet,
)

FAST = train_transform(32, (0.3, 1.0), True, 0.2, exact=False)
EXACT = train_transform(32, (0.3, 1.0), True, 0.2, exact=True)
WHOLE = eval_transform(36, 32)


@pytest.fixture(scope="module")
def tars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official files; not to be changed."""
    return write_imagenet(tmp_path_factory.mktemp("tars") / "imagenet")


@pytest.fixture(scope="module")
def folders(tars: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The same, unpacked, and torchvision's data sets of it."""
    to = tmp_path_factory.mktemp("folders") / "imagenet"
    return to, unpacked_by_torchvision(tars, to)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Files of one's own, to damage."""
    return write_imagenet(tmp_path / "imagenet")


def test_the_lists_are_torchvisions(tars: Path, folders: Any) -> None:
    root, theirs = folders
    for split, count in (("train", 15), ("val", 7)):
        data = ImageFolder(tars, split, WHOLE)
        assert data.classes == theirs[split].wnids == list(WNIDS)
        expected = [(os.path.relpath(path, root / split), i) for path, i in theirs[split].imgs]
        assert len(expected) == count
        names = [name.decode() for name in data.names]
        assert list(zip(names, data.targets.tolist(), strict=True)) == expected
        assert data.path(0) == str(tars / (TRAIN, VAL)[split == "val"] / expected[0][0])
    assert validation_classes(tars / DEVKIT) == load_meta_file(root)[1]


@pytest.mark.parametrize("transform", [FAST, EXACT], ids=["fast", "exact"])
def test_batches_are_those_of_the_folders(tars: Path, folders: Any, transform: Transform) -> None:
    """From two workers, which share the open tar, and in this process."""

    def batches(root: Path, workers: int) -> list[tuple[torch.Tensor, ...]]:
        data = ImageFolder(root, "train", transform, seed=3)
        order = TrainBatches(len(data), 5, 2, seed=3)
        loader = DataLoader(data, batch_sampler=order, num_workers=workers, collate_fn=collate)
        return [(b.images, b.targets, b.indices) for b in loader]

    ours, theirs = batches(tars, 2), batches(folders[0], 0)
    assert len(ours) == len(theirs) == 6
    assert ours[0][0].shape == (5, 3, 32, 32)
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_checkpoint_cannot_tell_them_apart(tars: Path, folders: Any) -> None:
    for split in ("train", "val"):
        ours, theirs = (ImageFolder(root, split, WHOLE) for root in (tars, folders[0]))
        assert names_digest(ours) == names_digest(theirs)
        assert contents_of(ours).packed() == contents_of(theirs).packed()
        assert len(in_both(ours, theirs)) == len(theirs)
        for i in range(len(ours)):
            a, b = ours[0, i], theirs[0, i]
            assert torch.equal(a[0], b[0]) and a[1:] == b[1:]  # type: ignore[union-attr, index]


def test_a_spawned_worker_opens_its_own(mine: Path) -> None:
    data = ImageFolder(mine, "train", WHOLE)
    content = pickle.dumps(data)
    copy = pickle.loads(content)
    assert torch.equal(copy[0, 4][0], data[0, 4][0])  # type: ignore[union-attr]
    (mine / TRAIN).write_bytes((mine / TRAIN).read_bytes() + bytes(512))
    with pytest.raises(OSError, match="was changed while it is in use"):
        pickle.loads(content)


def test_a_tar_is_listed_once_until_it_changes(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    index_tar = index_cache.index_tar

    def counting(path: Path, *more: Any) -> Any:
        listed.append(path)
        return index_tar(path, *more)

    monkeypatch.setattr(index_cache, "index_tar", counting)
    first = ImageFolder(mine, "train", WHOLE)
    again = ImageFolder(mine, "train", WHOLE)
    assert len(listed) == 1 and again.names.tolist() == first.names.tolist()
    assert torch.equal(again[0, 3][0], first[0, 3][0])  # type: ignore[union-attr]
    files = train_files()
    files["n03000001.tar"] = tar_of({"n03000001_1.JPEG": image(1)})
    (mine / TRAIN).write_bytes(tar_of(files))
    assert len(ImageFolder(mine, "train", WHOLE)) == 16 and len(listed) == 2
    (kept,) = (Path(os.environ["ROBUST_DET_CACHE"]) / "tars").glob(f"{TRAIN[:-4]}-*.npz")
    kept.write_bytes(kept.read_bytes()[:100])
    assert len(ImageFolder(mine, "train", WHOLE)) == 16 and len(listed) == 3


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))


def test_without_a_cache_it_is_said(
    mine: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert len(ImageFolder(mine, "train", WHOLE)) == 15
    (line,) = caplog.messages
    assert re.match(r"cannot write .*; until then .*train\.tar is listed anew each time", line)


def test_what_is_odd_is_noted(mine: Path, folders: Any) -> None:
    official = "15 images of 3 classes; the official one has 1,281,167 of 1,000"
    files = train_files()
    files[f"{WNIDS[0]}.tar"] = tar_of({"a_1.JPEG": image(1), "._a.JPEG": b"", "LICENSE.txt": b"x"})
    assert official in ImageFolder(mine, "train", WHOLE).notes[0]
    (mine / TRAIN).write_bytes(tar_of(files))
    data = ImageFolder(mine, "train", WHOLE)
    assert len(data) == 11 and data.notes[0].endswith("as images were left out: 1 .txt")
    (mine / "train").symlink_to(folders[0] / "train")
    data = ImageFolder(mine, "train", WHOLE)
    assert len(data) == 15
    assert data.notes == (
        f"{mine} has train/ and {TRAIN}: the folder is read, and the tar file is not",
    )


def cut(count: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:count]


def broken_inside(content: bytes) -> bytes:
    files = train_files()
    name, first = next(iter(files.items()))
    return tar_of({**files, name: first[:-10240]})


def damaged(content: bytes) -> bytes:
    second = content.index(f"{WNIDS[0]}.tar".encode())
    return content[:second] + b"#" * 512 + content[second + 512 :]


def packed_inside(content: bytes) -> bytes:
    return tar_of({name: gzip.compress(data) for name, data in train_files().items()})


NUMBERED = "ILSVRC2012_val_{:08d}.JPEG"
REFUSED = {
    "cut": (TRAIN, cut(30_000), r"train\.tar is no whole tar file: it ends too early"),
    "cut in a header": (TRAIN, cut(700), r"train\.tar is no whole tar file"),
    "a part cut off": (TRAIN, broken_inside, r"n02105855\.tar in it is "),
    "without its end": (VAL, lambda c: c.rstrip(b"\0"), "is no whole tar file"),
    "damaged": (TRAIN, damaged, r"train\.tar is damaged at byte [\d,]+; copy or download"),
    "compressed": (TRAIN, gzip.compress, r"train\.tar is compressed \(gzip\); images are read"),
    "compressed parts": (TRAIN, packed_inside, r"holds n02105855\.tar, which is compressed"),
    "a page": (TRAIN, lambda _: b"<html>" * 200, r"train\.tar is no whole tar file"),
    "empty": (TRAIN, lambda _: b"", r"train\.tar is no whole tar file: empty file"),
    "no images": (TRAIN, lambda _: tar_of({"a.tgz": b"x"}), r"holds no images \(1 \.tgz are"),
    "no class": (TRAIN, lambda _: tar_of({"a.JPEG": b"x"}), r"has a\.JPEG, which is of no class"),
    "too many": (
        VAL,
        lambda _: tar_of({**val_files(), NUMBERED.format(8): b"x"}),
        rf"has ILSVRC2012_val_00000008\.JPEG, and {DEVKIT} knows the classes of 7 images",
    ),
    "no number": (VAL, lambda _: tar_of({"a.JPEG": b"x"}), r"has a\.JPEG, and its images are"),
    "class out of range": (
        DEVKIT,
        lambda _: devkit((1, 2, 4)),
        r"says in line 3 of data/.*truth\.txt that an image is of class 4, and its 3 classes are 1",
    ),
    "no class number": (DEVKIT, lambda _: devkit((1, "b")), "line 2 .* is of class b"),
    "a devkit cut off": (DEVKIT, cut(200), r"t12\.tar\.gz is damaged"),
    "another devkit": (DEVKIT, lambda _: tar_of({"a": b""}), r"has no data/meta\.mat"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_is_refused(mine: Path, case: str) -> None:
    name, change, message = REFUSED[case]
    (mine / name).write_bytes(change((mine / name).read_bytes()))
    with pytest.raises(UserError, match=message) as error:
        ImageFolder(mine, "train" if name == TRAIN else "val", WHOLE)
    assert str(mine / name) in str(error.value) and "\n" not in str(error.value)


def test_what_is_missing(mine: Path) -> None:
    (mine / DEVKIT).unlink()
    with pytest.raises(UserError, match=rf"val\.tar needs {DEVKIT} beside it, which says"):
        ImageFolder(mine, "val", WHOLE)
    (mine / VAL).unlink()
    with pytest.raises(UserError, match=r"no folder .*/val; set DATA\.VAL to"):
        ImageFolder(mine, "val", WHOLE)
    (mine / TRAIN).rename(mine / f"{TRAIN}.gz")
    with pytest.raises(UserError, match=rf"{TRAIN}\.gz is there: unpack it to {TRAIN}"):
        ImageFolder(mine, "train", WHOLE)


def test_an_image_that_is_cut_off_is_named(mine: Path) -> None:
    files = train_files()
    whole = image(1)
    files[f"{WNIDS[0]}.tar"] = tar_of({"a.JPEG": whole[: len(whole) // 2], "b.JPEG": whole})
    (mine / TRAIN).write_bytes(tar_of(files))
    data = ImageFolder(mine, "train", FAST)
    batch = collate([data[0, 0], data[0, 1]])
    assert batch.indices.tolist() == [1]
    assert batch.corrupt[0].startswith(f"{mine / TRAIN / WNIDS[0]}/a.JPEG (it is truncated")
