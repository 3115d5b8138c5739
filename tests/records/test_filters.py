"""Filters on columns, against a loop over the JSON files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robust_det.core.errors import UserError
from robust_det.records import Record
from robust_det.records.filters import parse_filter
from robust_det.records.table import Query, select

Pairs = list[tuple[Path, Record]]
Plain = dict[str, dict[str, Any]]


def paths_of(records: Pairs, *filters: str) -> set[str]:
    table = select(records, Query(("path",), tuple(map(parse_filter, filters))))
    return {row[0] for row in table.rows}


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (["kind=transfer", "eps>0"], lambda r: r["kind"] == "transfer" and r["eps"] > 0),
        (["eps>=0.5", "eps<1"], lambda r: 0.5 <= r["eps"] < 1),
        (["eps=1/4"], lambda r: r["eps"] == 0.25),
        (["eps!=0", "seed<=1"], lambda r: r["eps"] != 0 and r["seed"] <= 1),
        (["name~*bccd*"], lambda r: "bccd" in r["name"]),
        (["modified=false", "arch=mobilenet_v2"], lambda r: r["arch"] == "mobilenet_v2"),
        (["created<2026-11-25"], lambda r: r["environment"]["created"] < "2026-11-25"),
        (["metrics.top1>40"], lambda r: (r["metrics"].get("top1") or 0) > 40),
        (
            ["config.TRANSFER.MODE=full-network"],
            lambda r: r["config"].get("TRANSFER", {}).get("MODE") == "full-network",
        ),
        (["pretraining_seed=none", "kind=pretrain"], lambda r: False),
    ],
)
def test_filters_find_what_a_loop_finds(
    filters: list[str], wanted: Callable[[Any], bool], records: Pairs, plain: Plain
) -> None:
    assert paths_of(records, *filters) == {path for path, one in plain.items() if wanted(one)}


def test_what_has_no_value_is_not_before_or_after_any(records: Pairs, plain: Plain) -> None:
    have = {path for path, one in plain.items() if "top1" in one["metrics"]}
    assert paths_of(records, "metrics.top1=none") == set(plain) - have
    below, above = paths_of(records, "metrics.top1<40"), paths_of(records, "metrics.top1>=40")
    assert below and above and not below & above and below | above == have


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kin=pretrain", "no column 'kin' in the records; did you mean 'kind'?"),
        (
            "metrics.topp1>3",
            "no column 'metrics.topp1' in the records; did you mean 'metrics.top1'",
        ),
        ("SOLVER.BASE_LR=1", "did you mean 'config.SOLVER.BASE_LR'?"),
        ("arch>5", "compares with what column 'arch' does not hold, such as resnet18"),
        ("eps>high", "compares with what column 'eps' does not hold, such as 0.25"),
        ("eps>", "the filter 'eps>' has no value"),
        ("resnet18", "'resnet18' is no folder and no filter; write COLUMN"),
        ("=3", "'=3' is no folder and no filter"),
    ],
)
def test_filters_that_mean_nothing_are_refused(text: str, message: str, records: Pairs) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        paths_of(records, text)


def test_patterns_of_columns_are_of_the_rows_found(records: Pairs) -> None:
    query = Query(("name", "metrics.*"), (parse_filter("kind=pretrain"),))
    assert select(records, query).columns == [
        "name",
        *("metrics." + name for name in sorted(("adversarial_top1", "clean_top1", "clean_top5"))),
        "metrics.train_loss",
        "metrics.train_top1",
    ]
    with pytest.raises(UserError, match=r"no column is like 'foo\*'"):
        select(records, Query(("foo*",)))
    with pytest.raises(UserError, match="--descending is of --sort"):
        Query(descending=True)
    with pytest.raises(UserError, match="from 1 on"):
        Query(limit=0)
