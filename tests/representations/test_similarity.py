"""``robust-det analyze similarity``: the figures, what is kept, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from robust_det.checkpoints.model_file import read_model
from robust_det.models.classifier import Normalize
from robust_det.models.features import own_features
from robust_det.representations import outputs
from robust_det.visualization.images import read_square
from tests.representations.conftest import Write, write_noise
from tests.representations.test_cka import plain_cka
from tests.support import Outcome, refused, run_tool

STAGES = ("res2", "res3", "res4", "res5")


def asked(tmp_path: Path, *arguments: object, out: str = "out") -> Outcome:
    return run_tool("analyze", "similarity", *arguments, "--output", tmp_path / out)


def shown(tmp_path: Path, *arguments: object) -> str:
    said = refused("analyze", "similarity", *arguments, "--output", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    return said


def rows_of(folder: Path, name: str = "similarity") -> list[Mapping[str, Any]]:
    return list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))


def plain_features(path: Path, images: Path, size: int = 48) -> dict[str, NDArray[np.float64]]:
    """Features by the network's own code, one image at a time."""
    model = read_model(path)
    normalize = Normalize(model.mean, model.std)
    with torch.no_grad():
        found = [
            own_features(model.arch, model.body(), normalize(read_square(each, size)[None]))
            for each in sorted(images.iterdir())
        ]
    return {
        name: torch.cat([one[name].mean((2, 3)) for one in found]).double().numpy()
        for name in STAGES
    }


