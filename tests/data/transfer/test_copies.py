"""The wrong copies that circulate, and what is said of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from robust_det.core.errors import UserError
from robust_det.data.transfer.build import build_manifest
from robust_det.data.transfer.catalogue import facts_of
from robust_det.data.transfer.check import (
    OFFICIAL,
    OTHER,
    REMADE,
    RESPLIT,
    TRUNCATED,
    judge,
)
from robust_det.data.transfer.contents import Look
from robust_det.data.transfer.listed import FOLDERS, Listed
from robust_det.data.transfer.listed import OFFICIAL as LISTS
from robust_det.data.transfer.survey import Survey, survey
from tests.support.transfer_trees import folders

Tree = Callable[[str], Path]


def of_sizes(
    name: str, sizes: dict[str, int], classes: int, tested: int | None = None, layout: str = FOLDERS
) -> Survey:
    """A copy with so many images by split and classes; ``tested`` of them have test images."""
    names = tuple(f"c{i:03d}" for i in range(classes))
    splits = {
        split: [
            (f"{split}/{i}.jpg", names[i % (tested or classes if split == "test" else classes)])
            for i in range(count)
        ]
        for split, count in sizes.items()
    }
    look = Look("0" * 64, "RGB", "JPEG", 500)
    looks = {path: look for items in splits.values() for path, _ in items}
    return Survey(name, facts_of(name), Listed(Path(), layout, names, splits), looks)


def test_birdsnap_of_1855_test_images() -> None:
    verdict = judge(of_sizes("birdsnap", {"train": 40000, "test": 1855}, 500, tested=491))
    assert verdict.kind == RESPLIT
    assert "1,855 of the 2,443" in verdict.differs[0]
    assert "9 classes without test images, such as c491" in verdict.differs
    assert "1,855 test images, officially 2,443" in verdict.differs
    assert "491 classes; keep the empty folders" in verdict.follows[0]


@pytest.mark.parametrize(
    ("name", "sizes", "classes", "words"),
    [
        ("birdsnap", {"train": 32677, "test": 8171}, 500, "a re-split with 8,171 test images"),
        ("flowers", {"train": 6552, "val": 818, "test": 819}, 102, "the re-split with 6,552"),
        ("flowers", {"train": 6149, "val": 1020, "test": 1020}, 102, "training and test exchanged"),
    ],
)
def test_known_resplits(name: str, sizes: dict[str, int], classes: int, words: str) -> None:
    verdict = judge(of_sizes(name, sizes, classes))
    assert verdict.kind == RESPLIT
    assert words in verdict.differs[0]
    assert "figures compare with" in verdict.follows[0]


@pytest.mark.parametrize(
    ("name", "classes", "sizes", "words"),
    [
        ("cars", 196, {"train": 8144, "test": 8041}, "nothing proves the split"),
        ("aircraft", 100, {"train": 6667, "test": 3333}, "F/A-18"),
        ("pets", 37, {"train": 3680, "test": 3669}, "knows no capitals"),
        # training and validation put together
        ("dtd", 47, {"train": 3760, "test": 1880}, "nothing but the sizes"),
    ],
)
def test_official_sizes_in_folders(
    name: str, classes: int, sizes: dict[str, int], words: str
) -> None:
    verdict = judge(of_sizes(name, sizes, classes))
    assert verdict.kind == RESPLIT
    assert verdict.differs == ("folders of classes in place of the official lists",)
    assert any(words in each for each in verdict.follows)
    assert judge(of_sizes(name, sizes, classes, layout=LISTS)).kind == OFFICIAL


def test_other_copies() -> None:
    sizes = {"train": 3680, "test": 3669}
    assert judge(of_sizes("pets", sizes, 36, layout=LISTS)).differs == (
        "36 classes with images, officially 37",
    )
    more = judge(of_sizes("pets", {**sizes, "train": 3681}, 37))
    assert more.kind == OTHER and "3,681 train images, officially 3,680" in more.differs
    own = judge(of_sizes("caltech101", {"train": 3000, "test": 5677}, 101))
    assert own.kind == RESPLIT  # all of its images, in a split of somebody's own


def test_images_that_were_made_smaller() -> None:
    found = of_sizes("flowers", {"train": 1020, "val": 1020, "test": 6149}, 102, layout=LISTS)
    small = {path: replace(look, side=64) for path, look in found.looks.items()}
    verdict = judge(replace(found, looks=small))
    assert verdict.kind == REMADE and "shorter side is 64 px" in verdict.differs[0]


def test_images_of_birdsnap_that_are_not_those_of_its_list(tree: Tree) -> None:
    root = tree("birdsnap")
    path = root / "images/Sora/2.jpg"
    path.write_bytes(path.read_bytes() + b"\0")
    found = survey("birdsnap", root)
    facts = replace(found.facts, classes=3, sizes={"train": 9, "test": 3}, short_side=0)
    verdict = judge(replace(found, facts=facts))
    assert verdict.kind == REMADE
    assert verdict.differs == (
        "1 image with another MD5 than the list has, such as images/Sora/2.jpg",
    )


def test_files_that_are_listed_and_missing(tree: Tree) -> None:
    root = tree("birdsnap")
    (root / "images/Sora/0.jpg").unlink()
    (root / "images/Sora/1.jpg").unlink()
    found = survey("birdsnap", root)
    facts = replace(found.facts, classes=3, sizes={"train": 9, "test": 3}, short_side=0)
    verdict = judge(replace(found, facts=facts))
    assert verdict.kind == TRUNCATED
    assert "1 class without test images, such as Sora" in verdict.differs
    assert "2 listed files missing, such as images/Sora/1.jpg" in verdict.differs
    manifest = build_manifest(found)
    assert manifest.classes[2] == "Sora"  # labels stay as they are
    assert manifest.sizes == {"train": 8, "val": 0, "test": 2}
    assert "1 of the 3 test images are missing, such as images/Sora/0.jpg" in manifest.notes
    assert any("1 class, such as Sora, without test images" in note for note in manifest.notes)


def test_an_empty_class_folder_stays_a_class(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train/a": 2, "train/b": 2, "test/a": 0, "test/b": 1})
    for _ in range(2):
        manifest = build_manifest(survey("birdsnap", root))
        assert manifest.classes == ("a", "b") and manifest.test[0].label == "b"
        if (root / "test/a").exists():
            (root / "test/a").rmdir()  # which shifts labels elsewhere


def test_images_without_their_lists(tree: Tree) -> None:
    root = tree("dtd")
    shutil.rmtree(root / "dtd/labels")
    shutil.rmtree(root / "dtd/images/dotted")
    found = survey("dtd", root)
    verdict = judge(found)
    assert verdict.kind == TRUNCATED
    assert "2 classes with images, officially 47" in verdict.differs
    assert "12 images, officially 5,640" in verdict.differs
    assert "no labels/train1.txt, labels/val1.txt, labels/test1.txt" in verdict.differs
    with pytest.raises(UserError, match=r"no labels/train1\.txt.*name the set 'folder'"):
        build_manifest(found)


def test_food_in_train_and_valid(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train/pie": 3, "train/tacos": 3, "valid/pie": 1, "valid/tacos": 1})
    manifest = build_manifest(survey("food", root))
    assert manifest.sizes == {"train": 6, "val": 0, "test": 2}
    assert "there is no folder test; valid is taken for it" in manifest.notes


def test_the_order_of_classes_in_folders(tmp_path: Path) -> None:
    pets = ("Bengal", "american_bulldog", "Abyssinian")
    root = folders(tmp_path / "p", {f"{s}/{name}": 1 for s in ("train", "test") for name in pets})
    assert survey("pets", root).listed.classes == ("Abyssinian", "american_bulldog", "Bengal")
    flowers = ("10", "2", "1")
    root = folders(tmp_path / "f", {f"{s}/{n}": 1 for s in ("train", "test") for n in flowers})
    assert survey("flowers", root).listed.classes == ("1", "2", "10")
