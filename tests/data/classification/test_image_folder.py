from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder as DatasetFolder

from robust_det.core.errors import UserError
from robust_det.data.classification.crops import Transform, eval_transform, train_transform
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import Corrupt, collate
from robust_det.data.classification.sampling import TrainBatches

EXACT, FAST = (
    train_transform(32, (0.3, 1.0), True, 0.2, exact=True),
    train_transform(32, (0.3, 1.0), True, 0.2, exact=False),
)
either_way = pytest.mark.parametrize("augmentation", [EXACT, FAST], ids=["exact", "fast"])


@pytest.fixture
def tree(image_tree: Path, tmp_path: Path) -> Path:
    """A tree of one's own, to damage."""
    return Path(shutil.copytree(image_tree, tmp_path / "data"))


def test_classes_and_targets_follow_the_folders(image_tree: Path) -> None:
    data = ImageFolder(image_tree, "train", eval_transform(32, 32))
    assert data.classes == ["blue", "green", "red"]
    assert len(data) == 36
    assert data.targets.tolist() == [0] * 12 + [1] * 12 + [2] * 12
    assert data.path(0) == str(image_tree / "train" / "blue" / "00.png")
    assert data.path(35) == str(image_tree / "train" / "red" / "11.jpg")


def test_evaluation_crops_the_centre(tmp_path: Path) -> None:
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[..., 0] = np.arange(12) * 10
    pixels[..., 1] = np.arange(8)[:, None] * 10
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / split / "a" / "x.png")
    sample: Any = ImageFolder(tmp_path, "val", eval_transform(8, 4))[0, 0]
    image, target, index, corrupt = sample
    assert (target, index, corrupt) == (0, 0, "")
    assert image.dtype == torch.uint8 and image.shape == (3, 4, 4)
    assert image[0, 0].tolist() == [40, 50, 60, 70]
    assert image[1, :, 0].tolist() == [20, 30, 40, 50]


def test_grey_and_palette_images_become_rgb(tmp_path: Path) -> None:
    (tmp_path / "val" / "a").mkdir(parents=True)
    Image.new("L", (9, 9), 77).save(tmp_path / "val" / "a" / "grey.png")
    Image.new("RGBA", (9, 9), (77, 77, 77, 10)).save(tmp_path / "val" / "a" / "see_through.png")
    data = ImageFolder(tmp_path, "val", eval_transform(9, 8))
    for i in range(2):
        assert (data[0, i][0] == 77).all()


@either_way
def test_augmentation_is_a_function_of_seed_epoch_and_image(
    image_tree: Path, augmentation: Transform
) -> None:
    def image(seed: int, epoch: int) -> torch.Tensor:
        sample = ImageFolder(image_tree, "train", augmentation, seed=seed)[epoch, 5]
        assert not isinstance(sample, Corrupt)
        return sample[0]

    state = torch.get_rng_state()
    first = image(0, 3)
    torch.rand(7)
    assert torch.equal(first, image(0, 3))
    assert not torch.equal(first, image(0, 4))
    assert not torch.equal(first, image(1, 3))
    torch.set_rng_state(state)
    image(0, 3)
    assert torch.equal(torch.get_rng_state(), state)  # the global generator is left alone


