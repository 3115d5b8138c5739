"""The synthetic set: masks, boxes and counts are right to the pixel, and files to the byte."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from robust_det.core.errors import UserError
from robust_det.data.synthetic import CATEGORY_IDS, CLASSES, write_classification, write_coco
from robust_det.data.synthetic import datasets as synthetic
from robust_det.data.synthetic.polygons import mask_to_polygons
from robust_det.data.synthetic.shapes import SHAPES, draw_object_scene


def digests(root: Path) -> dict[str, str]:
    files = (p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def raster(polygons: list[list[float]], height: int, width: int) -> np.ndarray:
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return coco_mask.decode(merged).astype(bool)


@pytest.fixture(scope="module")
def coco_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "coco"
    assert write_coco(root, train_images=30, val_images=8, size=96, seed=3)
    return root


def test_classification_is_balanced_and_readable(tmp_path: Path) -> None:
    root = tmp_path / "set"
    assert write_classification(root, train_per_class=4, val_per_class=2, size=32, seed=0)
    for split, count in (("train", 4), ("val", 2)):
        found = Counter(p.parent.name for p in (root / split).rglob("*.png"))
        assert found == dict.fromkeys(CLASSES, count)
    assert len(CLASSES) == 8
    image = cv2.imread(str(root / "train" / "star" / "00003.png"))
    assert image.shape == (32, 32, 3)
    assert image.std() > 10


def test_same_seed_same_bytes_other_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_classification(
            tmp_path / name, train_per_class=2, val_per_class=1, size=24, seed=seed
        )
        write_coco(tmp_path / f"{name}_coco", train_images=2, val_images=1, size=64, seed=seed)
    for suffix in ("", "_coco"):
        a, b, c = (digests(tmp_path / f"{name}{suffix}") for name in "abc")
        assert a == b
        assert a.keys() == c.keys()
        pictures = [name for name in a if name.endswith(".png")]
        assert not {a[name] for name in pictures} & {c[name] for name in pictures}
        assert len({a[name] for name in pictures}) == len(pictures)  # train and val share none


def test_a_larger_set_contains_the_smaller_one(tmp_path: Path) -> None:
    write_classification(tmp_path / "s", train_per_class=2, val_per_class=1, size=24)
    write_classification(tmp_path / "l", train_per_class=3, val_per_class=1, size=24, seed=0)
    small, large = digests(tmp_path / "s"), digests(tmp_path / "l")
    assert all(large[name] == small[name] for name in small if name.endswith(".png"))


@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_numbers_are_those_of_the_mask(coco_root: Path, split: str) -> None:
    coco = COCO(str(coco_root / "annotations" / f"instances_{split}.json"))
    assert len(coco.imgs) == {"train": 30, "val": 8}[split]
    assert {c["name"]: c["id"] for c in coco.cats.values()} == CATEGORY_IDS
    assert sorted(coco.cats) != list(range(1, 9))  # ids have gaps
    for image in coco.imgs.values():
        picture = cv2.imread(str(coco_root / split / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3) == (96, 96, 3)
        anns = coco.imgToAnns[image["id"]]
        assert 1 <= len(anns) <= 5
        covered = np.zeros((96, 96), int)
        for ann in anns:
            mask = raster(ann["segmentation"], 96, 96)
            covered += mask
            assert mask.sum() == ann["area"] >= 48
            rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
            tight = [columns[0], rows[0], np.ptp(columns) + 1, np.ptp(rows) + 1]
            assert ann["bbox"] == tight
            assert ann["iscrowd"] == 0
            assert all(len(p) >= 6 and len(p) % 2 == 0 for p in ann["segmentation"])
        assert covered.max() == 1  # a pixel belongs to one object, the one on top


def test_ids_are_unique_over_both_splits(coco_root: Path) -> None:
    both = [
        json.loads((coco_root / "annotations" / f"instances_{s}.json").read_text())
        for s in ("train", "val")
    ]
    for key in ("images", "annotations"):
        ids = [item["id"] for document in both for item in document[key]]
        assert len(ids) == len(set(ids))


def test_occlusion_happens_and_is_bounded() -> None:
    shares, parts = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        _, objects = draw_object_scene(rng, ["square", "cross", "ring", "star"], 96)
        assert sum(o.visible.astype(int) for o in objects).max() == 1
        assert objects[-1].visible.sum() == objects[-1].pixels
        shares += [o.visible.sum() / o.pixels for o in objects]
        parts += [len(mask_to_polygons(o.visible)) for o in objects]
    assert min(shares) >= 0.5
    assert 0.1 < np.mean(np.array(shares) < 1) < 0.6
    assert max(parts) >= 2


def test_a_ring_is_two_polygons_around_its_hole() -> None:
    y, x = np.mgrid[:40, :50]
    radius = np.hypot(x - 25, y - 20)
    ring = (radius < 15) & (radius > 7)
    polygons = mask_to_polygons(ring)
    assert len(polygons) == 2
    assert (raster(polygons, 40, 50) == ring).all()


def test_hand_drawn_masks() -> None:
    mask = np.zeros((6, 8), bool)
    assert mask_to_polygons(mask) == []
    mask[2, 3] = True
    (pixel,) = mask_to_polygons(mask)
    assert min(pixel[::2]) == pytest.approx(3 + 1 / 6, abs=0.01)
    assert max(pixel[1::2]) == pytest.approx(3 - 1 / 6, abs=0.01)
    mask[5, 7] = True
    assert len(mask_to_polygons(mask)) == 2
    mask[:] = True
    assert (raster(mask_to_polygons(mask), 6, 8) == mask).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(arrays(bool, st.tuples(st.integers(3, 12), st.integers(3, 12))))
def test_any_mask_survives_the_way_through_polygons(mask: np.ndarray) -> None:
    polygons = mask_to_polygons(mask)
    if mask.any():
        assert (raster(polygons, *mask.shape) == mask).all()
    else:
        assert polygons == []


def test_outlines_fill_the_unit_circle() -> None:
    for name, outlines in SHAPES.items():
        reach = max(np.hypot(*o.T).max() for o in outlines)
        assert 0.9 < reach < 1.15, name


def test_a_finished_set_is_used_again_and_others_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "set"
    small: Any = {"train_per_class": 1, "val_per_class": 1, "size": 24}
    assert write_classification(root, **small)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*")}
    assert not write_classification(root, **small)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*")} == before
    with pytest.raises(UserError, match="size 24 instead of 32"):
        write_classification(root, **{**small, "size": 32})
    with pytest.raises(UserError, match="form classification instead of coco"):
        write_coco(root, train_images=1, val_images=1)
    (root / "val" / "ring" / "00000.png").unlink()
    with pytest.raises(UserError, match="has 15 files where 16 were written"):
        write_classification(root, **small)
    (root / synthetic.STAMP_NAME).write_text("[]")
    with pytest.raises(UserError, match=r"synthetic\.json cannot be read"):
        write_classification(root, **small)
    assert len(list(root.rglob("*.png"))) == 15  # nothing was deleted


def test_foreign_content_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"meow")
    with pytest.raises(UserError, match="something other than synthetic data"):
        write_coco(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.png").read_bytes() == b"meow"
    with pytest.raises(UserError, match="is a file"):
        write_coco(tmp_path / "photos" / "cat.png")
    (tmp_path / "empty").mkdir()
    assert write_coco(tmp_path / "empty", train_images=1, val_images=1, size=64)


def test_a_half_written_set_is_redone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    save = synthetic._save

    def breaks(*args: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise OSError(28, "No space left on device")
        save(*args)  # type: ignore[arg-type]

    small: Any = {"train_per_class": 1, "val_per_class": 1, "size": 24}
    monkeypatch.setattr(synthetic, "_save", breaks)
    with pytest.raises(UserError, match="No space left on device"):
        write_classification(tmp_path / "set", **small)
    assert not (tmp_path / "set").exists()
    # what a killed process leaves, which could not tidy up after itself
    (tmp_path / ".set.partial" / "train").mkdir(parents=True)
    (tmp_path / ".set.partial" / "train" / "left.png").write_bytes(b"half")
    assert write_classification(tmp_path / "set", **small)
    assert not (tmp_path / ".set.partial").exists()
    assert not list((tmp_path / "set").rglob("left.png"))
    assert len(list((tmp_path / "set").rglob("*.png"))) == 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": ["sqare"]}, "no shape 'sqare'; did you mean 'square'"),
        ({"classes": []}, "at least one class"),
        ({"size": 8}, "16 or more, not 8"),
        ({"seed": -1}, "seed cannot be negative"),
        ({"val_per_class": 0}, "val_per_class must be 1 or more"),
    ],
)
def test_bad_parameters(tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_classification(tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()
