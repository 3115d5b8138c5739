"""What the site holds, against the records that it was made of."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
import statistics
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from robust_det.core.errors import UserError
from robust_det.site.build import build_site
from robust_det.site.curves import curve_svg, read_curves
from robust_det.site.library import read_library
from robust_det.site.lineage_graph import lineage_svg
from robust_det.site.overview import groups_of
from robust_det.site.overview_page import overview_page, runs_page
from robust_det.site.overview_plot import overview_plot
from robust_det.site.run_page import run_page
from robust_det.zoo.published import STYLIZED
from tests.site.conftest import RESULTS, RUNS


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("href", "src")]


def test_all_links_lead_to_files_of_the_site(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(RUNS) + 10
    for page in pages:
        for link in _Links(page.read_text()).found:
            parts = urlsplit(link)
            assert not parts.scheme and not parts.netloc, (page, link)
            target = page.parent / unquote(parts.path) if parts.path else page
            assert target.is_file() and target.resolve().is_relative_to(site), (page, link)


def test_pages_need_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
        assert {urlsplit(one).netloc for one in addresses} <= {"www.w3.org"}, page
        assert page.stat().st_size < 1_000_000, page


def test_each_record_is_there_as_it_was(site: Path) -> None:
    copies = {hashlib.sha256(path.read_bytes()).hexdigest() for path in site.glob("records/*.json")}
    for name in RUNS:
        content = (RESULTS / name / "record.json").read_bytes()
        assert hashlib.sha256(content).hexdigest() in copies
    assert len(list(site.glob("records/*.json"))) == len(RUNS) + 1  # and the copy


def test_the_overview_gives_means_over_backbones(site: Path) -> None:
    values = [
        json.loads((RESULTS / name / "record.json").read_text())["metrics"]["clean_top1"]
        for name in RUNS
        if re.fullmatch(r"pretraining/runs/pgd_seed\d", name)
    ]
    row = next(
        row
        for row in _rows(site / "index.html")
        if row[1] == "pgd" and row[6] == "top-1" and row[5] == "L2 ε 0.5"
    )
    low, high = min(values), max(values)
    assert row[7] == f"{sum(values) / 2:.1f} ({low:.1f} to {high:.1f})" and row[9:] == ["2", "2"]


def test_no_mean_is_over_two_ways_of_pretraining(tmp_path: Path) -> None:
    ways = ("standard", "pgd", "trades")
    for way, seed, end in itertools.product(ways, (0, 1, 2), ("", "_quick")):
        run = f"{way}_seed{seed}{end}"
        shutil.copytree(RESULTS / "pretraining/runs" / run, tmp_path / run)
    found = {
        (one.backbone, len(one.runs)): one
        for one in groups_of(read_library([tmp_path]))
        if one.place.metric == "robust top-1, ε 0.5"
    }
    assert set(found) == {("standard", 3), ("L2 ε 0.5, pgd", 3), ("L2 ε 0.5, trades", 3)}
    means = {
        way: statistics.fmean(
            json.loads((tmp_path / f"{way}_seed{seed}_quick/record.json").read_text())["robust"][0][
                "top1"
            ]
            for seed in (0, 1, 2)
        )
        for way in ways
    }
    for way in ("pgd", "trades"):
        group = found[f"L2 ε 0.5, {way}", 3]
        assert group.mean.mean == pytest.approx(means[way])
        assert group.delta is not None
        assert group.delta.mean == pytest.approx(means[way] - means["standard"])
    # of one of which nothing is known
    shutil.rmtree(tmp_path / "trades_seed2")
    labels = {one.backbone for one in groups_of(read_library([tmp_path])) if "L2" in one.backbone}
    assert "L2 ε 0.5, no record of its pretraining" in labels


def test_a_texture_trained_backbone_is_no_standard_one(runs: Path) -> None:
    model = STYLIZED["resnet50_stylized"]
    path = runs / "small_flowers_r18_eps0_seed1_modefixed-feature_seed0" / "record.json"
    record = json.loads(path.read_text())
    record["weights"]["path"] = f"{model.name}.pth"
    path.write_text(json.dumps(record))
    groups = [one for one in groups_of(read_library([runs])) if one.row["dataset"] == "flowers"]
    top1 = {(one.arch, one.backbone): one for one in groups if one.place.metric == "top-1"}
    assert top1[model.name, "texture-trained"].backbones == 1
    assert top1["resnet18", "standard"].backbones == 1
    robust = top1["resnet18", "L2 ε 1"]
    assert robust.delta is not None
    assert robust.delta.mean == robust.mean.mean - top1["resnet18", "standard"].mean.mean


def test_curves_that_are_not_drawn_are_counted(tmp_path: Path) -> None:
    model = json.loads((RESULTS / RUNS[8] / "record.json").read_text())
    for number, eps in itertools.product(range(8), (0.0, 1.0)):
        model |= {"arch": f"net{number}", "eps": eps, "norm": "l2"}
        model["weights"]["sha256"] = hashlib.sha256(f"{number} {eps}".encode()).hexdigest()
        run = tmp_path / f"net{number}_{eps}"
        run.mkdir()
        (run / "record.json").write_text(json.dumps(model))
    plot, undrawn = overview_plot(groups_of(read_library([tmp_path])))
    assert plot is not None and {len(panel.curves) for panel in plot.panels} == {6}
    assert undrawn == f"{2 * len(plot.panels)} more curves"


def test_of_an_unknown_eps_each_backbone_has_a_line(runs: Path) -> None:
    for seed in (0, 1):
        run = runs / f"small_flowers_r18_eps1_seed{seed}_modefixed-feature_seed0"
        record = json.loads((run / "record.json").read_text())
        (run / "record.json").write_text(json.dumps(record | {"eps": None}))
    groups = [one for one in groups_of(read_library([runs])) if one.row["eps"] is None]
    top1 = [one for one in groups if one.place.metric == "top-1"]
    hashes = {one.runs[0].record.weights.origin[:8] for one in top1}
    assert len(top1) == len(hashes) == 2
    assert {one.backbone for one in top1} == {f"ε unknown ({one})" for one in hashes}


def _rows(page: Path) -> list[list[str]]:
    return _rows_of(page.read_text())


def _rows_of(page: str) -> list[list[str]]:
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.split("<tr[^>]*>", body)[1:]]
    return [[unescape(re.sub("<[^>]+>", "", cell)) for cell in row] for row in cells]


def test_what_is_left_out_is_named_with_why(site: Path) -> None:
    text = (site / "index.html").read_text()
    left = text.partition("What is left out")[2]
    assert re.search(r"pgd_seed1_copy/record.json</a>: it is a copy of \S*pgd_seed1/record", left)
    assert re.search(r"going_on: it has no run record", left)
    copy = next(site.glob("runs/pgd_seed1_copy-*.html")).read_text()
    assert "Enters no mean: it is a copy of" in copy


def test_a_run_has_figures_curves_lineage_and_config(site: Path) -> None:
    page = next(
        path for path in site.glob("runs/pgd_seed0-*.html") if "metrics" in path.read_text()
    ).read_text()
    record = json.loads((RESULTS / RUNS[0] / "record.json").read_text())
    assert f">{record['metrics']['clean_top1']:.2f}<" in page
    assert "train_loss: 3.75 at epoch 1, 3 at 4, lowest 3, highest 3.75" in page
    assert "1 of 5 lines of metrics.jsonl cannot be read" in page
    evaluation = next(site.glob("runs/pgd_seed0_quick-*.html"))
    assert f'href="{evaluation.name}"' in page  # it leads to what was made of it
    assert "weights, standard" not in page.partition("Lineage")[0]
    assert record["started_from"]["sha256"][:12] in page  # no record here made these
    assert record["environment"]["commit"] in page and "TRAIN.METHOD: pgd" in page


def test_a_question_that_is_not_answered_says_what_is_missing(site: Path) -> None:
    text = (site / "question-texture.html").read_text()
    assert "The runs of this site do not answer it: " in text
    reported = (site / "question-fixed-feature.html").read_text()
    assert "What was reported" in reported and "28 of 36" in reported


def test_bad_paths_and_folders_are_refused_and_nothing_is_written(
    runs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="nowhere does not exist; give run folders"):
        build_site([runs, tmp_path / "nowhere"], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no run record at \S*empty/record\.json"):
        build_site([tmp_path / "empty"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds something other than a site"):
        build_site([runs], mine)
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_records_that_cannot_be_believed_are_named(runs: Path) -> None:
    (runs / "broken").mkdir()
    (runs / "broken" / "record.json").write_text("{")
    _change(runs / "pgd_seed0", "metrics", "clean_top1", None)
    # the weights of another pretraining run
    other = json.loads((runs / "standard_seed1" / "record.json").read_text())["weights"]["sha256"]
    _change(runs / "standard_seed0", "weights", "sha256", other)
    library = read_library([runs])
    groups = groups_of(library)
    left = overview_page(library, groups, [], "All", []).partition("What is left out")[2]
    assert re.search(r"broken/record.json: run record cannot be read", left)
    assert re.search(r"pgd_seed0/record.json, clean_top1</a>: ", left)
    assert re.search(r"standard_seed[01]/record.json</a>: .*seed", left)
    page = runs_page(library, groups, [])
    means = {row[0]: row[10] for row in _rows_of(page)}
    assert means["pgd_seed0"] == "in part" and means["pgd_seed1"] == "yes"
    assert sorted(means[f"standard_seed{n}"] for n in (0, 1)) == ["no", "yes"]
    # and no line has them
    clean = [one for one in groups if one.place.metric == "top-1" and one.row["kind"] == "pretrain"]
    assert {run.name for one in clean for run in one.runs} == {"pgd_seed1", "standard_seed0"}


def _change(run: Path, part: str, key: str, value: object) -> None:
    record = json.loads((run / "record.json").read_text())
    record[part][key] = value
    (run / "record.json").write_text(json.dumps(record))


def test_lineage_goes_from_pretraining_over_conversion_to_evaluation(runs: Path) -> None:
    made = json.loads((runs / "pgd_seed0" / "record.json").read_text())["weights"]["sha256"]
    detector = runs / "tiny_r18_eps1_bccd_seed0"
    _change(detector, "weights", "source_sha256", made)
    converted = json.loads((detector / "record.json").read_text())["weights"]["sha256"]
    library = read_library([runs])
    number = next(n for n, run in enumerate(library.runs) if run.path.parent == detector)
    svg, words = lineage_svg(library, number)
    start = json.loads((runs / "pgd_seed0" / "record.json").read_text())["started_from"]["sha256"]
    assert words == (
        f"weights, L2 ε 0.5 {start[:12]}, no record → pretraining, L2 ε 0.5 pgd_seed0 → conversion"
        f" {converted[:12]} → fine-tuning, bccd_test tiny_r18_eps1_bccd_seed0"
    )
    parent = next(run for run in library.runs if run.name == "pgd_seed0")
    assert f'href="{parent.slug}.html"' in svg
    number = library.runs.index(parent)
    _, words = lineage_svg(library, number)
    assert words.endswith(
        f"conversion {converted[:12]} → robustness, tiny-imagenet-100"
        " pgd_seed0_quick, fine-tuning, bccd_test tiny_r18_eps1_bccd_seed0"
    )


def test_a_lineage_of_many_stays_small(runs: Path) -> None:
    made = json.loads((runs / "pgd_seed0" / "record.json").read_text())["weights"]["sha256"]
    for number in range(30):
        copy = runs / f"transfer{number}"
        shutil.copytree(runs / "small_flowers_r18_eps1_seed0_modefixed-feature_seed0", copy)
        _change(copy, "weights", "sha256", made)
        _change(copy, "classifier", "sha256", f"{number:064x}")
    library = read_library([runs])
    number = next(n for n, run in enumerate(library.runs) if run.name == "pgd_seed0")
    svg, words = lineage_svg(library, number)
    assert svg.count("<rect") == 10  # its start, itself, seven runs and one for all others
    assert "and 24 more in the list of runs" in words


def test_what_records_say_is_never_markup(runs: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    run = runs / "pgd_seed0"
    for part, key in (("environment", "device"), ("weights", "path"), ("config", "OUTPUT_DIR")):
        _change(run, part, key, evil)
    (run / "metrics.jsonl").write_text(
        "".join(json.dumps({"epoch": n, evil: n}) + "\n" for n in range(3))
    )
    folder = run.rename(runs / "<b>run")
    library = read_library([runs])
    number = next(n for n, one in enumerate(library.runs) if one.path.parent == folder)
    page, _ = run_page(library, number, [])
    assert "<script" not in page and "<img" not in page and "<b>" not in page
    assert page.count("&lt;script&gt;") >= 4
    assert re.fullmatch(r"runs/b_run-[0-9a-f]{8}\.html", library.runs[number].page)


def test_curves_have_gaps_where_they_are_undefined(tmp_path: Path) -> None:
    values = [4.0, 3.0, float("nan"), 2.0, float("inf"), 1.0]
    lines = [json.dumps({"iteration": n, "total_loss": v, "lr": 0.1}) for n, v in enumerate(values)]
    (tmp_path / "metrics.json").write_text("\n".join(lines))
    (curve,), notes = read_curves(tmp_path)  # a rate that never changes is no curve
    assert (curve.name, curve.by, notes) == ("total_loss", "iteration", [])
    svg = curve_svg(curve)
    assert len(re.findall(r"M\d", svg)) == 3 and "lowest 1, highest 4, undefined at 2 points" in svg
    assert read_curves(tmp_path / "none")[1] == [
        "There are no curves: no metrics.jsonl or metrics.json lies beside the record."
    ]
