"""Which images a run is validated on: a folder that is named, or a part of the training images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import read_model
from robust_det.checkpoints.pretrained import Validated
from robust_det.classification.image_sets import image_sets, validation_set
from robust_det.classification.measure import open_validation
from robust_det.classification.own_validation import own_validation_notes
from robust_det.classification.settings import load_config
from robust_det.core.errors import UserError
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.held_out import hold_out
from robust_det.data.classification.identity import names_digest
from robust_det.data.classification.image_folder import ImageFolder

WHOLE = eval_transform(32, 32)


@pytest.fixture
def tree(image_tree: Path, tmp_path: Path) -> Path:
    """36 training images of 3 classes, and no others."""
    root = Path(shutil.copytree(image_tree, tmp_path / "data"))
    shutil.rmtree(root / "val")
    return root


def config(tiny: Path, tree: Path, *overrides: object) -> Any:
    return load_config(str(tiny), ["DATA.ROOT", str(tree), *map(str, overrides)])


def test_each_class_has_its_share_on_either_side(tree: Path) -> None:
    for name in ("02.png", "03.jpg", "04.png"):
        (tree / "train" / "red" / name).unlink()
    for path in sorted((tree / "train" / "green").iterdir())[2:]:
        path.unlink()
    data = ImageFolder(tree, "train", WHOLE)
    train, val, held_out = hold_out(data, 0.25, 0)
    assert np.bincount(data.targets).tolist() == [12, 2, 9]
    # halves are rounded to even: 0.5 of green would be none, and one at least is held out
    assert np.bincount(val.targets).tolist() == [3, 1, 2]
    assert np.bincount(train.targets).tolist() == [9, 1, 7]
    names = {*train.names.tolist()}, {*val.names.tolist()}
    assert not names[0] & names[1] and names[0] | names[1] == {*data.names.tolist()}
    for part in (train, val):
        labels = [part.classes.index(name.decode().split("/")[0]) for name in part.names]
        assert labels == part.targets.tolist()
    assert (held_out.of, held_out.sha256) == (23, names_digest(val))
    assert hold_out(data, 0.25, 0)[2] == held_out != hold_out(data, 0.25, 1)[2]
    assert np.bincount(hold_out(data, 0.99, 0)[0].targets).tolist() == [1, 1, 1]


def test_the_draw_stays_as_it_is(image_tree: Path) -> None:
    """Another draw would validate runs that go on, and their files, on images trained on."""
    _, val, _ = hold_out(ImageFolder(image_tree, "train", WHOLE), 0.2, 0)
    assert [name.decode() for name in val.names] == [
        "blue/01.jpg",
        "blue/11.jpg",
        "green/00.png",
        "green/02.png",
        "red/04.png",
        "red/07.jpg",
    ]


def test_a_class_of_one_image_is_refused_by_name(tree: Path) -> None:
    for path in sorted((tree / "train" / "green").iterdir())[1:]:
        path.unlink()
    with pytest.raises(
        UserError, match=r"1 class of .*train with one image, such as green, cannot"
    ):
        hold_out(ImageFolder(tree, "train", WHOLE), 0.2, 0)


def test_runs_of_all_seeds_have_one_split(tiny: Path, tree: Path) -> None:
    sets = [image_sets(config(tiny, tree, "DATA.VAL_FRACTION", 0.2, "SEED", i)) for i in (0, 1)]
    assert sets[0].held_out == sets[1].held_out
    assert sets[0].val.names.tolist() == sets[1].val.names.tolist()
    assert (len(sets[0].train), len(sets[0].val)) == (30, 6)
    assert (sets[0].train.seed, sets[1].train.seed) == (0, 1)
    other = image_sets(config(tiny, tree, "DATA.VAL_FRACTION", 0.2, "DATA.VAL_SEED", 1))
    assert other.val.names.tolist() != sets[0].val.names.tolist()
    # as validation sees them, and as it sees those of a folder
    alone, held_out = validation_set(config(tiny, tree, "DATA.VAL_FRACTION", 0.2))
    assert held_out == sets[0].held_out
    assert all(bool((sets[0].val[7, i][0] == alone[0, i][0]).all()) for i in range(6))  # type: ignore[union-attr]


def test_a_run_and_what_evaluates_its_file(
    pretrain: Any, tiny: Path, tree: Path, tmp_path: Path
) -> None:
    split = ("DATA.ROOT", tree, "DATA.VAL_FRACTION", 0.2, "ATTACK.EPS", 0)
    outcome = pretrain(*split, "TRAIN.EPOCHS", 1)
    assert outcome.code == 0, outcome.err
    said = f"validation images: 6 of the 36 of {tree}/train, split off by fraction 0.2 and seed 0"
    assert f"{said}; the others are trained on" in outcome.out
    assert "30 training images of 3 classes" in outcome.out
    run = tmp_path / "run"
    record = json.loads((run / "record.json").read_text())
    _, held, expected = hold_out(ImageFolder(tree, "train", WHOLE), 0.2, 0)
    off = {"fraction": 0.2, "seed": 0, "of": 36, "sha256": expected.sha256}
    assert record["data"] == {
        "train": {"images": 30, "classes": 3},
        "val": {"images": 6, "split_off": off},
    }

    again = pretrain(*split, "--eval-only")
    assert said in again.out and "does not say" not in again.out
    evaluated = json.loads((run / "eval" / "record.json").read_text())
    assert evaluated["data"] == record["data"]["val"]
    assert evaluated["metrics"]["clean_top1"] == record["metrics"]["clean_top1"]

    model = read_model(run / "final.pth")
    assert model.validated == Validated("val", 0.2, 0, expected.sha256, 32)
    found, by = open_validation(tree, model)
    assert by == expected and found.names.tolist() == held.names.tolist()
    assert own_validation_notes(model, found, by) == []
    other = validation_set(config(tiny, tree, "DATA.VAL_FRACTION", 0.2, "DATA.VAL_SEED", 1))
    (note,) = own_validation_notes(model, *other)
    assert note.startswith("the file does not say that it was trained without these images of")

    refused = pretrain("--resume", *split, "TRAIN.EPOCHS", 1, "DATA.VAL_FRACTION", 0.3)
    assert "DATA.VAL_FRACTION: 0.2 -> 0.3" in refused.error

    shutil.copytree(tree / "train", tree / "val")
    train = image_sets(config(tiny, tree, "DATA.VAL_FRACTION", 0.2)).train
    assert train.notes == (
        f"{tree} has val as well, which is not read: DATA.VAL_FRACTION 0.2 counts",
    )
    found, by = open_validation(tree, model)
    assert (found.folder, by) == (tree / "val", None)
    (note,) = own_validation_notes(model, found, by)
    assert note.startswith("in training the file was validated on 0.2 of the training images")


def test_evaluation_of_other_training_images_is_refused(tree: Path) -> None:
    def model(*validated: Any) -> Model:
        return Model(
            "resnet18", {}, "test", classes=("blue", "green", "red"), validated=validated[0]
        )

    with pytest.raises(UserError, match=r"has images of training, train, and no val; give the"):
        open_validation(tree, model(None))
    with pytest.raises(UserError, match="nor are they those that the file was trained on; give"):
        open_validation(tree, model(Validated("val", 0.2, 0, "0" * 64, 32)))
    shutil.copytree(tree / "train", tree / "valid")
    found, _ = open_validation(tree, model(Validated("valid", 0.0, 0, "", 32)))
    assert found.folder == tree / "valid"
    assert open_validation(tree / "valid", model(None))[0].folder == tree / "valid"


def test_a_folder_is_named(pretrain: Any, image_tree: Path, tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    shutil.copytree(image_tree, root)
    (root / "val").rename(root / "Valid")
    error = pretrain("DATA.ROOT", root).error
    assert f"no folder {root}/val; set DATA.VAL to the folder of the validation images" in error
    assert "(Valid/ is there), or DATA.VAL_FRACTION" in error
    arguments = ("DATA.ROOT", root, "ATTACK.EPS", 0, "TRAIN.EPOCHS", 1)
    assert pretrain(*arguments, "DATA.VAL", "Valid").code == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["data"]["val"] == {"images": 15}
    (root / "Valid").rename(elsewhere)
    resumed = pretrain(*arguments, "--resume", "DATA.VAL", elsewhere)  # the same images
    assert resumed.code == 0, resumed.err
    (elsewhere / "red" / "00.png").unlink()
    evaluated = pretrain(*arguments[:4], "--eval-only", "DATA.VAL", elsewhere)
    assert "no attack (eps 0), 14 images" in evaluated.out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["DATA.VAL_FRACTION", 1], r"DATA\.VAL_FRACTION must be below 1, not 1"),
        (["DATA.VAL_FRACTION", -0.1], r"DATA\.VAL_FRACTION must be at least 0, not -0\.1"),
        (["DATA.VAL", ""], r"DATA\.VAL is empty; give the folder"),
        (["DATA.VAL", "x", "DATA.VAL_FRACTION", 0.1], "are two sets of validation images"),
        (["DATA.VAL_SEED", 1], r"DATA\.VAL_SEED has no effect without DATA\.VAL_FRACTION above 0"),
        (["DATA.VAL", "train"], r"DATA\.VAL train is the folder of the training images; give"),
        (["DATA.VAL", "linked"], r"DATA\.VAL linked is the folder of the training images"),
        (["DATA.VAL", "train/red"], r"DATA\.VAL train/red lies in the folder of the training"),
        (["DATA.VAL", "."], r"DATA\.VAL \. holds the folder of the training images"),
        (["DATA.VAL", "shared"], r"shared/red is .*train/red, so that its images are trained on"),
        (["DATA.VAL", "file"], "file is a file; a split is a folder of class folders"),
        (["DATA.VAL", "away"], r"no folder .*/away; set DATA\.VAL to the folder"),
    ],
)
def test_what_is_no_validation_set(
    tiny: Path, tree: Path, overrides: list[object], message: str
) -> None:
    (tree / "linked").symlink_to(tree / "train")
    for name in ("blue", "green"):
        shutil.copytree(tree / "train" / name, tree / "shared" / name)
    (tree / "shared" / "red").symlink_to(tree / "train" / "red")
    (tree / "file").write_text("no folder")
    with pytest.raises(UserError, match=message):
        image_sets(config(tiny, tree, *overrides))
