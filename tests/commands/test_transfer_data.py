"""``robust-det transfer-data``, from a folder to a manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from robust_det.data.transfer import catalogue
from robust_det.data.transfer.manifest import read_manifest
from tests.support import Outcome
from tests.support.transfer_trees import TREES, folders

Command = Callable[..., Outcome]


def test_the_sets_are_listed(command: Command) -> None:
    rows = command("transfer-data", "list").out.splitlines()
    assert len(rows) == 2 + len(catalogue.SETS)
    (pets,) = (row.split() for row in rows if row.startswith("pets"))
    assert pets[-6:] == ["37", "3,680", "+", "3,669", "mean_per_class", "yes"]


def test_a_copy_is_judged_and_its_splits_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TREES["dtd"](tmp_path)
    out = tmp_path / "dtd.csv"
    cut = command("transfer-data", "check", "dtd", tmp_path, "--manifest", out)
    assert cut.code == 1
    first, second, *_ = cut.out.splitlines()
    assert first == f"DTD in {tmp_path / 'dtd'}: a truncated copy"
    assert second == "differs: 3 classes with images, officially 47"
    manifest = read_manifest(out)
    assert cut.out.endswith(f"wrote {out}: digest {manifest.digest}\n")
    assert manifest.sizes == {"train": 6, "val": 6, "test": 6}
    assert command("transfer-data", "check", "dtd", tmp_path, "--manifest", out).code == 1  # again

    sizes = {"train": 6, "val": 6, "test": 6}
    facts = replace(catalogue.SETS["dtd"], classes=3, sizes=sizes, short_side=10)
    monkeypatch.setitem(catalogue.SETS, "dtd", facts)  # type: ignore[arg-type]
    whole = command("transfer-data", "check", "dtd", tmp_path, "--decode", "--download")
    assert whole.code == 0
    assert f"DTD is in {tmp_path} already" in whole.out and "official\n" in whole.out
    assert "3 classes; train 6, val 6, test 6; headline metric: top1" in whole.out


def test_a_manifest_is_compared_with_a_folder(command: Command, tmp_path: Path) -> None:
    TREES["food"](tmp_path)
    out = tmp_path / "food.csv"
    command("transfer-data", "check", "food", tmp_path, "--manifest", out)
    base = (tmp_path / "food-101").rename(tmp_path / "moved")
    same = command("transfer-data", "verify", out, base)
    assert (same.code, same.out) == (0, f"{base} holds the 12 images of {out}\n")
    (base / "images/tacos/1.jpg").unlink()
    (base / "images/tacos/2.jpg").write_bytes((base / "images/tacos/3.jpg").read_bytes())
    odd = command("transfer-data", "verify", out, base)
    assert (odd.code, odd.out.splitlines()) == (
        1,
        [
            "1 image missing, such as images/tacos/1.jpg",
            "1 image of other content, such as images/tacos/2.jpg",
        ],
    )
    assert command("transfer-data", "verify", base / "meta/train.json", base).error.startswith(
        f"{base}/meta/train.json is no manifest of a transfer set"
    )


def test_own_folders_and_refusals(command: Command, tmp_path: Path) -> None:
    root = folders(tmp_path / "own", {"a": 5, "b": 5})
    done = command("transfer-data", "check", "folder", root, "--seed", 3)
    assert done.code == 0 and "drawn by seed 3" in done.out
    assert "train 8, test 2" in done.out

    def refused(*words: object) -> str:
        outcome = command("transfer-data", "check", *words)
        assert outcome.code == 2
        return outcome.error

    assert refused("food", root).startswith(f"no Food-101 in {root}; expected: food-101/images")
    assert "Caltech-101 and Caltech-256" in refused("folder", root, "--protocol", "paper")
    assert refused("folder", root, "--seed", -1) == "--seed is -1; it starts from 0"
    assert refused("cars", tmp_path / "x", "--download").startswith("Stanford Cars cannot be")
    table = tmp_path / "list.csv"
    table.write_text("path,label\nown/a/00.png,a\nown/a/01.png,a\n")
    again = refused("csv", table, "--manifest", table)
    assert again == f"{table} is there and is no manifest; give --manifest another name"
    assert refused("dogs", root).startswith("no data set is called 'dogs'")


def test_reported_figures_are_shown_with_what_they_compare_with(command: Command) -> None:
    words = ("--set", "birdsnap", "--arch", "wide_resnet50_4", "--mode", "full-network")
    shown = command("transfer-data", "reference", *words)
    assert shown.code == 0
    first, head, _, *rows = shown.out.splitlines()
    assert first == "Salman et al. 2020, reported, submission of June 2020"
    assert head.split()[:8] == ["set", "arch", "norm", "eps", "mode", "px", "accuracy", "metric"]
    tables = [row.split() for row in rows if row.startswith("birdsnap")]
    assert [(row[3], row[5]) for row in tables[3:]] == [("0", "32"), ("1", "32"), ("3", "32")]
    assert all(row[-2:] == ["other-split,", "chosen-on-test"] for row in tables[3:])
    assert len(tables) == 6 and all("8,171" in row for row in tables)
    assert "other-split: 8,171 test images, where the official split has 2,443" in rows
    linf = command("transfer-data", "reference", "--norm", "linf").out
    assert linf.count(" 0.5/255  ") == 8
    assert len(command("transfer-data", "reference").out.splitlines()) == 1 + 2 + 1548 + 8


def test_the_best_settings_are_shown_on_request(command: Command) -> None:
    words = ("--set", "aircraft", "--arch", "wide_resnet50_4")
    rows = command("transfer-data", "reference", "--best", *words).out.splitlines()
    both = [row.split() for row in rows if row.startswith("aircraft")]
    assert [row[3:8] for row in both] == [
        ["0.25", "full-network", "0.001", "86.44", "mean_per_class"],
        ["0.05", "fixed-feature", "0.01", "44.38", "mean_per_class"],
    ]


def test_figures_that_nobody_reported_are_refused(command: Command) -> None:
    wrong = command("transfer-data", "reference", "--set", "pet")
    assert wrong.code == 2
    assert wrong.error == "nothing was reported of the data set 'pet'; did you mean 'pets'?"
    none = command("transfer-data", "reference", "--set", "pets", "--norm", "linf")
    assert none.code == 2
    assert none.error.startswith("nothing was reported of pets, linf together")
