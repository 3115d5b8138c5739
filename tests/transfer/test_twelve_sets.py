"""Each of the twelve sets in its official layout, from its files to a record."""

from __future__ import annotations

from pathlib import Path

import pytest

from robust_det.checkpoints.model_file import NetworkFile
from robust_det.core.errors import UserError
from robust_det.data.transfer.catalogue import SETS
from robust_det.data.transfer.manifest import read_manifest
from robust_det.records.transfer import TransferRecord
from robust_det.transfer.run import transfer
from robust_det.transfer.settings import explain
from tests.support.transfer_trees import TREES, trees_below

# images of train and val together, and of test
SIZES = {
    "aircraft": (12, 6),
    "birdsnap": (9, 3),
    "caltech101": (90, 6),
    "caltech256": (180, 6),
    "cars": (4, 3),
    "cifar10": (20, 4),
    "cifar100": (4, 4),
    "dtd": (12, 6),
    "flowers": (6, 4),
    "food": (9, 3),
    "pets": (6, 3),
    "sun397": (6, 3),
}


def run(name: str, root: Path, backbone: Path, output: Path, *more: str) -> TransferRecord:
    pairs = ["DATA.ROOT", str(root), "OUTPUT_DIR", str(output), "DATA.WORKERS", "0"]
    cfg, _ = explain(
        f"transfer_{name}.yaml", [*pairs, "TRANSFER.HEAD", "ridge", "EVAL.EPS", "0", *more]
    )
    return transfer(cfg, name, NetworkFile(backbone))


def test_every_set_is_here() -> None:
    assert set(SIZES) == set(TREES) == set(SETS) - {"folder", "csv"}


@pytest.mark.parametrize("name", SIZES)
def test_a_set_is_transferred_to(
    name: str, backbone: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with trees_below(tmp_path) as make:
        record = run(name, make(name), backbone, tmp_path / "run")
    assert (record.data.train + record.data.val, record.data.test) == SIZES[name]
    assert record.data.headline == SETS[name].headline
    assert record.data.classes in (2, 3)
    assert 0 <= record.metrics["mean_per_class"] <= 100
    manifest = read_manifest(tmp_path / "run/manifest.csv")
    assert record.data.manifest == manifest.digest
    contents = [{e.sha256 for e in manifest.entries(split)} for split in ("training", "test")]
    assert not contents[0] & contents[1]
    # so few images are no official copy, which is said
    assert "is a truncated copy" in caplog.text


def test_the_paper_takes_the_first_files_of_caltech_whatever_the_seed(
    backbone: Path, tmp_path: Path
) -> None:
    paper = ("PAPER.FIRST_FILES", "True", "SEED", "5")
    with trees_below(tmp_path) as make:
        root = make("caltech101")
        record = run("caltech101", root, backbone, tmp_path / "paper", *paper)
        drawn = run("caltech101", root, backbone, tmp_path / "drawn", "SEED", "5")
    assert record.quirks == ["PAPER.FIRST_FILES"] and not drawn.quirks
    assert record.data.manifest != drawn.data.manifest
    first = {entry.path for entry in read_manifest(tmp_path / "paper/manifest.csv").training}
    for name in ("Faces", "accordion", "yin_yang"):
        assert {f"{name}/image_{i:04d}.jpg" for i in range(1, 31)} <= {
            path.partition("101_ObjectCategories/")[2] or path for path in first
        }


def test_a_set_without_its_official_lists_is_refused(backbone: Path, tmp_path: Path) -> None:
    with trees_below(tmp_path) as make:
        root = make("dtd")
    for path in (root / "dtd/labels").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"has images of DTD, and no labels/train1\.txt"):
        run("dtd", root, backbone, tmp_path / "run")