@either_way
def test_batches_do_not_depend_on_the_workers(image_tree: Path, augmentation: Transform) -> None:
    data = ImageFolder(image_tree, "train", augmentation)

    def batches(workers: int) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        order = TrainBatches(len(data), 8, 2, seed=0)
        loader = DataLoader(data, batch_sampler=order, num_workers=workers, collate_fn=collate)
        return [(b.images, b.targets, b.indices) for b in loader]

    alone, shared = batches(0), batches(2)
    assert len(alone) == len(shared) == 8
    for a, b in zip(alone, shared, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert np.array_equal(data.targets[a[2]], a[1].numpy())


def test_it_can_be_pickled_for_spawned_workers(image_tree: Path) -> None:
    for split, transform in (("train", EXACT), ("train", FAST), ("val", eval_transform(32, 32))):
        data = ImageFolder(image_tree, split, transform)
        copy = pickle.loads(pickle.dumps(data))
        assert torch.equal(copy[0, 3][0], data[0, 3][0])


@either_way
@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_corrupt_image_is_reported_or_replaced(
    tree: Path, content: bytes | None, augmentation: Transform
) -> None:
    bad = tree / "train" / "blue" / "03.jpg"
    # None: cut in the middle, the commonest damage
    bad.write_bytes(bad.read_bytes()[:300] if content is None else content)
    plain = ImageFolder(tree, "train", augmentation)[0, 3]
    assert isinstance(plain, Corrupt) and str(bad) in plain.path and not plain.hopeless

    data = ImageFolder(tree, "train", augmentation, substitute=True)
    batch = collate([data[0, i] for i in (2, 3, 4)])
    assert batch.indices.tolist() == [2, 4, 4]
    assert len(batch.corrupt) == 1 and str(bad) in batch.corrupt[0]
    assert torch.equal(batch.images[1], batch.images[2])
    assert not batch.hopeless


def test_two_corrupt_neighbours_count_once_each(tree: Path) -> None:
    for name in ("03.jpg", "04.png"):
        (tree / "train" / "blue" / name).write_bytes(b"")
    data = ImageFolder(tree, "train", FAST, substitute=True)
    batch = collate([data[0, i] for i in range(8)])
    assert batch.indices.tolist() == [0, 1, 2, 5, 5, 5, 6, 7]
    assert [Path(text.split(" ")[0]).name for text in batch.corrupt] == ["03.jpg", "04.png"]


def test_nothing_but_corrupt_images_is_hopeless(tree: Path) -> None:
    for path in (tree / "train").rglob("*.*"):
        path.write_bytes(b"")
    data = ImageFolder(tree, "train", FAST, substitute=True)
    batch = collate([data[0, 0], data[0, 1]])
    assert batch.hopeless and len(batch.targets) == 0 and len(batch.corrupt) == 2


def test_trees_that_do_not_fit(tree: Path) -> None:
    transform = eval_transform(32, 32)
    with pytest.raises(UserError, match=r"no folder .*nowhere/train.*DATA\.ROOT"):
        ImageFolder(tree / "nowhere", "train", transform)
    (tree / "empty").mkdir()
    with pytest.raises(UserError, match="holds no class folders"):
        ImageFolder(tree, "empty", transform)
    (tree / "train" / "void").mkdir()
    (tree / "train" / "void" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"class folder .*void holds no images"):
        ImageFolder(tree, "train", transform)
    with pytest.raises(UserError, match=r"differ in classes: \['red', 'yellow'\]"):
        ImageFolder(tree, "val", transform, classes=["blue", "green", "yellow"])


def test_what_is_hidden_is_neither_class_nor_image(tree: Path) -> None:
    before = ImageFolder(tree, "val", eval_transform(32, 32))
    for folder in (".cache", "__MACOSX", "red/.ipynb_checkpoints", "red/__MACOSX"):
        (tree / "val" / folder).mkdir()
        Image.new("RGB", (9, 9)).save(tree / "val" / folder / "00.png")
    (tree / "val/red/._00.png").write_bytes(b"\0\5\x16\7")
    after = ImageFolder(tree, "val", eval_transform(32, 32))
    assert after.classes == ["blue", "green", "red"]
    assert [after.path(i) for i in range(len(after))] == [
        before.path(i) for i in range(len(before))
    ]


def test_a_tree_below_a_hidden_folder(tree: Path) -> None:
    """Somebody has named it."""
    tree.rename(tree.with_name(".data"))
    assert len(ImageFolder(tree.with_name(".data"), "train", eval_transform(32, 32))) == 36


def test_linked_folders_are_followed_and_circles_are_not(tree: Path, tmp_path: Path) -> None:
    red = tree / "train" / "red"
    red.rename(tmp_path / "elsewhere")
    red.mkdir()
    (red / "more").symlink_to(tmp_path / "elsewhere")
    (tree / "train" / "again").symlink_to(tmp_path / "elsewhere")
    assert len(ImageFolder(tree, "train", FAST)) == len(DatasetFolder(str(tree / "train"))) == 48
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "elsewhere")
    (red / "up").symlink_to(tree)
    (red / "across").symlink_to(tree / "train" / "blue")
    (tree / "train" / "blue" / "across").symlink_to(red)
    data = ImageFolder(tree, "train", FAST)
    counts = dict(zip(data.classes, np.bincount(data.targets).tolist(), strict=True))
    # blue's and, through the link, red's, which leads to both
    assert counts == {"again": 12, "blue": 24, "green": 12, "red": 24}
    (tree / "train" / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match="gone is a link that leads nowhere"):
        ImageFolder(tree, "train", FAST)


def test_what_is_no_image_is_counted_and_said(tree: Path) -> None:
    green = tree / "train" / "green"
    (green / "01.jpg").rename(green / "01.JFIF")  # another name of JPEG
    (green / "03.jpg").rename(green / "03.heic")
    (green / "05.jpg").rename(green / "n05")
    (green / ".hidden.heic").write_bytes(b"")
    (tree / "train" / "stray.jpg").write_bytes(b"")
    (tree / "train" / "red" / "a").mkdir()
    for i, path in enumerate(sorted((tree / "train" / "blue").iterdir())):
        below = path.parent / f"sub{i % 2}"
        below.mkdir(exist_ok=True)
        path.rename(below / path.name)
    data = ImageFolder(tree, "train", FAST)
    assert len(data) == 34
    stray, others, nested = data.notes
    assert "1 files, such as stray.jpg, lie in" in stray
    assert others.endswith("left out: 1 without a suffix, 1 .heic")
    assert "blue has 2 sub-folders with images (sub0, sub1, ...)" in nested
    for path in (tree / "train" / "red").glob("*.*"):
        path.rename(path.with_suffix(".heic"))
    with pytest.raises(UserError, match=r"red holds no images \(12 \.heic are there\)"):
        ImageFolder(tree, "train", FAST)
