from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robust_det.models import ModelCard
from robust_det.ranking.comparison import Row, compare
from robust_det.ranking.findings import findings
from robust_det.ranking.plot import score_figure
from robust_det.ranking.scores import METRICS, Figures
from robust_det.ranking.table import csv_text, table
from robust_det.ranking.task import TOP1
from robust_det.zoo.backbone_files import BackboneFile

RESAMPLES = 400


def backbone(
    name: str, eps: float | None, norm: str = "l2", arch: str = "resnet18"
) -> BackboneFile:
    card = ModelCard(arch, norm, eps, (0.5,) * 3, (0.2,) * 3, 224, ())
    return BackboneFile(name, Path(f"{name}.pth"), f"{name:0>64}", card)


def figures(value: float, spread: float = 1.0, seed: int = 0) -> Figures:
    """Every metric has the value, and resamples about it; those of one seed are paired."""
    noise = np.random.default_rng(seed).normal(0, spread, RESAMPLES)
    return Figures(dict.fromkeys(METRICS, value), {metric: value + noise for metric in METRICS})


def ranked(*given: tuple[BackboneFile, Figures], separate: bool = False) -> list[Row]:
    files, values = zip(*given, strict=True)
    return compare(files, values, TOP1, separate=separate)


def test_the_best_is_first_and_paired_differences_tell_how_sure() -> None:
    near = figures(69.0, seed=1)
    rows = ranked(
        (backbone("a", 0.0), figures(60.0)),
        (backbone("b", 1.0), figures(70.0)),
        (backbone("c", 3.0), near),
    )
    assert [row.label for row in rows] == [f"resnet18 L2 ε {e}" for e in (1, 3)] + [
        "resnet18 standard"
    ]
    best, second, last = rows
    assert best.behind is None and last.behind is not None and second.behind is not None
    # of the same draws: the difference is ten in each, whatever the spread
    assert (last.behind.value, last.behind.low, last.behind.high) == pytest.approx((-10,) * 3)
    assert last.is_told_apart and not second.is_told_apart
    share = np.mean(figures(70.0).resampled[TOP1] > near.resampled[TOP1])
    assert best.sure == pytest.approx(share) and second.sure == pytest.approx(1 - share)
    differences = near.resampled[TOP1] - figures(70.0).resampled[TOP1]
    # two differences at once, by Bonferroni
    expected = np.percentile(differences, (1.25, 98.75))
    assert (second.behind.low, second.behind.high) == pytest.approx(tuple(expected))
    interval = np.percentile(figures(70.0).resampled[TOP1], (2.5, 97.5))
    assert (best.figures[TOP1].low, best.figures[TOP1].high) == pytest.approx(tuple(interval))


def test_seeds_of_a_pretraining_are_one_row_whose_interval_counts_them() -> None:
    alike = ranked(*((backbone(f"a{n}", 1.0), figures(60.0)) for n in range(3)))
    apart = ranked(*((backbone(f"a{n}", 1.0), figures(50.0 + 10 * n)) for n in range(3)))
    for rows in (alike, apart):
        assert len(rows) == 1 and len(rows[0].files) == 3
        assert rows[0].figures[TOP1].value == pytest.approx(60)
    widths = [rows[0].figures[TOP1].high - rows[0].figures[TOP1].low for rows in (alike, apart)]
    # three draws of 50, 60 and 70: the mean has a standard deviation of 8.16 / sqrt(3)
    expected = 2 * 1.96 * np.hypot(1, 8.165 / 3**0.5)
    assert widths[0] == pytest.approx(2 * 1.96, rel=0.1)
    assert widths[1] == pytest.approx(expected, rel=0.1)


def test_the_norm_of_standard_training_means_nothing_and_that_of_others_does() -> None:
    given = [
        (backbone("a", 0.0, "l2"), figures(60)),
        (backbone("b", 0.0, "linf"), figures(61)),
        (backbone("c", 0.5, "l2"), figures(62)),
        (backbone("d", 0.5, "linf"), figures(63)),
        (backbone("e", 0.5, "l2", "resnet50"), figures(64)),
    ]
    rows = ranked(*given)
    assert sorted(len(row.files) for row in rows) == [1, 1, 1, 2]
    assert len(ranked(*given, separate=True)) == 5
    assert {row.norm for row in rows} == {"", "l2", "linf"}


def test_an_unknown_eps_is_alone_named_and_not_drawn() -> None:
    rows = ranked(
        (backbone("x", None, ""), figures(70)),
        (backbone("y", None, ""), figures(60)),
        (backbone("z", 0.0), figures(50)),
    )
    assert [row.label for row in rows] == [
        "resnet18 ε unknown (x)",
        "resnet18 ε unknown (y)",
        "resnet18 standard",
    ]
    said = findings(rows, TOP1, "images")
    assert "Of unknown ε, and not in the plot: x, y." in said
    [axes] = score_figure(rows, TOP1, "data").axes
    assert axes.get_legend_handles_labels()[1] == ["resnet18, standard"]


def test_a_tie_goes_to_the_smaller_eps_and_is_said() -> None:
    rows = ranked((backbone("b", 3.0), figures(60)), (backbone("a", 1.0), figures(60)))
    assert [row.eps for row in rows] == [1.0, 3.0]
    assert [row.sure for row in rows] == [0.5, 0.5]
    said = findings(rows, TOP1, "images")
    assert said[0].endswith("It is the best in 50% of the resamples.")
    assert "Its score is exactly that of resnet18 L2 ε 3; the smaller ε stands first." in said
    rows = ranked((backbone("x", None), figures(60)), (backbone("b", 0.0), figures(60)))
    assert [row.eps for row in rows] == [0.0, None]


def test_one_backbone_alone_is_recommended_by_nothing() -> None:
    rows = ranked((backbone("a", 1.0), figures(60)))
    [said] = findings(rows, TOP1, "boxes")
    assert said.startswith("One backbone alone, and nothing to compare: resnet18 L2 ε 1 (a) has 60")
    assert rows[0].sure == 1
    score_figure(rows, TOP1, "data")


def test_eps_is_compared_within_an_architecture() -> None:
    rows = ranked(
        (backbone("a", 0.0), figures(60)),
        (backbone("b", 1.0), figures(50)),
        (backbone("c", 0.0, arch="resnet50"), figures(70)),
        (backbone("d", 3.0, arch="resnet50"), figures(80)),
    )
    said = findings(rows, TOP1, "images")
    assert "Architectures differ in more than ε: compare ε within one of them." in said
    assert "The best ε within each: resnet50: L2 ε 3; resnet18: standard." in said
    assert said[1] == "All others are lower, also by the intervals of the differences."
    assert said[-1] == "Rank correlation of the top-1 and LogME over the 4 rows: 1.00 (Spearman)."


def test_table_and_csv_have_the_rows_in_their_order() -> None:
    rows = ranked(
        (backbone("a|b", 4 / 255, "linf"), figures(61.25)), (backbone("c", None), figures(60))
    )
    first, second = table(rows, TOP1).splitlines()[2:]
    assert first.split()[:6] == ["1", "resnet18", "L∞", "ε", "4/255", "1"]
    assert "61.2 (" in first and "−1.2 (−1.2 to −1.2)" in second
    head, one, two = (line.split(",") for line in csv_text(rows).splitlines())
    assert dict(zip(head, one, strict=True))["top1"] == "61.25"
    assert dict(zip(head, two, strict=True))["eps"] == ""
    assert "\\(c\\)" not in table(rows, TOP1, "pipe") and "| " in table(rows, TOP1, "pipe")
