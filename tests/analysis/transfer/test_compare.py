"""What a comparison of transfers leaves on disk, on the terminal and on the page."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from robust_det.analysis.compare import compare
from robust_det.analysis.sweep_table import results_table
from robust_det.analysis.transfer.grouping import Setting, group_runs
from robust_det.analysis.transfer.plots import Plot, plots_of
from robust_det.analysis.transfer.runs import runs_of
from robust_det.records.store import find_records, load_records
from robust_det.records.transfer import TransferRecord
from tests.support.transfer_records import attack_of, write_transfer

Write = Callable[..., Path]
Settings = Callable[[], list[Setting]]
ATTACK = attack_of("l2", 1.0)
VALUES = {0.0: [50.0, 51.0, 49.5], 1.0: [60.0, 60.8, 59.9]}


@dataclass(frozen=True)
class Report:
    """A comparison of two sets, two modes, two eps and three pretraining runs."""

    runs: Path
    folder: Path
    text: str


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Write records and compare them, once: nothing changes them."""
    folder = tmp_path_factory.mktemp("study")
    for name in ("dtd", "cars"):
        for eps, values in VALUES.items():
            for pretraining, value in enumerate(values):
                common: Any = {"pretraining": pretraining, "set": name, "attack": ATTACK}
                place = folder / f"runs/{name}_{eps}_{pretraining}"
                frozen, tuned = Path(f"{place}_0"), Path(f"{place}_1")
                write_transfer(frozen, eps, value, adversarial=value - 40, **common)
                mode = "full-network"
                write_transfer(tuned, eps, value + 20, adversarial=3.0, mode=mode, **common)
    page, text = compare([folder / "runs"], folder / "report")
    return Report(folder / "runs", page.parent, text)


def lines_of_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_tables_have_means_intervals_attacks_and_counts(report: Report) -> None:
    rows = [re.split("  +", line) for line in report.text.splitlines()]
    head = ["arch", "backbone", "top-1 %", "mean per class %", "adversarial top-1 %", "attack"]
    assert [*head, "pretraining runs", "transfer seeds"] in rows
    values = VALUES[1.0]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    cell = f"{np.mean(values):.1f} [{low:.1f}, {high:.1f}]"
    robust = f"{np.mean(values) - 40:.1f} [{low - 40:.1f}, {high - 40:.1f}]"
    assert ["resnet18", "L2 ε 1", cell, "40.0", robust, "L2 ε 1", "3", "1"] in rows
    gap = stats.ttest_ind(values, VALUES[0.0], equal_var=False).confidence_interval()
    difference = f"+10.1* [+{gap.low:.1f}, +{gap.high:.1f}]"
    assert any(row[:3] == ["DTD", "T3", "top-1"] and row[-1] == difference for row in rows)
    assert "Attacks: PGD-10 on the cross-entropy, L2 ε 1, steps of 0.25, 100 images." in report.text
    markdown = (report.folder / "accuracy.md").read_text()
    assert markdown.startswith("# Transfer from robust backbones\n")
    assert "## Setting T1 — Stanford Cars, fixed-feature (logreg)" in markdown


def test_csv_files_are_exact(report: Report) -> None:
    lines = lines_of_csv(report.folder / "transfer.csv")
    (line,) = [
        one
        for one in lines
        if (one["set"], one["mode"], one["eps"]) == ("dtd", "fixed-feature", "1.0")
        and one["metric"] == "adversarial_top1"
    ]
    assert (line["attack_norm"], line["attack_eps"], line["attack_steps"]) == ("l2", "1.0", "10")
    each = [float(value) for value in line["of_each"].split()]
    assert each == [value - 40 for value in VALUES[1.0]]
    assert float(line["mean"]) == pytest.approx(np.mean(each))
    assert (line["pretraining_runs"], line["transfer_seeds"]) == ("3", "1 1 1")
    assert len(line["weights_sha256"].split()) == 3

    (first, *_) = lines_of_csv(report.folder / "transfer_differences.csv")
    p = stats.ttest_ind(VALUES[1.0], VALUES[0.0], equal_var=False).pvalue
    assert float(first["p"]) == pytest.approx(min(1, 2 * p))  # of two sets with the same figures
    modes = lines_of_csv(report.folder / "transfer_modes.csv")
    single = [one for one in modes if one["weights_sha256"] and one["metric"] == "top1"]
    assert [float(one["difference"]) for one in single] == pytest.approx([20.0] * 12)


def test_the_page_has_tables_plots_and_provenance(report: Report) -> None:
    html = (report.folder / "index.html").read_text()
    for heading in ("Accuracy of transferred classifiers", "Which ε on which set", "Key results"):
        assert heading in html
    assert (
        "Each row is a detector" not in html and "<h1>Transfer from robust backbones</h1>" in html
    )
    assert html.count('<svg role="img" aria-label="Accuracy ') == 2
    assert html.count('<details class="run">') == 24 and "split manifest" in html
    for name in ("transfer_accuracy", "transfer_robust"):
        assert (report.folder / f"plots/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (report.folder / f"plots/{name}.svg").read_bytes()


def of(plots: list[Plot], name: str) -> Plot:
    return next(plot for plot in plots if plot.name == name)


def test_plots_have_a_panel_a_set_and_a_line_a_mode(report: Report) -> None:
    records = load_records(find_records([report.runs]).records, TransferRecord)
    plots = plots_of(group_runs(runs_of(records)))
    figure = of(plots, "transfer_accuracy").draw()
    assert [axes.get_title("left") for axes in figure.axes] == ["Stanford Cars", "DTD"]
    first = next(line for line in figure.axes[0].lines if line.get_linestyle() == "-")
    means = [np.mean(VALUES[0.0]), np.mean(VALUES[1.0])]
    assert np.asarray(first.get_ydata()) == pytest.approx(means)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "fixed-feature (logreg), resnet18, L2",
        "full-network, resnet18, L2",
    ]
    robust = of(plots, "transfer_robust").draw()
    assert robust.legends[0].get_texts()[0].get_text().endswith(", under L2 ε 1")


