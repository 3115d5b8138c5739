"""What a comparison leaves on disk and on the terminal."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robust_det.analysis.compare import MARKER_NAME, compare
from robust_det.analysis.findings import key_findings
from robust_det.analysis.grouping import Setting, group_runs
from robust_det.analysis.plots import ap_figure
from robust_det.analysis.runs import runs_of
from robust_det.core.errors import UserError
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import find_records, load_records
from tests.support import ROOT, refused, run_tool

WriteRun = Callable[..., Path]


def settings_of(folders: Sequence[Path]) -> list[Setting]:
    return group_runs(runs_of(load_records(find_records(folders).records, DetectionRecord)))


@pytest.fixture
def four_runs(write_run: WriteRun) -> list[Path]:
    return [
        write_run("s0", 0.0, 38.0, seed=0, segm=34.0),
        write_run("s1", 0.0, 39.0, seed=1, segm=34.5),
        write_run("r0", 1.0, 40.0, seed=0, segm=33.0),
        write_run("r1", 1.0, 41.0, seed=1, segm=33.5),
    ]


def test_csv_is_tidy_and_exact(four_runs: list[Path], tmp_path: Path) -> None:
    compare(four_runs, tmp_path / "report")
    lines = list(csv.DictReader((tmp_path / "report" / "ap.csv").read_text().splitlines()))
    assert len(lines) == 2 * (3 + 1)  # backbones x (three box metrics + one mask metric)
    (line,) = [x for x in lines if (x["eps"], x["task"], x["metric"]) == ("1.0", "bbox", "AP")]
    assert line["setting"] == "A"
    assert line["test_data"] == "shapes_val"
    assert (line["arch"], line["norm"]) == ("resnet18", "L2")
    assert line["seeds"] == "0 1"
    assert line["n"] == "2"
    assert float(line["mean"]) == 40.5
    # of two seeds the range, no deviation
    assert (line["std"], line["low"], line["high"]) == ("", "40.0", "41.0")
    assert float(line["delta"]) == 2.0
    assert (line["delta_std"], line["delta_low"], line["delta_high"]) == ("", "1.0", "3.0")
    (base,) = [x for x in lines if (x["eps"], x["task"]) == ("0.0", "segm")]
    assert (base["norm"], base["delta"], base["mean"]) == ("", "", "34.25")


def test_tables_on_terminal_and_in_markdown(four_runs: list[Path], tmp_path: Path) -> None:
    _, text = compare(four_runs, tmp_path / "report", title="A *title*")
    row = re.search(r"^resnet18 +L2 ε 1 .*$", text, re.MULTILINE)
    assert row is not None
    assert re.split(r"  +", row[0]) == [
        *("resnet18", "L2 ε 1", "40.5 (40.0 to 41.0)", "60.0 (60.0 to 60.0)"),
        *("—", "—", "—", "—", "+2.0 (+1.0 to +3.0)", "2"),
    ]
    assert "L2 ε 1      33.2 (33.0 to 33.5)" in text  # the mask table
    assert "−1.0 (−1.5 to −0.5)" in text
    markdown = (tmp_path / "report" / "ap.md").read_text()
    assert markdown.startswith("# A \\*title\\*\n")
    assert markdown.count("| resnet18") == 4
    assert "## Setting A — Box AP on shapes\\_val" in markdown


def test_settings_are_told_apart_in_every_output(write_run: WriteRun, tmp_path: Path) -> None:
    runs = [write_run("a", 0.0, 38.0), write_run("b", 1.0, 50.0, iterations=1000)]
    _, text = compare(runs, tmp_path / "report")
    assert "Setting B differs from A in: SOLVER.MAX_ITER 100 vs 1000" in text
    assert "+12.0" not in text
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<code>SOLVER.MAX_ITER</code></th><td>100</td><td>1000</td>" in page
    assert {p.name for p in (tmp_path / "report" / "plots").iterdir()} == {
        f"ap_vs_eps_bbox_{letter}.{kind}" for letter in "AB" for kind in ("png", "svg")
    }


def test_one_is_singular(write_run: WriteRun, tmp_path: Path) -> None:
    keys = {f"SOLVER.{letter}": 1 for letter in "ABCDEFG"}
    more = {"annotations": 5, "classes": 3, "sha256": "bb" * 32}
    one_image = {"name": "shapes_val", "images": 1, **more}
    train = [{"name": "shapes_train", "images": 1600, **more}]
    data = {"train": train, "test": [one_image]}
    runs = [
        write_run("a", 0.0, 38.0, data=data, schedule={}),
        write_run("b", 0.0, 38.0, data=data, schedule=keys),
    ]
    _, text = compare(runs, tmp_path / "report")
    assert "absent vs 1, and 1 more key\n" in text
    page = (tmp_path / "report" / "index.html").read_text()
    assert "shapes_val (1 image)" in page and "shapes_train (1,600 images)" in page
    assert "· 2 runs</p>" in page
    assert "cpu, 2 threads" in page
    compare(runs[:1], tmp_path / "report")
    assert "· 1 run</p>" in (tmp_path / "report" / "index.html").read_text()


def test_the_plot_shows_the_numbers(write_run: WriteRun, four_runs: list[Path]) -> None:
    more = [
        write_run("linf", 4 / 255, 37.0, norm="linf"),
        write_run("big", 5.0, 36.0),
        write_run("wide", 0.0, 42.0, arch="wide$_{net}"),  # no mathematics, a name
    ]
    (setting,) = settings_of([*four_runs[:2], *more, *four_runs[2:]])[:1]
    figure = ap_figure(setting, "bbox")
    (axes,) = figure.axes
    drawn = {str(line.get_label()): line for line in axes.lines}
    data = {k: np.asarray(v.get_xydata()) for k, v in drawn.items() if not k.startswith("_")}
    assert data.keys() == {"resnet18, L2", "resnet18, L∞", "wide$_{net}, standard"}
    assert np.allclose(data["resnet18, L2"], [[0.0, 38.5], [1.0, 40.5], [5.0, 36.0]])
    assert np.allclose(data["resnet18, L∞"], [[0.0, 38.5], [4 / 255, 37.0]])
    assert np.allclose(data["wide$_{net}, standard"], [[0, 42]])
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0", "4/255", "1", "5"]
    assert axes.get_xscale() == "symlog"
    # error bars only where there are two seeds: at eps 0 (for both norms) and at L2 eps 1; they are
    # the range, which the axis says
    bars: list[np.ndarray] = [
        c for container in axes.containers for c in container[2][0].get_segments()
    ]
    assert np.allclose([float(np.ptp(bar[:, 1])) for bar in bars], 1.0)
    assert len(bars) == 3
    assert axes.get_xlabel().endswith("bars: range of two seeds")
    figure.savefig("/dev/null", format="png")


def test_findings_follow_the_numbers(write_run: WriteRun, four_runs: list[Path]) -> None:
    """Without intervals there is neither yes nor no, whatever the difference."""
    (setting,) = settings_of(four_runs)
    box, mask = key_findings([setting])
    assert box == (
        "Not known: +2.0 box AP on shapes_val, resnet18 (L2 ε 1 40.5 (40.0 to 41.0), standard 38.5"
        " (38.0 to 39.0)), 2 seeds; no interval was computed, add --significance."
    )
    assert mask.startswith("Not known: −1.0 mask AP on shapes_val, resnet18 (L2 ε 1 33.2 ")
    alone = [write_run("z", 0.5, 31.0)]
    assert "there is no standard baseline" in key_findings(settings_of(alone))[0]
    only = key_findings(settings_of([write_run("o", 0.0, 31.0)]))[0]
    assert only.startswith("No answer: ") and "standard backbone only, 31.0" in only
    assert "not defined" in key_findings(settings_of([write_run("n", 0.0, None)]))[0]
    undefined = [write_run("u0", 0.0, None), write_run("u1", 1.0, 30.0)]
    assert "not defined for the standard backbone" in key_findings(settings_of(undefined))[0]
    two = [write_run(f"w{n}", 0.0, 30.0, sha256=f"w{n}") for n in "ab"]
    (several,) = key_findings(settings_of([*two, write_run("w1", 1.0, 31.0)]))
    assert several.startswith("No answer: ") and "several standard backbones" in several


def test_means_over_different_numbers_of_seeds_are_said(
    write_run: WriteRun, four_runs: list[Path]
) -> None:
    (setting,) = settings_of([*four_runs, write_run("r2", 1.0, 42.0, seed=2, segm=34.0)])
    assert "3 and 2 seeds" in key_findings([setting])[0]
    (note,) = [note for note in setting.notes if "different numbers" in note]
    assert "resnet18 standard 2, resnet18 L2 ε 1 3" in note


def test_the_page_is_self_contained_and_escapes(write_run: WriteRun, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    plain = write_run("plain", 0.0, 38.0)
    environment = json.loads((plain / "record.json").read_text())["environment"]
    environment |= {"command": [evil, "a b"], "device": evil, "versions": {evil: evil}}
    runs = [
        plain,
        write_run(
            "evil", 1.0, 39.0, name=evil, arch=evil, environment=environment, test=evil, segm=3.0
        ),
    ]
    compare(runs, tmp_path / "report", title=evil)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert "<script" not in (tmp_path / "report" / "ap.md").read_text()
    for plot in (tmp_path / "report" / "plots").glob("*.svg"):
        assert "<script" not in plot.read_text()
    # namespaces are names; nothing is loaded from anywhere
    assert not re.search(r'(?:src|href|url)\s*[=(]\s*["\']?(?:https?:)?//', page)
    for reference in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (tmp_path / "report" / reference).is_file(), reference
    assert "python tools/train_net.py --config &#39;a file.yaml&#39;" in page
    assert "1 h 02 min" in page


def test_pictures_stand_beside_the_ground_truth(write_run: WriteRun, tmp_path: Path) -> None:
    def pictures(name: str, colour: int) -> list[dict[str, str]]:
        folder = tmp_path / "runs" / name / "pictures"
        folder.mkdir(parents=True)
        for part in ("gt", "pred"):
            Image.new("RGB", (8, 8), (colour, part == "gt", 0)).save(folder / f"0_{part}.png")
        truth, prediction = "pictures/0_gt.png", "pictures/0_pred.png"
        return [{"image": "0.png", "ground_truth": truth, "prediction": prediction}]

    listed = {name: pictures(f"{name}_pictures", i) for i, name in enumerate("ab")}
    runs = []
    for eps, name in ((0.0, "a"), (1.0, "b")):
        missing = {"image": "1.png", "ground_truth": "no.png", "prediction": "pictures/none.png"}
        stolen = {"image": "2.png", "ground_truth": "../secret.png", "prediction": "/etc/passwd"}
        run = write_run(name, eps, 38.0, pictures=[*listed[name], missing, stolen])
        (tmp_path / "runs" / f"{name}_pictures" / "pictures").rename(run / "pictures")
        runs.append(run)
    Image.new("RGB", (8, 8)).save(tmp_path / "runs" / "secret.png")
    _, text = compare(runs, tmp_path / "report")
    folder = tmp_path / "report" / "pictures"
    assert sorted(p.name for p in folder.iterdir()) == [
        "A_run1_000.png",
        "A_run2_000.png",
        "A_truth_000.png",
    ]
    assert np.asarray(Image.open(folder / "A_truth_000.png"))[0, 0].tolist() == [0, 1, 0]
    assert np.asarray(Image.open(folder / "A_run2_000.png"))[0, 0].tolist() == [1, 0, 0]
    assert "Picture 'pictures/none.png' of run a is missing." in text
    assert "Picture '../secret.png' of run b is no image inside the run's folder." in text
    page = (tmp_path / "report" / "index.html").read_text()
    order = re.findall(r'<img src="pictures/(\w+)\.png"', page)
    assert order == ["A_truth_000", "A_run1_000", "A_run2_000"]
    assert page.count("no picture</span>") == 6


def test_pictures_with_the_largest_disagreement_come_first(
    write_run: WriteRun, tmp_path: Path
) -> None:
    def pictures(found: tuple[int, int, int]) -> list[dict[str, Any]]:
        paths = {"ground_truth": "t.png", "prediction": "p.png", "score": 0.5}
        return [
            {"image": f"{n}.png", "objects": 9, "found": f, "false": 1, **paths}
            for n, f in enumerate(found)
        ]

    runs = [
        write_run("s", 0.0, 38.0, pictures=pictures((4, 4, 4))),
        write_run("r0", 1.0, 39.0, pictures=pictures((5, 4, 9))),
        write_run("r1", 1.0, 39.0, seed=1, pictures=pictures((5, 4, 1))),  # 9 and 1: on average 1
        write_run("r2", 3.0, 39.0, pictures=pictures((6, 4, 8))),
    ]
    for run in runs:
        for name in ("t.png", "p.png"):
            Image.new("RGB", (8, 8)).save(run / name)
    compare(runs, tmp_path / "report")
    page = (tmp_path / "report" / "index.html").read_text()
    assert re.findall(r"<h4>(\d)\.png</h4>", page) == ["2", "0", "1"]
    assert "Detections with a score of 0.5 and more are drawn" in page
    assert "9 objects</span>" in page and "8 found, 1 false</span>" in page


def test_a_report_is_replaced_and_its_leftovers_go(write_run: WriteRun, tmp_path: Path) -> None:
    a, b = write_run("a", 0.0, 38.0, segm=30.0), write_run("b", 0.0, 20.0)
    report = tmp_path / "report"
    compare([a], report)
    assert (report / "plots" / "ap_vs_eps_segm_A.png").is_file()
    (report / "my notes.txt").write_text("kept")
    compare([b], report)
    assert not (report / "plots" / "ap_vs_eps_segm_A.png").exists()
    assert (report / "my notes.txt").read_text() == "kept"
    assert "20.0" in (report / "ap.md").read_text()
    listed = json.loads((report / MARKER_NAME).read_text())["files"]
    assert all((report / name).is_file() for name in listed)


def test_the_same_records_give_the_same_files(four_runs: list[Path], tmp_path: Path) -> None:
    for name in ("one", "two"):
        compare(four_runs, tmp_path / name)
    for path in (tmp_path / "one").rglob("*.*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.is_dir() or path.read_bytes() == twin.read_bytes(), path.name


def test_a_list_of_files_cannot_point_outside(write_run: WriteRun, tmp_path: Path) -> None:
    report, precious = tmp_path / "report", tmp_path / "precious.txt"
    precious.write_text("kept")
    run = write_run("a", 0.0, 38.0)
    compare([run], report)
    marker = report / MARKER_NAME
    marker.write_text(json.dumps({"files": ["../precious.txt", str(precious)]}))
    compare([run], report)
    assert precious.read_text() == "kept"


def test_foreign_folders_are_refused_untouched(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("a", 0.0, 38.0)
    before = sorted(run.rglob("*"))
    with pytest.raises(UserError, match="something other than a comparison"):
        compare([run], run)
    assert sorted(run.rglob("*")) == before
    with pytest.raises(UserError, match="is a file"):
        compare([run], run / "record.json")
    with pytest.raises(UserError, match="no run record at"):
        compare([tmp_path / "nothing"], tmp_path / "report")
    assert not (tmp_path / "report").exists()
    (tmp_path / "empty").mkdir()
    page, _ = compare([run], tmp_path / "empty")
    assert page.is_file()


def test_runs_without_a_record_or_an_eps_are_left_out(
    write_run: WriteRun, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, scratch = write_run("good", 0.0, 38.0), write_run("scratch", 0.0, 20.0)
    record = json.loads((scratch / "record.json").read_text())
    (scratch / "record.json").write_text(json.dumps({**record, "eps": None, "norm": ""}))
    failed, going_on = tmp_path / "runs" / "failed", tmp_path / "runs" / "going_on"
    for folder in (failed, going_on):
        folder.mkdir()
    _, text = compare([failed, scratch, good, going_on], tmp_path / "report")
    assert "38.0" in text and "20.0" not in text
    assert [record.getMessage() for record in caplog.records] == [
        f"left out, having no run record (a run writes it when it ends): {failed}, {going_on}",
        f"left out, having no eps (started from no backbone, or one of unknown eps): {scratch}",
    ]
    with pytest.raises(UserError, match=r"no run record at .*failed"):
        compare([failed, going_on], tmp_path / "report")
    with pytest.raises(UserError, match="no detection run with an eps among the records"):
        compare([failed, scratch], tmp_path / "report")
    # a name that was mistyped is no run that goes on
    with pytest.raises(UserError, match=r"no run record at .*mistyped"):
        compare([good, tmp_path / "mistyped"], tmp_path / "report")


def test_the_tool_prints_the_table_and_returns_codes(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("a", 0.0, 38.0)
    output = ["--output", str(tmp_path / "report")]

    # with hardly a variable, and so no home
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    good = run_tool("compare_ap", run, *output, process=True, env=env)
    assert good.code == 0, good.err
    assert "resnet18  standard    38.0    60.0" in good.out
    assert (tmp_path / "report" / "index.html").is_file()
    error = refused("compare_ap", tmp_path / "none", *output, untouched=tmp_path)
    assert error.startswith("no run record at")


def test_a_record_without_its_pictures_is_one_sentence(write_run: Any, tmp_path: Path) -> None:
    names = [
        {
            "image": f"{i}.png",
            "ground_truth": f"pictures/t{i}.png",
            "prediction": f"pictures/{i}.png",
        }
        for i in range(6)
    ]
    _, text = compare([write_run("a", 0.0, 38.0, pictures=names)], tmp_path / "report")
    assert text.count("came without their pictures") == 1
    assert "is missing" not in text
    assert not (tmp_path / "report" / "pictures").exists()
