"""The answer that a comparison starts with: what it says follows from intervals alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robust_det.analysis.compare import compare
from robust_det.analysis.findings import key_findings
from robust_det.analysis.grouping import Setting, group_runs
from robust_det.analysis.runs import runs_of
from robust_det.analysis.significance.bootstrap import (
    Bootstrap,
    difference_interval,
    figure_interval,
)
from robust_det.analysis.significance.study import Difference, Figure, TaskStudy
from robust_det.records.detection import DetectionRecord
from robust_det.records.store import find_records, load_records
from tests.support import ROOT, refused

WriteRun = Callable[..., Path]


def setting_of(*folders: Path) -> Setting:
    found = load_records(find_records(folders).records, DetectionRecord)
    (setting,) = group_runs(runs_of(found))
    return setting


def studied(setting: Setting, spread: float) -> TaskStudy:
    """A study of box AP whose resamples lie evenly within ``spread`` about each difference."""
    study = TaskStudy(setting, "bbox")
    compared = [row for row in setting.rows if row.baseline is not None]
    even = np.linspace(-spread, spread, 1001)
    for row in compared:
        delta = row.delta("bbox")
        assert delta is not None and row.baseline is not None
        run = Bootstrap({"AP": delta.mean}, {"AP": delta.mean + even})
        base = Bootstrap({"AP": 0.0}, {"AP": np.zeros(1001)})
        study.figures.append(Figure(row, row.first, {"AP": figure_interval(run, "AP")}))
        study.differences.append(
            Difference(
                row,
                None,
                (row.summary("bbox").n, row.baseline.summary("bbox").n),
                {"AP": difference_interval(run, base, "AP")},
                len(compared),
                difference_interval(run, base, "AP", len(compared)),
            )
        )
    return study


@pytest.mark.parametrize(
    ("ap", "spread", "answer"),
    [
        # 95% of an even spread of 2 reaches 1.9
        ((42.0, 43.0), 2.0, "Yes, on this data: +4.0 [+2.1, +5.9]"),
        ((34.0, 35.0), 2.0, "No, on this data: −4.0 [−5.9, −2.1]"),
        ((39.0, 40.0), 2.0, "Not shown: +1.0 [−0.9, +2.9]"),
        ((37.5, 38.5), 2.0, "Not shown: −0.5 [−2.4, +1.4]"),
    ],
)
def test_the_answer_is_that_of_the_interval(
    ap: tuple[float, float], spread: float, answer: str, write_run: WriteRun
) -> None:
    setting = setting_of(
        *(write_run(f"s{n}", 0.0, 38.0 + n, seed=n) for n in (0, 1)),
        *(write_run(f"r{n}", 1.0, value, seed=n) for n, value in enumerate(ap)),
    )
    (finding,) = key_findings([setting], [studied(setting, spread)])
    assert finding.startswith(f"{answer} box AP over images, 2 seeds, on shapes_val, resnet18 (")
    # 39.0 to 40.0 against 38.0 to 39.0: single runs touch
    assert ("another seed could turn it" in finding) == (answer.startswith("Not shown"))


def test_the_best_of_several_needs_a_wider_interval(write_run: WriteRun) -> None:
    """+1.92 with 95% to 0.02 above 0; allowing for three that were looked at, not shown."""
    standard = write_run("s", 0.0, 38.0)
    one = write_run("r1", 1.0, 39.92)
    alone = setting_of(standard, one)
    assert key_findings([alone], [studied(alone, 2.0)])[0].startswith("Yes, on this data: +1.9 [")
    three = setting_of(standard, one, write_run("r3", 3.0, 38.0), write_run("r5", 5.0, 30.0))
    (finding,) = key_findings([three], [studied(three, 2.0)])
    assert finding.startswith("Not shown: +1.9 [0.0, +3.8] box AP over images, 1 seed, ")
    assert "of 3 robust backbones one was picked after looking" in finding
    assert "[0.0, +3.9] at 98.33%" in finding
    assert "; below the standard one: L2 ε 5" in finding
    assert "one seed only, and another could turn it" in finding


def test_no_interval_no_yes(write_run: WriteRun) -> None:
    setting = setting_of(write_run("s", 0.0, 38.0), write_run("r", 1.0, 48.0))
    study = studied(setting, 1.0)
    nan = np.full(5, np.nan)
    run, base = Bootstrap({"AP": 10.0}, {"AP": nan}), Bootstrap({"AP": 0.0}, {"AP": nan})
    gone = difference_interval(run, base, "AP")
    (known,) = study.differences
    study.differences = [Difference(known.row, 0, (1, 1), {"AP": gone}, 1, gone)]
    (finding,) = key_findings([setting], [study])
    assert finding.startswith("Not known: +10.0 ") and "there is no interval" in finding
    # asked for, and not to be had of these runs
    (finding,) = key_findings([setting], asked=True)
    assert finding.endswith("no interval was computed, see the notes.")
    voc = {"name": "PascalVOCDetectionEvaluator", "library": "detectron2", "version": "0.6"}
    scored = setting_of(
        *(write_run(f"v{eps}", float(eps), 40.0 + eps, evaluators=[voc]) for eps in (0, 1))
    )
    assert "no interval can be computed" in key_findings([scored])[0]


def test_the_page_the_terminal_and_markdown_answer_alike(
    write_run: WriteRun, tmp_path: Path
) -> None:
    runs = [write_run("s", 0.0, 38.0), write_run("r", 1.0, 48.0)]
    _, text = compare(runs, tmp_path / "report")
    answer = "Not known: +10.0 box AP on"
    assert text.startswith(answer)
    page = (tmp_path / "report/index.html").read_text()
    assert f"<li>{answer}" in page and "n is the number of fine-tuning seeds" in page
    # no colour of a result where none was shown
    assert 'class="delta "' in page and 'class="delta up"' not in page
    markdown = (tmp_path / "report/ap.md").read_text()
    assert f"- {answer}" in markdown and "n is the number of fine-tuning seeds" in markdown
    for words in (page, text, markdown):
        assert not re.search(r"\b(best|better|worse)\b", words)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--resamples", 50), "--resamples is of --significance"),
        (("--seed", 1), "--seed is of --significance"),
        (("--interval", "percentile"), "--interval is of --significance"),
        (("--annotations", "x.json"), "--annotations x.json is not a file"),
        (("--annotations", __file__, "--pictures", 0), "--annotations is of pictures, --signif"),
        (("--images", __file__), "is not a folder; give that of the test images"),
        (("--images", ROOT, "--pictures", 0), "--images is of pictures, and there are none"),
        (("--pictures", -1), "--pictures is a number of images, from 0 on"),
        (("--significance", "--resamples", 39), "too few for 95% intervals; give at least 40"),
    ],
)
def test_an_option_has_an_effect_or_is_refused(
    arguments: Any, message: str, write_run: WriteRun, tmp_path: Path
) -> None:
    given = (write_run("a", 0.0, 38.0), "--output", tmp_path / "report", *arguments)
    assert message in refused("compare_ap", *given, untouched=tmp_path)
