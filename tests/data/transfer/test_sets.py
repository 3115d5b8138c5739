"""Each official layout, in miniature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from robust_det.core.errors import FileError, UserError
from robust_det.data.transfer.build import build_manifest
from robust_det.data.transfer.catalogue import SETS, facts_of
from robust_det.data.transfer.check import OFFICIAL, TRUNCATED, judge
from robust_det.data.transfer.sets.reading import MissingSetError, read_set
from robust_det.data.transfer.survey import survey
from tests.support.transfer_trees import TREES, cifar_pickle, folders, picture

Tree = Callable[[str], Path]

# images of train, val and test; classes in their official order; some image of each class in test
EXPECTED = {
    "aircraft": ((6, 6, 6), ["707-320", "DC-10", "F-16A/B"], "images/0034974.jpg", "F-16A/B"),
    "birdsnap": (
        (9, 0, 3),
        ["Acadian_Flycatcher", "Blue_Jay", "Sora"],
        "images/Blue_Jay/0.jpg",
        "Blue_Jay",
    ),
    "caltech101": ((90, 0, 6), ["Faces", "accordion", "yin_yang"], None, None),
    "caltech256": ((180, 0, 6), ["001.ak47", "198.spider", "257.clutter"], None, None),
    "cars": (
        (4, 0, 3),
        ["AM General Hummer SUV 2000", "Ram C/V Cargo Van Minivan 2012", "smart fortwo 2012"],
        "cars_test/00001.jpg",
        "Ram C/V Cargo Van Minivan 2012",
    ),
    "cifar10": ((20, 0, 4), ["zebra", "ant"], "test_batch#1", "ant"),
    "cifar100": ((4, 0, 4), ["zebra", "ant"], "test#3", "zebra"),
    "dtd": ((6, 6, 6), ["banded", "dotted", "zigzagged"], "images/dotted/dotted_21.jpg", "dotted"),
    "flowers": ((3, 3, 4), ["1", "2", "3"], "jpg/image_00008.jpg", "2"),
    "food": ((9, 0, 3), ["apple_pie", "tacos", "waffles"], "images/tacos/4.jpg", "tacos"),
    "pets": (
        (6, 0, 3),
        ["Abyssinian", "american_bulldog", "Bengal"],
        "images/american_bulldog_3.jpg",
        "american_bulldog",
    ),
    "sun397": (
        (6, 0, 3),
        ["abbey", "apartment_building/outdoor", "zoo"],
        "a/apartment_building/outdoor/sun_c.jpg",
        "apartment_building/outdoor",
    ),
}


def test_every_set_has_a_tree_and_what_is_expected_of_it() -> None:
    assert set(EXPECTED) == set(TREES) == set(SETS) - {"folder", "csv"}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_official_layout(name: str, tree: Tree) -> None:
    sizes, classes, path, label = EXPECTED[name]
    found = survey(name, tree(name))
    manifest = build_manifest(found)
    assert tuple(manifest.sizes.values()) == sizes
    assert list(manifest.classes) == classes
    if path:
        assert [e.label for e in manifest.test if e.path == path] == [label]
    # with these sizes for the official ones, it is the official copy; with one image more, not
    listed = {split: len(items) for split, items in found.listed.splits.items()}
    facts = replace(found.facts, classes=len(classes), sizes=listed, short_side=10)
    assert judge(replace(found, facts=facts)).kind == OFFICIAL
    more = {**listed, "test" if "test" in listed else "all": max(listed.values()) + 1}
    verdict = judge(replace(found, facts=replace(facts, sizes=more)))
    assert verdict.kind == TRUNCATED and "officially" in verdict.differs[0]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_missing_set_says_where_it_comes_from_and_what_is_expected(
    name: str, tmp_path: Path
) -> None:
    facts = facts_of(name)
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(MissingSetError) as raised:
            read_set(name, root)
        said = str(raised.value)
        assert f"no {facts.title} in {root}" in said
        assert facts.source in said and facts.layout in said
        assert ("--download" in said) == bool(facts.torchvision)


def test_a_list_that_is_missing_is_named(tree: Tree) -> None:
    root = tree("cars")
    (root / "stanford_cars/cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(MissingSetError, match=r"\(without cars_test_annos_withlabels\.mat\)"):
        read_set("cars", root)


def test_test_labels_of_cars_within_the_devkit_and_in_one_file(tree: Tree) -> None:
    base = tree("cars") / "stanford_cars"
    before = read_set("cars", base)
    name = "cars_test_annos_withlabels.mat"
    (base / name).rename(base / "devkit" / name)
    assert read_set("cars", base).splits == before.splits
    kinds = [("relative_im_path", "O"), ("class", "O"), ("test", "O")]
    rows = np.array([("car_ims/1.jpg", 1, 0), ("car_ims/2.jpg", 2, 1)], dtype=kinds)
    names = np.array(["a", "b"], dtype=object)
    together = base.parent / "together"
    (together / "car_ims").mkdir(parents=True)
    scipy.io.savemat(together / "cars_annos.mat", {"annotations": rows, "class_names": names})
    assert read_set("cars", together).splits == {
        "train": [("car_ims/1.jpg", "a")],
        "test": [("car_ims/2.jpg", "b")],
    }


def test_lists_without_labels_and_damaged_ones_are_refused_by_name(tree: Tree) -> None:
    base = tree("cars") / "stanford_cars"
    path = base / "cars_test_annos_withlabels.mat"
    rows = np.array([("1.jpg", 1)], dtype=[("fname", "O"), ("bbox_x1", "O")])
    scipy.io.savemat(path, {"annotations": rows})
    with pytest.raises(FileError, match=r"withlabels\.mat has no field 'class'"):
        read_set("cars", base)
    path.write_bytes(b"MATLAB 5.0 MAT-file, cut off")
    with pytest.raises(FileError, match=r"withlabels\.mat is no MATLAB file"):
        read_set("cars", base)


def test_caltech_leaves_out_what_is_no_image_and_no_class(tree: Tree) -> None:
    assert read_set("caltech101", tree("caltech101")).notes == (
        "BACKGROUND_Google is no class and was left out",
    )
    spider = tree("caltech256")
    assert read_set("caltech256", spider / "256_ObjectCategories/..").notes == (
        "256_ObjectCategories/198.spider/RENAME2 is no image and was left out",
    )


def test_the_papers_first_files_of_caltech_and_a_draw(tree: Tree) -> None:
    found = survey("caltech101", tree("caltech101"))
    paper = build_manifest(found, seed=1, paper=True)
    first = [f"image_{i:04d}.jpg" for i in range(1, 31)]
    for name in paper.classes:
        assert [e.path.rpartition("/")[2] for e in paper.train if e.label == name] == first
    assert [e.path.rpartition("/")[2] for e in paper.test if e.label == "yin_yang"] == [
        "image_0031.jpg"
    ]
    drawn = [build_manifest(found, seed=seed) for seed in (0, 0, 1)]
    assert drawn[0].digest == drawn[1].digest != drawn[2].digest
    assert drawn[0].digest != paper.digest
    assert any("drawn by seed 1" in note for note in drawn[2].notes)


def test_a_pickle_that_is_not_the_official_one_is_not_read(
    tree: Tree, malicious: tuple[Path, Path]
) -> None:
    path, marker = malicious
    base = tree("cifar10") / "cifar-10-batches-py"
    (base / "data_batch_3").write_bytes(path.read_bytes())
    with pytest.raises(FileError, match=r"data_batch_3 is not the official file by its MD5"):
        read_set("cifar10", base)
    assert not marker.exists()


def test_a_pickle_of_the_right_md5_may_name_arrays_alone(tree: Tree) -> None:
    import hashlib

    from torchvision.datasets import CIFAR10

    base = tree("cifar10") / "cifar-10-batches-py"
    content = cifar_pickle({"labels": [0]})[:-2] + b"T\1\0\0\0acos\ngetcwd\n(tRu."
    (base / "test_batch").write_bytes(content)
    CIFAR10.test_list[0][1] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    with pytest.raises(FileError, match=r"test_batch names os\.getcwd"):
        read_set("cifar10", base)


def test_a_table(tmp_path: Path) -> None:
    folders(tmp_path, {"x": 6})
    table = tmp_path / "list.csv"
    rows = [f"x/{i:02d}.png,{'ab'[i % 2]},{'test' if i > 3 else 'train'}" for i in range(6)]
    table.write_text("\n".join(["path,label,split", *rows]))
    for where in (table, tmp_path):
        assert build_manifest(survey("csv", where)).sizes == {"train": 4, "val": 0, "test": 2}
    table.write_text("\n".join(["path,label", *(row.rpartition(",")[0] for row in rows)]))
    manifest = build_manifest(survey("csv", table))
    assert manifest.sizes == {"train": 4, "val": 0, "test": 2}
    assert {entry.label for entry in manifest.test} == {"a", "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\na.png,x", "has no column 'path'"),
        ("path,label\na.png", "has 1 values for 2 columns in row 2"),
        ("path,label\na.png,", "has no label in row 2"),
        ('path,label\nb.png,1 2\na.png,"[0.3, 0.7]"', "has the soft label '[0.3, 0.7]' in row 3"),
        ("path,label\na.png,.2 .3 .5", "has the soft label '.2 .3 .5' in row 2"),
        ("path,label,split\na.png,x,dev", "has the split 'dev' in row 2"),
        ("path,label\n../a.png,x", "has the path ../a.png, which leads out of its folder"),
        ("path,label,label\na.png,x,y", "has the column 'label' twice"),
        ("path,label\n", "has no rows"),
        ("", "has no column 'path'"),
    ],
)
def test_a_wrong_table(text: str, said: str, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text(text)
    with pytest.raises(FileError) as raised:
        read_set("csv", table)
    assert str(raised.value).startswith(f"{table} {said}")


def test_folders_with_and_without_splits(tmp_path: Path) -> None:
    split = folders(
        tmp_path / "split",
        {"train/b": 3, "train/a": 2, "valid/a": 1, "valid/b": 1, "test/a": 1, "test/b": 1},
    )
    manifest = build_manifest(survey("folder", split))
    assert manifest.sizes == {"train": 5, "val": 2, "test": 2} and manifest.classes == ("a", "b")
    flat = build_manifest(survey("folder", folders(tmp_path / "flat", {"a": 10, "b": 5})))
    assert flat.sizes == {"train": 12, "val": 0, "test": 3}
    (tmp_path / "void").mkdir()
    with pytest.raises(UserError, match="has no folders; it needs train/<class>/"):
        read_set("folder", tmp_path / "void")
    (tmp_path / "list.csv").write_text("path,label\n")
    with pytest.raises(UserError, match=r"list\.csv is a file; of a table .*, DATA\.SET is csv"):
        read_set("folder", tmp_path / "list.csv")
    with pytest.raises(UserError, match="no data set is called 'dtdd'; did you mean 'dtd'"):
        read_set("dtdd", tmp_path)


def test_numbers_in_a_table_come_by_their_values(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    for labels, order in (
        ((10, 9, 2), ("2", "9", "10")),
        (("10", "9", "b"), ("10", "9", "b")),
    ):
        table.write_text("\n".join(["path,label", *(f"{name}.png,{name}" for name in labels)]))
        assert read_set("csv", table).classes == order


def test_images_of_no_class_and_folders_within_a_class_are_told_of(tmp_path: Path) -> None:
    root = folders(tmp_path, {"train/a": 1, "train/b/x": 1, "train/b/y": 1, "test/a": 1, "val": 0})
    picture(root / "train/stray.png")
    (root / "train/list.txt").write_text("no image")
    assert [*read_set("folder", root).notes] == [
        f"1 image, such as stray.png, in {root}/train itself, of no class, left out",
        "train/b has 2 folders with images (x, y, ...) and none of its own: all count as the one"
        " class b",
        "val holds no images in folders of classes: it is taken for missing",
    ]
    (root / "test/b").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="test/b is a link that leads nowhere"):
        read_set("folder", root)


def test_folders_called_as_splits_are_no_classes(tmp_path: Path) -> None:
    for other in ("Test", "testing"):
        root = folders(tmp_path / other, {"train/a": 1, f"{other}/a": 1})
        with pytest.raises(UserError, match=f"has .*{other}.*, which hold folders as splits do"):
            read_set("folder", root)
    vehicles = folders(tmp_path / "vehicles", {"train": 2, "bus": 2})  # a class of trains
    assert read_set("folder", vehicles).classes == ("bus", "train")
