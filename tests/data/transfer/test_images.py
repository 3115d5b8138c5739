"""The images of a manifest as training sees them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import CIFAR10

from robust_det.core.errors import FileError
from robust_det.data.classification.crops import eval_transform, train_transform
from robust_det.data.classification.image_list import Corrupt, collate
from robust_det.data.classification.sampling import EvalBatches
from robust_det.data.transfer.build import build_manifest
from robust_det.data.transfer.images import ManifestImages
from robust_det.data.transfer.metrics import accuracies
from robust_det.data.transfer.survey import survey
from robust_det.data.transfer.verify import base_below
from tests.support.transfer_trees import picture

Tree = Callable[[str], Path]
WHOLE = eval_transform(10, 10)


def test_targets_are_positions_among_the_classes(tree: Tree) -> None:
    found = survey("pets", tree("pets"))
    manifest = build_manifest(found)
    assert base_below(manifest, found.listed.base.parent) == found.listed.base
    data = ManifestImages(manifest, manifest.test, found.listed.base, WHOLE)
    assert data.targets.tolist() == [0, 1, 2] and data.classes[1] == "american_bulldog"
    sample: Any = data[0, 1]
    with Image.open(found.listed.base / "images/american_bulldog_3.jpg") as image:
        assert np.array_equal(sample[0].permute(1, 2, 0), np.array(image)[:, 1:11])
    assert sample[1:] == (1, 1, "")


def test_cifar_is_what_torchvision_reads(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree("cifar10")
    # torchvision's unpickler takes the old name of numpy's module with a warning
    monkeypatch.setattr("warnings.warn", lambda *args, **options: None)
    official = CIFAR10(str(root), train=False)
    found = survey("cifar10", root)
    manifest = build_manifest(found)
    data = ManifestImages(manifest, manifest.test, found.listed.base, eval_transform(32, 32))
    batches = DataLoader(data, batch_sampler=EvalBatches(4, 4), collate_fn=collate)
    (batch,) = batches
    assert np.array_equal(batch.images.permute(0, 2, 3, 1), official.data)
    assert batch.targets.tolist() == official.targets == [0, 1, 1, 0]
    assert official.classes == data.classes
    for exact in (True, False):
        train = train_transform(16, (0.5, 1.0), True, 0.0, exact=exact)
        crop: Any = ManifestImages(manifest, manifest.train, found.listed.base, train)[0, 7]
        assert crop[0].shape == (3, 16, 16) and crop[2] == 7


def test_grey_cmyk_and_gifs_named_jpg_become_rgb(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for i, (mode, kind) in enumerate((("L", "JPEG"), ("CMYK", "JPEG"), ("P", "GIF"))):
            picture(tmp_path / split / f"c{i}/x.jpg", mode, kind)
    manifest = build_manifest(survey("folder", tmp_path))
    data = ManifestImages(manifest, manifest.test, tmp_path, WHOLE)
    for i in range(3):
        sample: Any = data[0, i]
        assert sample[0].shape == (3, 10, 10) and sample[0].dtype == torch.uint8


def test_corrupt_images_are_told_of_or_replaced(tree: Tree) -> None:
    root = tree("food")
    (root / "food-101/images/apple_pie/1.jpg").write_bytes(b"")
    found = survey("food", root)
    manifest = build_manifest(found)
    base = found.listed.base
    bad = ManifestImages(manifest, manifest.training, base, WHOLE)[0, 0]
    assert isinstance(bad, Corrupt) and bad.path.endswith("apple_pie/1.jpg (it is empty)")
    images = ManifestImages(manifest, manifest.training, base, WHOLE, substitute=True)
    good: Any = pickle.loads(pickle.dumps(images))[0, 0]
    assert good[2] == 1 and good[3] == bad.path


def test_an_image_of_another_content_is_neither_decoded_nor_replaced(tree: Tree) -> None:
    found = survey("food", tree("food"))
    manifest, base = build_manifest(found), found.listed.base
    images = ManifestImages(manifest, manifest.training, base, WHOLE, substitute=True)
    few = images.part(np.array([2, 1]))
    picture(base / manifest.training[1].path, "L", "JPEG")
    assert images[0, 1] == few[0, 1] == Corrupt(images.path(1), foreign=True)
    batch = collate([images[0, 0], images[0, 1], few[0, 0]])
    assert batch.foreign == (images.path(1),) and not batch.corrupt and not batch.hopeless
    assert batch.indices.tolist() == [0, 0] and len(batch.images) == 2


def test_a_folder_that_lacks_images_of_the_manifest(tree: Tree, tmp_path: Path) -> None:
    for name, lost in (("food", "images/apple_pie/4.jpg"), ("cifar100", "test#0")):
        found = survey(name, tree(name))
        manifest = build_manifest(found)
        with pytest.raises(FileError) as raised:
            ManifestImages(manifest, manifest.test, tmp_path, WHOLE)
        n = len(manifest.test)
        assert f"{tmp_path} lacks {n} of the manifest's {n} images, such as {lost};" in str(
            raised.value
        )


def test_both_accuracies() -> None:
    # class 2 is not among the targets
    found = accuracies(np.array([0, 0, 0, 1, 2, 2]), np.array([0, 0, 0, 0, 1, 3]))
    assert found == {"top1": 50.0, "mean_per_class": 25.0}