def test_figures_are_those_of_the_definition(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    done = asked(tmp_path, "--backbones", *paths, "--images", images)
    assert done.code == 0, done.err
    first, second = (plain_features(path, images) for path in paths)
    rows = rows_of(tmp_path / "out")
    assert [(row["first_stage"], row["second_stage"]) for row in rows] == [
        (a, b) for a in STAGES for b in STAGES
    ]
    for row in rows:
        truth = plain_cka(first[row["first_stage"]], second[row["second_stage"]])
        assert float(row["cka"]) == pytest.approx(truth, abs=1e-5)
        assert float(row["low"]) <= float(row["cka"]) <= float(row["high"])
    # one standard backbone is no yardstick, and that is said
    assert "Not known: whether standard and L2 ε 1 backbones of resnet10_narrow" in done.out
    assert "with 1 standard backbone: give one of another pretraining seed" in done.out
    assert "averaged over all positions of a stage (global average pooling)" in done.out


def test_the_record_says_what_was_compared(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    assert asked(tmp_path, "--backbones", *paths, "--images", images, "--draw", 9).code == 0
    out = tmp_path / "out"
    record = json.loads((out / "similarity.json").read_text())
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert [each["sha256"] for each in record["networks"]] == hashes
    assert len(record["images"]) == 9 and all(
        each["sha256"] == hashlib.sha256(Path(each["path"]).read_bytes()).hexdigest()
        for each in record["images"]
    )
    assert record["environment"]["versions"]["torch"] == metadata.version("torch")
    assert "similarity" in record["environment"]["command"] and record["settings"]["size"] == 48
    cells = [float(row["cka"]) for row in rows_of(out)]
    assert [row["cka"] for row in record["figures"]["similarity"]] == pytest.approx(cells)
    assert any("9 of 12 images were drawn, by seed 0" in line for line in record["said"])
    assert b"<svg" in (out / "plots/similarity_pairs.svg").read_bytes()
    assert (out / "plots/similarity_pairs.png").read_bytes().startswith(b"\x89PNG")
    assert "plots/similarity_pairs.png" in (out / "summary.md").read_text()


def test_a_second_run_extracts_nothing(
    write_network: Write, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    first = asked(tmp_path, "--backbones", *paths, "--images", images)
    assert "The features of all 2 backbones were extracted, and are kept." in first.out

    def fail(*arguments: object, **more: object) -> None:
        raise AssertionError("it runs a network")

    monkeypatch.setattr(outputs, "extract", fail)
    # other layers are of the same passes, and where files lie does not matter
    moved = shutil.copytree(images, tmp_path / "moved")
    again = asked(
        tmp_path, "--backbones", *paths, "--images", moved, "--layers", "res4", out="again"
    )
    assert again.code == 0, again.err
    assert "kept from earlier; nothing was extracted" in again.out
    (row,) = rows_of(tmp_path / "again")
    (same,) = [
        one
        for one in rows_of(tmp_path / "out")
        if one["first_stage"] == one["second_stage"] == "res4"
    ]
    assert row["cka"] == same["cka"]
    monkeypatch.undo()
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    third = write_network("n2", 2, 1.0)
    more = asked(tmp_path, "--backbones", *paths, third, "--images", images, out="more")
    assert "features of 2 of 3 backbones were kept from earlier; those of n2 were" in more.out


def test_the_batch_size_changes_nothing(
    write_network: Write, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    found = []
    for batch in (1, 5, 64):
        monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / f"cache{batch}"))
        done = asked(
            tmp_path, "--backbones", *paths, "--images", images, "--batch", batch, out=f"out{batch}"
        )
        assert "were extracted" in done.out
        found.append([float(row["cka"]) for row in rows_of(tmp_path / f"out{batch}")])
    assert found[1] == pytest.approx(found[0], abs=1e-6)
    assert found[2] == pytest.approx(found[0], abs=1e-6)


def test_other_architectures_and_sizes_are_compared_by_the_names_of_stages(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    small, large = write_network("small"), write_network("large", 1, 1.0, "resnet18", 64)
    done = asked(tmp_path, "--backbones", small, large, "--images", images)
    assert done.code == 0, done.err
    assert "Trained at another size than the 64 px that all see here: small (48 px)." in done.out
    assert "differ in more than their training: resnet10_narrow, resnet18" in done.out
    assert "no standard and robust backbone of one architecture are among these" in done.out
    widths = [plain_features(path, images, 64)["res5"].shape[1] for path in (small, large)]
    assert widths[0] != widths[1]
    assert len(rows_of(tmp_path / "out")) == 16


def test_a_grid_keeps_where_features_are(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    given = ("--backbones", *paths, "--images", images, "--size", 64)
    assert asked(tmp_path, *given, "--grid", 2, "--layers", "res5").code == 0
    (row,) = rows_of(tmp_path / "out")
    model = [read_model(path) for path in paths]
    features = []
    for each in model:
        squares = torch.stack([read_square(path, 64) for path in sorted(images.iterdir())])
        with torch.no_grad():
            res5 = own_features(each.arch, each.body(), Normalize(each.mean, each.std)(squares))[
                "res5"
            ]
        assert res5.shape[2:] == (2, 2)  # so that nothing is averaged
        features.append(res5.flatten(1).double().numpy())
    assert float(row["cka"]) == pytest.approx(plain_cka(*features), abs=1e-5)
    said = shown(tmp_path, *given, "--grid", 3)
    assert said.startswith("--grid 3 asks for 3 x 3 cells, and the deepest stage of n0 has 2 x 2")


def test_the_stem_is_a_layer_that_can_be_asked_for(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    given = ("--backbones", *paths, "--images", images)
    assert asked(tmp_path, *given, "--layers", "res2", "stem").code == 0
    assert [row["first_stage"] for row in rows_of(tmp_path / "out")][::2] == ["stem", "res2"]
    said = shown(tmp_path, *given, "--layers", "res6")
    assert said.startswith("n0 has no layer 'res6'; did you mean 'res5'? (it has stem, res2,")


def test_one_backbone_has_nothing_to_be_compared_with(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    path = write_network("one")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    said = shown(tmp_path, "--backbones", path, "--images", images)
    assert (
        said
        == f"one ({digest}) alone has nothing to be compared with; give two --backbones or more"
    )
    copy = tmp_path / "copy.pth"
    shutil.copy(path, copy)
    said = shown(tmp_path, "--backbones", path, copy, "--images", images)
    assert f"{copy} has the weights of {path}, and counts once" in said
    said = shown(tmp_path, "--backbones", path, path, "--images", images)
    assert f"({digest}) alone" in said and f"{path} is given again, and counts once" in said


def test_images_that_do_not_do(write_network: Write, images: Path, tmp_path: Path) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    given = ("--backbones", *paths, "--images", images)
    said = shown(tmp_path, *given, "--draw", 3)
    assert said.startswith("debiased CKA needs 4 images of contents of their own or more, and")
    # copies are no images of their own
    for number in range(1, 4):
        shutil.copy(images / "00.png", tmp_path / f"copy{number}.png")
    copies = sorted(tmp_path.glob("copy*.png"))
    said = shown(tmp_path, "--backbones", *paths, "--images", *copies, images / "01.png")
    assert said.endswith("there are 2; give more --images")
    assert asked(tmp_path, *given, *copies).code == 0
    assert (
        "3 images left out, having the content of another"
        in (tmp_path / "out/summary.md").read_text()
    )
    said = shown(tmp_path, *given, "--size", 24)
    assert said.startswith("images of 24 px are smaller than the stride of n0, 32 px")
    small = write_noise(images / "small.png", 99, (40, 31))
    assert f"{small} has 40 x 31 pixels, and its features have a stride" in shown(tmp_path, *given)
    small.unlink()
    broken = images / "03.png"
    broken.write_bytes(broken.read_bytes()[:400])
    said = shown(tmp_path, *given)
    assert "03.png" in said and said.endswith("put a whole image in its place, or leave it out")


def test_four_images_have_no_interval(write_network: Write, images: Path, tmp_path: Path) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    assert asked(tmp_path, "--backbones", *paths, "--images", images, "--draw", 4).code == 0
    assert {row["low"] for row in rows_of(tmp_path / "out")} == {""}


def spoil_res5(state: dict[str, torch.Tensor]) -> None:
    for name, value in state.items():
        if name.startswith("layer4") and name.endswith("weight"):
            value.zero_()


def spoil_all(state: dict[str, torch.Tensor]) -> None:
    state["layer2.0.conv1.weight"].fill_(math.nan)


def test_a_stage_that_does_not_vary_is_undefined(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = [write_network("n0"), write_network("dead", 1, 1.0, change=spoil_res5)]
    done = asked(tmp_path, "--backbones", *paths, "--images", images)
    assert done.code == 0, done.err
    assert "Undefined, since it is the same of all images: res5 of dead." in done.out
    rows = rows_of(tmp_path / "out")
    assert {row["cka"] == "" for row in rows if row["second_stage"] == "res5"} == {True}
    assert all(row["cka"] for row in rows if row["second_stage"] != "res5")
    record = json.loads((tmp_path / "out/similarity.json").read_text())
    assert record["figures"]["similarity"][-1]["cka"] is None


def test_features_that_are_not_finite_are_refused(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = [write_network("n0"), write_network("broken", 1, 1.0, change=spoil_all)]
    said = refused(
        *("analyze", "similarity"),
        *("--backbones", *paths, "--images", images, "--output", tmp_path / "none"),
    )
    assert "NaN" in said and "broken" in said


def test_nothing_else_is_replaced(write_network: Write, images: Path, tmp_path: Path) -> None:
    paths = [write_network(f"n{eps}", eps, eps) for eps in (0, 1)]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    said = refused(
        *("analyze", "similarity"),
        *("--backbones", *paths, "--images", images, "--output", tmp_path / "mine"),
    )
    assert "mine holds something other than an answer" in said
