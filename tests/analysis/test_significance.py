"""Resampling, and what a comparison makes of it on disk and on the page."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.options import Options
from robust_det.analysis.significance.bootstrap import (
    Bootstrap,
    bootstrap,
    difference_interval,
    figure_interval,
    mean_of,
    resample_weights,
)
from robust_det.analysis.significance.cells import interval_cell
from robust_det.analysis.significance.matching import match
from robust_det.core.errors import UserError
from robust_det.data.synthetic.flawed_detections import make_detections
from tests.analysis.conftest import TRUTH
from tests.support import refused, run_tool

WriteRun = Callable[..., Path]


def test_a_resample_draws_as_many_images_as_there_are() -> None:
    weights = resample_weights(50, 400, seed=3)
    assert weights.shape == (400, 50) and weights.dtype == np.int32
    assert (weights.sum(axis=1) == 50).all()
    # an image is left out with a probability of (1 - 1/50)**50 = 0.364
    assert (weights == 0).mean() == pytest.approx(0.364, abs=0.01)
    assert np.array_equal(weights, resample_weights(50, 400, seed=3))
    assert not np.array_equal(weights, resample_weights(50, 400, seed=4))


def test_intervals_by_hand() -> None:
    steps = np.arange(1001) / 100  # 0, 0.01, ..., 10: its percentiles are 0.25 and 9.75
    run = Bootstrap({"AP": 4.0}, {"AP": steps})
    figure = figure_interval(run, "AP")
    # reflected about 4, and no less than 0
    assert (figure.value, figure.low, figure.high) == pytest.approx((4, 0, 8 - 0.25))
    plain = figure_interval(run, "AP", "percentile")
    assert (plain.value, plain.low, plain.high) == pytest.approx((4, 0.25, 9.75))
    higher = figure_interval(Bootstrap({"AP": 6.0}, {"AP": steps}), "AP")
    assert (higher.low, higher.high) == pytest.approx((12 - 9.75, 12 - 0.25))
    other = Bootstrap({"AP": 3.0}, {"AP": np.full(1001, 1.0)})
    difference = difference_interval(run, other, "AP")
    assert (difference.value, difference.low, difference.high) == pytest.approx((1, -0.75, 8.75))
    five = difference_interval(run, other, "AP", comparisons=5)  # 99%: 0.5% on either side
    assert (five.value, five.low, five.high) == pytest.approx((1, 0.05 - 1, 9.95 - 1))
    assert difference.above == pytest.approx(900 / 1001)
    assert difference.below == pytest.approx(100 / 1001)
    mean = mean_of([run, other])
    assert mean.values["AP"] == 3.5 and mean.resampled["AP"][-1] == 5.5
    undefined = Bootstrap({"AP": np.nan}, {"AP": np.full(5, np.nan)})
    assert np.isnan([figure_interval(undefined, "AP").low]).all()


def test_no_interval_where_resamples_lose_a_class() -> None:
    """Of class1 only the first image has large objects: 36% of the resamples leave it out."""
    first = TRUTH["images"][0]["id"]
    large = [a for a in TRUTH["annotations"] if a["area"] >= 96**2]
    kept = [a for a in TRUTH["annotations"] if a not in large or a["category_id"] != 3]
    kept.append({**large[0], "id": 10**6, "image_id": first, "category_id": 3})
    run = bootstrap(match({**TRUTH, "annotations": kept}, [], "bbox"), 200, seed=0)
    assert run.values["APl"] == 0.0 and np.isnan(run.resampled["APl"]).all()
    for metric in ("AP", "APm", "AP-class0", "AP-class1"):
        assert np.isfinite(run.resampled[metric]).all()
    interval = figure_interval(run, "APl")
    assert (interval.value, interval_cell(interval)) == (0.0, "0.0 [—]")
    difference = difference_interval(run, run, "APl")
    assert difference.value == 0 and np.isnan([difference.low, difference.above]).all()


def test_pairing_takes_the_images_out_of_a_difference() -> None:
    """Detectors that differ little do so on any images: the paired interval is narrow."""
    found = make_detections(TRUTH, 15, seed=2)
    worse = [d for n, d in enumerate(found) if n % 40]
    one, two = (bootstrap(match(TRUTH, d, "bbox"), 200, seed=0) for d in (found, worse))
    paired = difference_interval(one, two, "AP")
    spread = np.percentile(one.resampled["AP"] - two.resampled["AP"][::-1], (2.5, 97.5))
    assert 0 < paired.high - paired.low < 0.5 * (spread[1] - spread[0])
    again = bootstrap(match(TRUTH, found, "bbox"), 200, seed=0)
    assert np.array_equal(again.resampled["AP"], one.resampled["AP"])


SIGNIFICANCE = Options(significance=True, resamples=100)


def lines_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_a_comparison_with_everything(scored_run: WriteRun, tmp_path: Path) -> None:
    runs = [
        scored_run("s0", 0.0, 0.70, seed=0),
        scored_run("s1", 0.0, 0.72, seed=1),
        scored_run("r0", 1.0, 0.90, seed=0),
        scored_run("r1", 1.0, 0.92, seed=1),
    ]
    report = tmp_path / "report"
    options = Options(significance=True, errors=True, resamples=100)
    _, text = compare(runs, report, options=options)
    lines = lines_of(report / "significance.csv")
    ap = {(x["what"], x["run"] or x["seed"]): x for x in lines if x["metric"] == "AP"}
    assert len(ap) == 4 + 1 + 3  # both means over seeds have no seed
    values = {name: float(ap["figure", name]["value"]) for name in ("s0", "s1", "r0", "r1")}
    for folder in runs:
        record = json.loads((folder / "record.json").read_text())
        assert values[folder.name] == pytest.approx(record["metrics"]["bbox"]["AP"], abs=1e-9)
    for seed in "01":
        line = ap["difference", seed]
        assert float(line["value"]) == pytest.approx(values[f"r{seed}"] - values[f"s{seed}"])
        assert float(line["low"]) > 0
        assert (float(line["above"]), float(line["below"])) == (1.0, 0.0)
    pooled = ap["difference", ""]
    halves = [float(ap["difference", seed]["value"]) for seed in "01"]
    assert float(pooled["value"]) == pytest.approx(sum(halves) / 2)
    # two runs of each: less of the interval is the detectors' own chance
    widths = [float(x["high"]) - float(x["low"]) for x in (pooled, ap["difference", "0"])]
    assert 0 < widths[0] < widths[1]
    assert {x["metric"] for x in lines} >= {"AP50", "APs", "AP-class0"}

    value = float(ap["figure", "r0"]["value"])
    assert re.search(rf"resnet18 L2 ε 1 +0 +{value:.1f} \[", text)
    assert re.search(r"minus standard +ΔAP +ΔAP > 0 +ΔAP < 0 +ΔAP50", text)
    assert "resnet18 L2 ε 1, mean of 2 " in text and " 100.0% " in text
    markdown = (report / "significance.md").read_text()
    assert "## Setting A — Box AP on shapes\\_val — Paired differences" in markdown
    assert markdown.count("| resnet18 ") == 6 + 3 + 4
    page = (report / "index.html").read_text()
    for part in ("95% intervals over images", "paired differences", "kinds of errors"):
        assert f"<h3>Box AP on shapes_val: {part}</h3>" in page
    assert page.count('<svg role="img"') == 3
    errors = lines_of(report / "errors.csv")
    assert len(errors) == 4 * 6
    missed = {x["run"]: float(x["count"]) for x in errors if x["error"] == "missed"}
    assert missed["s0"] > missed["r0"] > 0
    assert {p.name for p in (report / "plots").glob("*.png")} == {
        *("ap_vs_eps_bbox_A.png", "differences_bbox_A.png", "errors_bbox_A.png"),
    }


def test_the_same_seed_gives_the_same_files(scored_run: WriteRun, tmp_path: Path) -> None:
    runs = [scored_run("s", 0.0, 0.7), scored_run("r", 1.0, 0.8)]
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        compare(runs, tmp_path / name, options=Options(significance=True, resamples=50, seed=seed))
    one, two, three = (
        (tmp_path / name / "significance.csv").read_bytes() for name in ("one", "two", "three")
    )
    assert one == two != three
    plot = "plots/differences_bbox_A.svg"
    assert (tmp_path / "one" / plot).read_bytes() == (tmp_path / "two" / plot).read_bytes()
    compare(runs, tmp_path / "one")  # without: what was there goes
    assert not (tmp_path / "one" / "significance.csv").exists()


def test_no_standard_backbone_no_difference(scored_run: WriteRun, tmp_path: Path) -> None:
    compare([scored_run("r", 1.0, 0.8)], tmp_path / "report", options=SIGNIFICANCE)
    lines = lines_of(tmp_path / "report" / "significance.csv")
    assert {x["what"] for x in lines} == {"figure"}
    assert not (tmp_path / "report" / "plots" / "differences_bbox_A.png").exists()


def test_a_record_that_its_detections_contradict_is_noted(
    scored_run: WriteRun, tmp_path: Path
) -> None:
    run = scored_run("s", 0.0, 0.7)
    record = json.loads((run / "record.json").read_text())
    record["metrics"]["bbox"]["AP"] += 1
    (run / "record.json").write_text(json.dumps(record))
    _, text = compare([run], tmp_path / "report", options=SIGNIFICANCE)
    assert re.search(r"The record of run s says bbox AP \d+\.\d{4}; its detections give", text)


def test_annotations_that_moved_are_found_by_their_hash(
    scored_run: WriteRun, tmp_path: Path
) -> None:
    run, report = scored_run("s", 0.0, 0.7), tmp_path / "report"
    moved, other = tmp_path / "moved.json", tmp_path / "other.json"
    shutil.move(tmp_path / "truth.json", moved)
    with pytest.raises(UserError, match=r"truth\.json is not there, nor .*--annotations FILE"):
        compare([run], report, options=SIGNIFICANCE)
    other.write_text("{}")
    given = Options(significance=True, resamples=40, annotations=(other, moved))
    compare([run], report, options=given)
    assert (report / "significance.csv").is_file()
    (tmp_path / "truth.json").write_text("{}")
    with pytest.raises(UserError, match=r"have changed since run .*--annotations FILE"):
        compare([run], report, options=SIGNIFICANCE)
    with pytest.raises(UserError, match=r"--annotations nowhere\.json is not a file"):
        compare([run], report, options=Options(errors=True, annotations=("nowhere.json",)))


@pytest.mark.parametrize("recorded", ["datasets/own/truth.json", "/gone/own/truth.json"])
def test_annotations_are_looked_for_below_the_data_sets(
    recorded: str, scored_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, report = scored_run("s", 0.0, 0.7), tmp_path / "report"
    record = json.loads((run / "record.json").read_text())
    record["data"]["test"][0]["annotations_file"] = recorded
    (run / "record.json").write_text(json.dumps(record))
    there = tmp_path / "elsewhere" / "own" / "truth.json"
    there.parent.mkdir(parents=True)
    shutil.move(tmp_path / "truth.json", there)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "elsewhere"))
    compare([run], report, options=Options(significance=True, resamples=40))
    assert (report / "significance.csv").is_file()
    there.unlink()
    with pytest.raises(UserError, match=r"is not there, nor the same file below .*elsewhere"):
        compare([run], report, options=SIGNIFICANCE)


def test_detections_have_to_be_those_of_the_record(scored_run: WriteRun, tmp_path: Path) -> None:
    report = tmp_path / "report"
    run = scored_run("s", 0.0, 0.7)
    file = run / "inference/shapes_val/coco_instances_results.json"
    file.write_text("[]")
    with pytest.raises(UserError, match="are not those of the run's record"):
        compare([run], report, options=SIGNIFICANCE)
    file.unlink()
    with pytest.raises(UserError, match="are missing; copy them there, or evaluate"):
        compare([run], report, options=SIGNIFICANCE)
    stolen = {"shapes_val": {"path": "../../truth.json", "sha256": "00"}}
    with pytest.raises(UserError, match="names detections outside of its folder"):
        compare([scored_run("b", 0.0, 0.7, detections=stolen)], report, options=SIGNIFICANCE)
    with pytest.raises(UserError, match="names no detections for bbox; evaluate it again"):
        compare([scored_run("c", 0.0, 0.7, detections={})], report, options=SIGNIFICANCE)
    with pytest.raises(UserError, match=r"Expected `object`, got `array` - at `\$\.detections`"):
        compare([scored_run("e", 0.0, 0.7, detections=[1])], report, options=SIGNIFICANCE)
    assert not report.exists()


def test_where_possible_a_backbone_without_detections_is_named(
    scored_run: WriteRun, tmp_path: Path
) -> None:
    runs = [scored_run("s", 0.0, 0.7), scored_run("r", 1.0, 0.8), scored_run("q", 3.0, 0.8)]
    (runs[2] / "inference/shapes_val/coco_instances_results.json").unlink()
    options = replace(SIGNIFICANCE, where_possible=True)
    _, text = compare(runs, tmp_path / "report", options=options)
    lines = lines_of(tmp_path / "report" / "significance.csv")
    assert {line["run"] for line in lines} == {"s", "r", ""}  # and their difference
    assert "resnet18 L2 ε 3: no intervals and no kinds of errors, as the detections " in text


def test_runs_that_voc_scored_are_left_out_and_it_is_said(
    scored_run: WriteRun, tmp_path: Path
) -> None:
    voc = {"name": "PascalVOCDetectionEvaluator", "library": "detectron2", "version": "0.5"}
    other = scored_run("v", 0.0, 0.7, evaluators=[voc], detections={})
    _, text = compare([other, scored_run("s", 0.0, 0.7)], tmp_path / "report", options=SIGNIFICANCE)
    lines = lines_of(tmp_path / "report" / "significance.csv")
    assert {x["run"] for x in lines} == {"s"}
    note = "Scored by PascalVOCDetectionEvaluator: intervals and kinds of errors are for COCO"
    assert text.count(note) == 1
    assert (tmp_path / "report" / "index.html").read_text().count(note) == 1
    with pytest.raises(UserError, match=r"no run was scored by COCOEvaluator.*leave both out"):
        compare([other], tmp_path / "report", options=SIGNIFICANCE)


def test_where_annotations_lie_makes_no_setting(scored_run: WriteRun, tmp_path: Path) -> None:
    a, b = scored_run("a", 0.0, 0.7), scored_run("b", 1.0, 0.8)
    record = json.loads((b / "record.json").read_text())
    record["data"]["test"][0]["annotations_file"] = str(tmp_path / "elsewhere.json")
    (b / "record.json").write_text(json.dumps(record))
    shutil.copy(tmp_path / "truth.json", tmp_path / "elsewhere.json")
    compare([a, b], tmp_path / "report", options=SIGNIFICANCE)
    lines = lines_of(tmp_path / "report" / "significance.csv")
    assert {x["setting"] for x in lines} == {"A"}
    assert any(x["what"] == "difference" for x in lines)


def test_the_tool(scored_run: WriteRun, tmp_path: Path) -> None:
    runs = (scored_run("s", 0.0, 0.7), scored_run("r", 1.0, 0.9))
    given = (*runs, "--output", tmp_path / "report", "--significance", "--resamples")
    done = run_tool("compare_ap", *given, 40, "--seed", 1, "--errors")
    assert done.code == 0, done.err
    assert "r (seed 0) bbox: 40 resamples" in done.out
    assert "Paired differences" in done.out and "classification" in done.out
    assert "of the basic kind" in done.out
    plain = run_tool("compare_ap", *given, 40, "--seed", 1, "--interval", "percentile")
    assert "are the percentiles of the resamples as they are" in plain.out
    assert refused("compare_ap", *given, 0).startswith("--resamples 0 are too few")
