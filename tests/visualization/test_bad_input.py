"""What does not go into a picture is refused or told, in one line."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.commands.main import main
from tests.support import refused, run_tool


def shown(what: str, *arguments: object) -> str:
    return refused("visualize", what, *arguments)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (
            "inversions --backbones a",
            "unknown kind of picture 'inversions'; did you mean 'inversion'?",
        ),
        ("filters", "nothing says which networks: give --backbones"),
        ("features", "nothing says which networks: give --backbones or --detectors"),
        ("inversion --backbones a", "inversion shows images: give --images, files or a folder"),
        ("inversion --detectors a", "inversion shows backbones, not detectors: give --backbones"),
        ("explain --backbones a --images b", "explain shows detectors, not backbones"),
        ("filters --backbones a --images b", "--images has no effect on filters; leave it out"),
        ("filters --backbones a --seed 0", "--seed has no effect on filters; leave it out"),
        ("gradients --backbones a --images b --eps 1", "--eps has no effect on gradients"),
        ("classes --backbones a --seed-image", "expected one argument"),
        ("classes --backbones a --iterations 5 --preset quick", "--preset says the number of"),
        ("classes --backbones a --preset fast", "unknown --preset 'fast'; it is paper or quick"),
        ("classes --backbones a --step 0", "--step is 0; it is a length above 0"),
        ("classes --backbones a --eps nan", "--eps is nan; it is a length above 0"),
        ("classes --backbones a --classes b --draw 3", "--classes names those to draw"),
        ("gradients --backbones a --images b --label all", "--label is 'all'; it is true or"),
        ("inversion --backbones a --images b --draw 0", "--draw is 0; it starts from 1"),
        ("explain --detectors a --images b --score 2", "--score is 2; it is from 0 to 1"),
    ],
)
def test_command_lines_without_sense(arguments: str, message: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stderr(out):
        assert main(["visualize", *arguments.split(), "--output", "/nowhere"]) == 2
    assert message in out.getvalue() and out.getvalue().count("\n") == 1, out.getvalue()


def test_images_that_no_feature_fits_into(networks: list[Path], tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.new("RGB", (40, 31)).save(small)
    place = ("--backbones", networks[0], "--output", tmp_path / "out")
    said = shown("gradients", *place, "--images", small)
    assert "small.png has 40 x 31 pixels, and its features have a stride of 32" in said
    large = tmp_path / "large.png"
    Image.new("RGB", (64, 64)).save(large)
    said = shown("gradients", *place, "--images", large, "--size", 24)
    assert said.startswith("images of 24 px are smaller than the stride of eps0, 32 px")
    (tmp_path / "text.png").write_text("no image")
    said = shown("gradients", *place, "--images", tmp_path / "text.png")
    assert "text.png is not an image" in said
    assert "no image, folder or video at" in shown("gradients", *place, "--images", "/absent.png")
    assert not (tmp_path / "out").exists()


def test_layers_that_are_not_there(
    networks: list[Path], make_detector: Callable[..., Path], image_tree: Path, tmp_path: Path
) -> None:
    to = ("--images", image_tree / "val/red", "--output", tmp_path / "out")
    said = shown("features", "--backbones", networks[0], "--layers", "rse4", *to)
    assert said.startswith("eps0 has no layer 'rse4'; did you mean 'res4'? (it has stem, res2,")
    said = shown("explain", "--detectors", make_detector("c4"), "--layers", "own", *to)
    assert said == "run has no layer 'own' (it has res4)"
    said = shown("explain", "--detectors", make_detector("mask"), "--layers", "p9", *to)
    assert "has no layer 'p9'; did you mean 'p6'? (it has res2, " in said
    said = shown(
        *("features", "--detectors", make_detector("mask"), "--layers", "p6", "--size", 48, *to)
    )
    assert said.startswith("images of 48 px are smaller than the stride of the deepest of these")


def test_networks_that_are_something_else(
    networks: list[Path], make_detector: Callable[..., Path], image_tree: Path, tmp_path: Path
) -> None:
    to = ("--images", image_tree / "val/red", "--output", tmp_path / "out")
    detector = make_detector("mask").parent / "run/model_final.pth"
    said = shown("inversion", "--backbones", detector, *to)
    assert said.endswith("is a detector, not a backbone; robust-det visualize explain shows it")
    said = shown("features", "--backbones", detector, *to)
    assert said.endswith("is a detector, not a backbone; give it as --detectors")
    said = shown("explain", "--detectors", networks[0], *to)
    assert said.startswith(f"{networks[0]} is a backbone, not a detector")
    said = shown("explain", "--detectors", tmp_path, *to)
    assert said.startswith(f"{tmp_path} is no folder of a trained detector")


def test_classes_that_networks_do_not_share(
    networks: list[Path], write_network: Any, tmp_path: Path
) -> None:
    other = write_network(tmp_path / "other.pth", 2, classes=("a", "b"))
    to = ("--output", tmp_path / "out", "--iterations", 1)
    said = shown("classes", "--backbones", networks[0], other, *to)
    assert said.startswith("eps0 and other tell other classes (4 and 2)")
    said = shown("classes", "--backbones", networks[0], "--classes", "gren", *to)
    assert said == "the networks tell no class 'gren'; did you mean 'green'?"
    headless = tmp_path / "headless.pth"
    content = load_checkpoint(networks[0])
    content["model"] = {k: v for k, v in content["model"].items() if not k.startswith("fc.")}
    save_checkpoint(headless, {"state_dict": content["model"]})
    said = shown("classes", "--backbones", headless, *to)
    assert "have no classification head" in said


def test_true_classes_that_nobody_knows(
    networks: list[Path], image_tree: Path, tmp_path: Path
) -> None:
    image = tmp_path / "photo.png"
    image.write_bytes(min((image_tree / "val/red").glob("*.png")).read_bytes())
    to = ("--images", image, "--output", tmp_path / "out")
    said = shown("gradients", "--backbones", networks[0], "--label", "true", *to)
    assert said.startswith(f"the true class of {image} is not known")
    done = run_tool("visualize", "gradients", "--backbones", networks[0], *to)
    assert done.code == 0 and "it is the loss of the predicted class: the folder of" in done.out


def test_what_is_no_picture_is_not_replaced(networks: list[Path], tmp_path: Path) -> None:
    (tmp_path / "filters.png").write_bytes(b"mine")
    said = refused(
        *("visualize", "filters", "--backbones", networks[0], "--output", tmp_path),
        untouched=tmp_path,
    )
    assert said.startswith(f"{tmp_path / 'filters.png'} was not made by robust-det visualize")


def test_networks_of_other_sizes_and_architectures_are_told(
    networks: list[Path], write_network: Any, image_tree: Path, tmp_path: Path
) -> None:
    other = write_network(tmp_path / "wide.pth", 3, "resnet18", 64)
    done = run_tool(
        *("visualize", "features", "--backbones", networks[0], other, "--layers", "res5"),
        *("--images", image_tree / "val/red", "--draw", 2, "--output", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "out/features.json").read_text())
    said = " ".join(record["said"])
    assert "Trained at another size than the 64 px that all see here: eps0 (48 px)." in said
    assert "differ in more than their training: resnet10_narrow, resnet18." in said
    assert "2 of 5 images were drawn, by seed 0" in said and "were enlarged" in said
    assert record["settings"] == {"size": 64, "layers": ["res5"], "seed": 0}
    assert [row["positions"] for row in record["rows"]] == [4] * 4
