from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from robust_det import load_classifier
from robust_det.core.errors import UserError
from robust_det.ranking.image_subject import ImageSubject
from robust_det.transfer.settings import explain
from robust_det.zoo.backbone_files import find_backbones

CPU = torch.device("cpu")
TRAIN = 12  # images of each of three classes


@pytest.fixture
def tree(image_tree: Path, tmp_path: Path) -> Path:
    """A copy of the tree of three classes, to be changed."""
    return Path(shutil.copytree(image_tree, tmp_path / "tree"))


def subject(root: Path, backbones: Path, *words: str, **options: Any) -> ImageSubject:
    cfg, _ = explain(None, (), ["DATA.ROOT", str(root), *words])
    return ImageSubject(cfg, find_backbones([str(backbones / "eps*.pth")])[0], **options)


def test_training_images_alone_are_looked_at(tree: Path, backbones: Path) -> None:
    for file in (tree / "val").rglob("*.*"):
        if file.is_file():
            file.write_bytes(b"not an image")
    found = subject(tree, backbones)
    assert found.images == 3 * TRAIN
    assert found.task.labels.tolist() == [0] * TRAIN + [1] * TRAIN + [2] * TRAIN
    assert found.task.groups.tolist() == list(range(3 * TRAIN))
    assert (found.task.classes, found.task.headline) == (("blue", "green", "red"), "top1")
    assert not [note for note in found.notes if note.startswith("validation")]


def test_features_are_what_the_last_layer_is_given(
    tree: Path, backbones: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = subject(tree, backbones, size=32)
    [file] = find_backbones([str(backbones / "eps3.pth")])[0]
    ours = found.features(file, CPU, lambda n: None)
    classifier = load_classifier(file.path)
    given: list[torch.Tensor] = []
    head = next(m for m in reversed([*classifier.modules()]) if isinstance(m, torch.nn.Linear))
    head.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    paths = [
        p for name in ("blue", "green", "red") for p in sorted((tree / "train" / name).iterdir())
    ]
    for path in paths[::5]:
        image = Image.open(path).convert("RGB")
        pixels = v2.Compose([v2.Resize(37), v2.CenterCrop(32), v2.PILToTensor()])(image)
        with torch.no_grad():
            classifier(pixels[None] / 255)
    torch.testing.assert_close(ours[::5], torch.cat(given), rtol=1e-3, atol=1e-4)
    # the next time they come from the cache
    monkeypatch.setattr("robust_det.transfer.features.of_images.extract", None)
    assert torch.equal(found.features(file, CPU, lambda n: None), ours)


def test_images_of_one_content_are_left_out_together(tree: Path, backbones: Path) -> None:
    blue = tree / "train/blue"
    shutil.copy(blue / "00.png", blue / "a-copy.png")
    task = subject(tree, backbones).task
    assert len(task.groups) == 3 * TRAIN + 1
    assert task.group_count == 3 * TRAIN
    assert task.groups.bincount().max() == 2


def test_a_class_with_one_image_is_left_out_and_said(tree: Path, backbones: Path) -> None:
    green = sorted((tree / "train/green").iterdir())
    for file in green[1:]:
        file.unlink()
    found = subject(tree, backbones)
    assert found.task.classes == ("blue", "red") and found.images == 2 * TRAIN
    assert found.task.labels.unique().tolist() == [0, 1]
    assert "1 class with fewer than two training images left out: green." in found.notes


def test_one_class_is_nothing_to_compare_by(tree: Path, backbones: Path) -> None:
    for name in ("green", "red"):
        for file in sorted((tree / "train" / name).iterdir())[1:]:
            file.unlink()
    with pytest.raises(UserError, match=r"has 1 class with two training images or more"):
        subject(tree, backbones)


def test_a_draw_takes_of_each_class_alike_and_is_said(tree: Path, backbones: Path) -> None:
    found = subject(tree, backbones, images=18)
    assert found.task.labels.bincount().tolist() == [6, 6, 6]
    note = "18 of 36 training images were drawn, by seed 0; --images takes more."
    assert note in found.notes
    again, other = (subject(tree, backbones, images=18, seed=seed) for seed in (0, 1))
    assert again.data == found.data != other.data


def test_an_image_that_cannot_be_read_is_named_or_left_out(tree: Path, backbones: Path) -> None:
    broken = tree / "train/green/03.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(UserError, match=r"image .*03\.jpg .*--lenient"):
        subject(tree, backbones)
    found = subject(tree, backbones, lenient=True)
    assert found.images == 3 * TRAIN - 1
    assert found.task.labels.bincount().tolist() == [TRAIN, TRAIN - 1, TRAIN]
    assert any("1 image left out that cannot be read" in note for note in found.notes)


def test_all_backbones_see_images_of_one_size(
    tree: Path, tmp_path: Path, write_backbone: Callable[..., Path]
) -> None:
    for name, size in (("eps0", 48), ("eps1", 64)):
        write_backbone(tmp_path / f"{name}.pth", float(name[-1]), size, size=size)
    found = subject(tree, tmp_path)
    assert (found.settings["size"], found.settings["resize"]) == (64, 73)
    assert any("trained on images of 48, 64 pixels; all see 64" in note for note in found.notes)
    assert subject(tree, tmp_path, size=32).settings["size"] == 32
    with pytest.raises(UserError, match="images of 64 pixels cannot be cut from a shorter side"):
        subject(tree, tmp_path, "DATA.RESIZE", "40")
