"""The study of what features look like: its tables and its reading are what the records say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from robust_det.analysis.estimates import estimate
from tests.support import ROOT

STUDY = ROOT / "docs/results/visualization"
SAID = (STUDY / "README.md").read_text()
CORRELATION, ERROR = "correlation of pixels", "inversion error"


def record_of(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((STUDY / "records" / f"{name}.json").read_text())
    return record


def means_of(record: dict[str, Any], metric: str) -> list[dict[str, Any]]:
    """Of the standard network, of the robust one, and of their paired difference."""
    found = [one for one in record["means"] if one["metric"] == metric]
    assert [bool(one["minus"]) for one in found] == [False, False, True][: len(found)]
    return found


def shown(one: dict[str, Any], sign: str = "") -> str:
    value = f"{one['value']:{sign}.2f}".replace("-", "−")
    ends = ", ".join(f"{one[end]:.2f}".replace("-", "−") for end in ("low", "high"))
    return f"{value} [{ends}]"


def test_the_table_of_inversions() -> None:
    for seed in range(3):
        record = record_of(f"inversion_seed{seed}")
        assert (len(record["images"]), record["settings"]["iterations"]) == (32, 300)
        assert [one["eps"] for one in record["networks"]] == [0, 1]
        standard, robust, gap = means_of(record, CORRELATION)
        errors = [shown(one) for one in means_of(record, ERROR)[:2]]
        cells = [str(seed), shown(standard), shown(robust), shown(gap, "+"), *errors]
        assert f"| {' | '.join(cells)} |" in SAID


def test_the_reading_of_inversions() -> None:
    gaps = [means_of(record_of(f"inversion_seed{seed}"), CORRELATION)[2] for seed in range(3)]
    assert all(gap["low"] > 0 for gap in gaps)
    over = estimate(gap["value"] for gap in gaps)
    assert f"by {over.mean:.2f} [{over.low:.2f}, {over.high:.2f}] in\ncorrelation" in SAID
    long = record_of("inversion_long")
    assert (len(long["images"]), long["settings"]["iterations"]) == (6, 3000)
    errors = " and ".join(f"{one['value']:.2f}" for one in means_of(long, ERROR)[:2])
    said = " ".join(SAID.split())
    assert f"nearer to the representation, {errors}," in said
    gap = shown(means_of(long, CORRELATION)[2])
    assert f"the gap in correlation is still {gap}." in said


def test_the_table_of_boxes() -> None:
    record = record_of("explain")
    assert len(record["images"]) == 8 and len(record["rows"]) == 2 * 3 * 21
    for place, name in enumerate(("standard", "L2 ε 1")):
        cells = [
            shown([one for one in record["means"] if one["metric"].endswith(f", {of}")][place])
            for of in ("gradient", "res5", "own")
        ]
        assert f"| {name} | {' | '.join(cells)} |" in SAID


@pytest.mark.parametrize("path", sorted((STUDY / "records").glob("*.json")), ids=lambda p: p.stem)
def test_records_are_of_a_clean_checkout_and_of_this_project(path: Any) -> None:
    record = json.loads(path.read_text())
    assert record["environment"]["modified"] is False
    assert len(record["environment"]["commit"]) == 40
    places = [one["path"] for one in (*record["images"], *record["networks"])]
    assert places and not any(place.startswith("/") for place in places)
