"""``robust-det visualize``, from networks and images to a folder."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from robust_det.core.files import sha256_file
from robust_det.visualization.record import VisualRecord, read_visual
from tests.support import Outcome, run_tool


def visualize(what: str, output: Path, *arguments: object) -> tuple[Outcome, VisualRecord]:
    done = run_tool("visualize", what, "--output", output, *arguments)
    assert done.code == 0, done.err
    assert {p.name for p in output.iterdir()} >= {
        f"{what}.{s}" for s in ("png", "html", "csv", "json")
    }
    with Image.open(output / f"{what}.png") as picture:
        assert picture.width > 300
    return done, read_visual(output / f"{what}.json")


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_inversion(networks: list[Path], image_tree: Path, tmp_path: Path) -> None:
    images = sorted((image_tree / "val/red").glob("*"))[:3]
    arguments = ("--backbones", *networks, "--images", *images, "--iterations", 4)
    done, record = visualize("inversion", tmp_path / "out", *arguments)
    rows = rows_of(tmp_path / "out/inversion.csv")
    assert [(row["network"], Path(row["image"])) for row in rows] == [
        (name, image) for name in ("eps0", "eps1") for image in images
    ]
    for row, kept in zip(rows, record.rows, strict=True):
        assert float(row["inversion_error"]) == kept["inversion_error"] > 0
        words = rf"{row['network']} +{Path(row['image']).name} +{kept['inversion_error']:.4f}\n"
        assert re.search(words, done.out)
    assert re.search(r"eps1 minus eps0 +-?\d\.\d{3} \[-?\d\.\d{3}, -?\d\.\d{3}\]", done.out)
    means = {(m.network, m.metric, m.minus): m for m in record.means}
    errors = [float(row["inversion_error"]) for row in rows]
    one, two = sum(errors[:3]) / 3, sum(errors[3:]) / 3
    first = means["eps0", "inversion error", ""]
    assert first.value == pytest.approx(one) and first.low <= first.value <= first.high
    assert means["eps1", "inversion error", "eps0"].value == pytest.approx(two - one)
    assert {n.sha256 for n in record.networks} == {sha256_file(path) for path in networks}
    assert [n.eps for n in record.networks] == [0, 1]
    assert {i.sha256 for i in record.images} == {sha256_file(path) for path in images}
    assert record.settings["iterations"] == 4 and record.settings["eps"] == 1000
    assert record.settings["size"] == 48 and record.environment.versions["torch"]
    # the same again replaces it, with the same figures
    _, again = visualize("inversion", tmp_path / "out", *arguments)
    assert again.rows == record.rows
    # another seed of the noise, or an image in its place, is another search
    _, other = visualize("inversion", tmp_path / "out", *arguments, "--seed", 1)
    assert other.rows != record.rows
    given = ("--seed-image", images[0], "--iterations", 0)
    _, started = visualize("inversion", tmp_path / "out", *arguments[:-2], *given)
    assert started.rows[0]["inversion_error"] < 1e-5 and started.rows[0]["pixel_error"] == 0
    assert started.rows[0]["correlation"] == pytest.approx(1)
    assert started.rows[1]["inversion_error"] > 0


def test_presets() -> None:
    from robust_det.commands.jobs.visualize import PRESETS
    from robust_det.visualization.inversion import ITERATIONS

    assert ITERATIONS == 10_000 and PRESETS["quick"]["inversion"] == 300


def test_the_other_kinds_of_backbones(
    networks: list[Path], image_tree: Path, tmp_path: Path
) -> None:
    two = ("--backbones", *networks)
    images = ("--images", image_tree / "val/blue", image_tree / "val/green", "--draw", 4)
    _, gradients = visualize("gradients", tmp_path, *two, *images)
    assert [row["from"] for row in gradients.rows] == ["true"] * 8
    assert {row["class"] for row in gradients.rows} <= {"blue", "green"}
    _, classes = visualize("classes", tmp_path, *two, "--iterations", 5, "--classes", "red", "blue")
    assert [row["class"] for row in classes.rows] == ["red", "blue"] * 2
    assert all(row["logit"] > row["logit_before"] for row in classes.rows)
    _, features = visualize("features", tmp_path, *two, *images, "--layers", "res2", "stem")
    assert features.settings["layers"] == ["stem", "res2"]
    assert all(0.2 < sum(row[f"share_{n}"] for n in (1, 2, 3)) <= 1 + 1e-9 for row in features.rows)
    _, filters = visualize("filters", tmp_path, *two)
    assert len({row["l2"] for row in filters.rows}) > 8 and not filters.images
    assert len(list(tmp_path.glob("*.html"))) == 4


def test_features_of_a_detector_beside_a_backbone(
    networks: list[Path], make_detector: Callable[..., Path], scenes: Path, tmp_path: Path
) -> None:
    _, record = visualize(
        *("features", tmp_path, "--backbones", networks[0]),
        *("--detectors", make_detector("mask"), "--images", scenes / "val", "--draw", 1),
    )
    assert record.settings["layers"] == [
        "res2",
        "res3",
        "res4",
        "res5",
        "p2",
        "p3",
        "p4",
        "p5",
        "p6",
    ]
    assert [n.kind for n in record.networks] == ["backbone", "detector"]
    of_detector = [row for row in record.rows if row["network"] == "run"]
    assert [row["channels"] for row in of_detector][4:] == [32] * 5
    assert [row["positions"] for row in of_detector] == [576, 144, 36, 9, 576, 144, 36, 9, 4]


def test_explain(make_detector: Callable[..., Path], scenes: Path, tmp_path: Path) -> None:
    both = (make_detector("mask"), make_detector("retinanet"))
    arguments: tuple[Any, ...] = ("--images", scenes / "val", "--draw", 2, "--score", 0)
    _, record = visualize("explain", tmp_path, "--detectors", *both, *arguments, "--boxes", 2)
    assert [n.name for n in record.networks] == [f"run ({n.sha256[:8]})" for n in record.networks]
    kinds = {row["map"] for row in record.rows}
    assert {"gradient", "res5"} < kinds and kinds - {"gradient", "res5"} <= set(LEVELS)
    for row in record.rows:
        assert row["share_inside"] is None or 0 <= row["share_inside"] <= 1
    metrics = {mean.metric for mean in record.means}
    assert "share of the map in the box, gradient" in metrics
    done = run_tool(
        *("visualize", "explain", "--detectors", both[0], "--output", tmp_path / "none"),
        *(*arguments[:-1], 1),
    )
    assert done.code == 2 and "no detector finds a box of a score of 1 or more" in done.error
    assert not (tmp_path / "none").exists()
    text = json.loads((tmp_path / "explain.json").read_text())
    assert text["settings"]["boxes"] == 2


LEVELS = ("p2", "p3", "p4", "p5", "p6", "p7")