def test_accuracy_under_each_backbones_own_attack_is_one_line(
    write: Write, settings: Settings
) -> None:
    for eps in (0.5, 1.0):
        write(eps, 60.0, attack=attack_of("l2", eps), adversarial=30.0 - eps)
    (plot,) = [one for one in plots_of(settings()) if one.name == "transfer_robust"]
    ((curve,),) = [panel.curves for panel in plot.panels]
    assert curve.label.endswith("under its own ε")
    assert [(x, y.mean) for x, y, _ in curve.points] == [(0.5, 29.5), (1.0, 29.0)]


def test_figures_under_other_objectives_are_no_points_of_one_curve(
    write: Write, settings: Settings
) -> None:
    for eps, objective in ((0.5, "cross_entropy"), (1.0, "margin"), (2.0, "margin")):
        attack = attack_of("l2", eps, objective=objective)
        write(eps, 60.0, attack=attack, adversarial=30.0 - eps)
    (plot,) = [one for one in plots_of(settings()) if one.name == "transfer_robust"]
    ((old, new),) = [panel.curves for panel in plot.panels]
    assert old.label.endswith("under its own ε, PGD-10 on the cross-entropy")
    assert new.label.endswith("under its own ε, PGD-10 on the margin")
    assert [[x for x, _, _ in curve.points] for curve in (old, new)] == [[0.5], [1.0, 2.0]]


def test_subsets_are_a_curve_over_training_images(write: Write, settings: Settings) -> None:
    for subset, train in ((0.0, 80), (5.0, 4), (0.5, 40)):
        data = {"subset": subset, "train": train, "val": train // 4}
        write(1.0, 50.0 + train, data=data)
    # of other quirks, it is on no curve
    write(1.0, 3.0, data={"subset": 2.0, "train": 2}, quirks=["PAPER.SELECT_ON_TEST"])
    plot = of(plots_of(settings()), "transfer_subsets")
    ((curve,),) = [panel.curves for panel in plot.panels]
    assert [(x, y.mean) for x, y, _ in curve.points] == [(5, 54.0), (50, 90.0), (100, 130.0)]
    (axes,) = plot.draw().axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["5", "50", "100"]


def test_kinds_stand_beside_each_other(write: Write, tmp_path: Path, write_run: Write) -> None:
    write(1.0, 60.0)
    write_run("detector", 1.0, 38.0)
    page, text = compare([tmp_path / "runs"], tmp_path / "report")
    assert "Setting A — Box AP on shapes_val" in text and "Setting T1 — DTD, fixed" in text
    html = page.read_text()
    assert "Each row is a detector" in html and "Accuracy of transferred classifiers" in html
    assert {"ap.csv", "ap.md", "transfer.csv"} < {path.name for path in page.parent.iterdir()}


def test_a_sweeps_table_has_a_row_a_backbone_over_transfer_seeds(write: Write) -> None:
    runs = [(write(1.0, top1, seed=seed), "b_eps1") for seed, top1 in enumerate((60.0, 62.0, 67.0))]
    attacked = write(0.0, 50.0, per_class=45.25, data={"headline": "mean_per_class"})
    missing = (attacked.parent / "none", "b_eps3")
    table = results_table([*runs, (attacked, "b_eps0"), missing])
    rows = [re.split("  +", line) for line in table.splitlines()]
    head = ["run", "metric", "attack", "accuracy %", "adversarial top-1 %", "minutes", "n"]
    assert rows[0] == head
    deviation = np.std([60.0, 62.0, 67.0], ddof=1)
    assert rows[2] == ["b_eps1", "top-1", "—", f"63.0 ± {deviation:.1f}", "—", "1.5", "3"]
    assert rows[3] == ["b_eps0", "mean per class", "—", "45.2", "—", "1.5", "1"]
    assert "b_eps3" not in table


def test_a_sweeps_mean_is_of_one_attack(write: Write) -> None:
    def runs(*objectives: str) -> list[tuple[Path, str]]:
        made = []
        for seed, objective in enumerate(objectives):
            attack = attack_of("l2", 1.0, objective=objective)
            fields: Any = {"attack": attack, "adversarial": 20.0 + seed, "name": objective}
            made.append((write(1.0, 60.0, seed=seed, pretraining=len(objectives), **fields), "b"))
        return made

    words = "PGD-10 on the margin, L2 ε 1, steps of 0.25, 100 images"
    row = re.split("  +", results_table(runs("margin", "margin", "margin")).splitlines()[2])
    assert (row[2], row[4]) == (words, "21.0 ± 1.0")
    row = re.split("  +", results_table(runs("margin", "cross_entropy")).splitlines()[2])
    assert (row[2], row[4]) == ("2 different ones, so no mean", "—")
