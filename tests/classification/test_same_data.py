"""A run goes on with the data it began with, in all of its processes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.classification.image_sets import image_sets, require_same_everywhere
from robust_det.classification.settings import load_config
from robust_det.core.errors import UserError
from robust_det.training.world import World


@pytest.fixture
def tree(image_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(image_tree, tmp_path / "data"))


@pytest.fixture
def begun(pretrain: Any, tree: Path, tmp_path: Path) -> Any:
    """Return what goes on with a run of one epoch, whose last step is to be done again."""
    arguments = ("DATA.ROOT", tree, "TRAIN.EPOCHS", 1, "TRAIN.CHECKPOINT_STEPS", 5)
    with pytest.MonkeyPatch.context() as patch:
        from robust_det.classification.pretraining import Pretraining

        update = Pretraining.update

        def stop(self: Any, batch: Any, step: int) -> Any:
            if step == 5:
                raise UserError("killed")
            return update(self, batch, step)

        patch.setattr(Pretraining, "update", stop)
        assert "killed" in pretrain(*arguments).error
    return lambda *more: pretrain("--resume", *arguments, *more)


def test_elsewhere_and_with_free_keys_it_goes_on(begun: Any, tree: Path, tmp_path: Path) -> None:
    moved = tree.rename(tmp_path / "moved")
    outcome = begun(
        "DATA.ROOT", moved, "DATA.ON_CORRUPT", "skip", "EVAL.STEPS", 2, "DEVICE", "auto"
    )
    assert outcome.code == 0, outcome.err
    assert "best.pth is chosen anew from here: EVAL.STEPS: 1 -> 2" in outcome.out


def test_renamed_images_are_refused(begun: Any, tree: Path) -> None:
    (tree / "train" / "red" / "03.jpg").rename(tree / "train" / "red" / "99.jpg")
    assert "was made with images of other names than those of" in begun().error


def test_exchanged_images_are_refused(begun: Any, tree: Path) -> None:
    a, b = tree / "val" / "red" / "03.jpg", tree / "val" / "blue" / "03.jpg"
    content = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(content)
    error = begun().error
    assert "2 files of" in error and f"such as {b}" in error


def test_advice_for_a_damaged_image_is_accepted(begun: Any, tree: Path) -> None:
    bad = tree / "val" / "red" / "03.jpg"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:300])
    error = begun().error
    assert f"cannot decode {bad}" in error and "set DATA.ON_CORRUPT skip" in error
    bad.unlink()
    assert "put them back" in begun().error
    bad.write_bytes(whole)
    assert begun().code == 0


def test_a_removed_training_image(begun: Any, tree: Path, tmp_path: Path) -> None:
    bad = tree / "train" / "red" / "03.jpg"
    bad.unlink()
    error = begun().error
    assert "was made with 36 training images, DATA.ROOT has 35" in error
    bad.write_bytes(b"")  # "or even damaged with DATA.ON_CORRUPT skip"
    assert begun("DATA.ON_CORRUPT", "skip").code == 0
    # "or begin anew in another OUTPUT_DIR with --weights"
    bad.unlink()
    last, other = tmp_path / "run" / "last.pth", tmp_path / "other"
    assert f"--weights {last}" in error
    assert begun("--weights", last, "OUTPUT_DIR", other).code == 0


@dataclasses.dataclass(frozen=True)
class Pair(World):
    """Two processes, of which the other's part is known."""

    theirs: Any = None

    def gather(self, value: object) -> list[object]:
        return [value, value if self.theirs is None else self.theirs]


def given(cfg: Any, tmp_path: Path) -> Any:
    caught: list[Any] = []

    class Catch(Pair):
        def gather(self, value: object) -> list[object]:
            caught.append(value)
            return [value, value]

    sets = image_sets(cfg)
    require_same_everywhere(cfg, sets.train, sets.val, tmp_path / "last.pth", Catch(0, 2))
    return caught[0]


def test_processes_with_other_data_are_named(tiny: Path, tree: Path, tmp_path: Path) -> None:
    def against(change: Any, *overrides: str) -> str:
        root = Path(shutil.copytree(tree, tmp_path / "node1"))
        change(root)
        other = given(load_config(str(tiny), ["DATA.ROOT", str(root), *overrides]), tmp_path)
        shutil.rmtree(root)
        cfg = load_config(str(tiny), ["DATA.ROOT", str(tree)])
        data = image_sets(cfg).train, image_sets(cfg).val
        with pytest.raises(UserError) as error:
            require_same_everywhere(cfg, *data, tmp_path / "last.pth", Pair(0, 2, 0, other))
        return str(error.value)

    def remove(root: Path) -> None:
        (root / "train" / "red" / "00.png").unlink()

    def other_class(root: Path) -> None:
        for split in ("train", "val"):
            (root / split / "red").rename(root / split / "a_red")

    def rename(root: Path) -> None:
        (root / "val" / "red" / "00.png").rename(root / "val" / "red" / "77.png")

    assert "process 1 has 35 training images in" in against(remove)
    assert "process 1 has the class 'a_red' in" in against(other_class)
    assert "process 1 has other names of images in" in against(rename)
    config = against(lambda root: None, "OPTIM.LR", "0.5")
    assert "process 1 has another config than process 0 (OPTIM.LR: 0.02 -> 0.5)" in config
    against_itself = load_config(str(tiny), ["DATA.ROOT", str(tree), "DATA.WORKERS", "1"])
    given(against_itself, tmp_path)


def test_validation_images_that_are_trained_on_are_said(pretrain: Any, tree: Path) -> None:
    shutil.copy(tree / "train" / "red" / "03.jpg", tree / "val" / "red" / "new name.jpg")
    (tree / "val" / "blue" / "linked.png").symlink_to(tree / "train" / "blue" / "02.png")
    outcome = pretrain("DATA.ROOT", tree, "TRAIN.EPOCHS", 1)
    assert "2 of the 17 validation images are among the training images as well" in outcome.out


def test_unread_validation_images_are_told_and_recorded(
    pretrain: Any, tree: Path, tmp_path: Path
) -> None:
    bad = sorted((tree / "val").rglob("*.*"))
    for path in bad[:4]:
        path.write_bytes(b"")
    arguments = ("DATA.ROOT", tree, "DATA.ON_CORRUPT", "skip", "TRAIN.EPOCHS", 1)
    outcome = pretrain(*arguments)
    assert "4 of the 15 images could not be read; accuracy is of the other 11" in (outcome.out)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["data"]["val"] == {"images": 11, "skipped": 4}
    assert record["evaluators"][0]["images"] == 11
    for path in bad:
        path.write_bytes(b"")
    error = pretrain(*arguments, "OUTPUT_DIR", tmp_path / "none").error
    assert f"none of the 15 validation images can be read, the first is {bad[0]}" in error


def test_one_class_is_none(pretrain: Any, tree: Path) -> None:
    for split in ("train", "val"):
        for name in ("blue", "green"):
            (tree / split / name).rename(tree / split / "red" / name)
    error = pretrain("DATA.ROOT", tree).error
    assert "train has one class folder, red, and a classifier needs two or more" in error


def test_tensorboard_shows_no_step_twice(begun: Any, tmp_path: Path, pretrain: Any) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (tmp_path / "run" / "last.pth").unlink()  # as if it had been killed before
    assert begun().code == 0
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"scalars": 0})
    events.Reload()
    steps = Counter(event.step for event in events.Scalars("train/loss"))
    assert steps == dict.fromkeys(range(1, 7), 1)
    assert torch.isfinite(torch.tensor([e.value for e in events.Scalars("train/loss")])).all()
