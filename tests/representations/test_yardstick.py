"""Standard and robust backbones against two standard ones, on figures whose truth is known."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from robust_det.core.files import sha256_file
from robust_det.core.resampling import Interval
from robust_det.models import ModelCard
from robust_det.records.base import File
from robust_det.representations.given_images import GivenImages
from robust_det.representations.pairs import Cell, Pair
from robust_det.representations.similarity_answer import Compared, answer_of
from robust_det.representations.yardstick import MEAN, permuted, yardsticks
from robust_det.visualization.networks import ShownBackbone
from robust_det.zoo.backbone_files import BackboneFile
from tests.representations.conftest import Write, write_beside
from tests.support import run_tool


def backbone(name: str, eps: float, arch: str = "resnet18") -> Any:
    card = ModelCard(arch, "l2", eps, (), (), 64, ())
    file = BackboneFile(name, Path(f"{name}.pth"), f"{hash(name):x}", card)
    model: Any = SimpleNamespace(arch=arch, card=card)
    return ShownBackbone(file, model)


def pair_of(a: Any, b: Any, values: dict[str, float], one_beginning: bool = False) -> Pair:
    rng = np.random.default_rng(len(a.name))
    cells = {
        (row, column): Cell(
            Interval(value, np.nan, np.nan), 0.0, value + 1e-4 * rng.normal(size=50)
        )
        for row, value in values.items()
        for column in values
    }
    return Pair(a, b, cells, one_beginning)


def all_pairs(
    members: list[Any],
    alike: float,
    crossed: float,
    shared: float = 0,
    robust: float | None = None,
) -> list[Pair]:
    """Pairs of two standard ones have a figure, others another one, and each its own luck; two
    robust ones have one of their own, or that of two standard ones."""
    rng = np.random.default_rng(1)
    pairs = []
    for a, b in itertools.combinations(members, 2):
        number = (a.model.card.eps > 0) + (b.model.card.eps > 0)
        value = (alike, crossed, alike if robust is None else robust)[number]
        value += 0.01 * rng.normal()
        one = bool(shared) and a.name[-1] == b.name[-1]
        value += shared if one else 0
        pairs.append(pair_of(a, b, {"res2": value + 0.1, "res3": value}, one))
    return pairs


def three_and_three() -> list[Any]:
    return [backbone(f"e{eps}s{seed}", eps) for eps in (0, 1) for seed in range(3)]


def test_a_gap_between_groups_is_seen() -> None:
    members = three_and_three()
    pairs = all_pairs(members, 0.8, 0.5, robust=0.6)
    (one,) = yardsticks(members, pairs)
    assert (one.standard, one.robust, one.p, one.fewest) == (3, 3, 1 / 20, 1 / 20)

    def mean(wanted: set[float], stage: str) -> float:
        return float(
            np.mean(
                [
                    pair.cells[stage, stage].figure.value
                    for pair in pairs
                    if {p.model.card.eps for p in (pair.first, pair.second)} == wanted
                ]
            )
        )

    found = one.stages["res3"]
    assert found.standard.value == pytest.approx(mean({0}, "res3"))
    assert found.crossed.value == pytest.approx(mean({0, 1}, "res3"))
    assert found.robust.value == pytest.approx(mean({1}, "res3"))
    assert found.gap.value == pytest.approx(mean({0}, "res3") - mean({0, 1}, "res3"))
    assert found.gap.low < found.gap.value < found.gap.high
    both = one.stages[MEAN].gap.value
    assert both == pytest.approx((one.stages["res2"].gap.value + found.gap.value) / 2)


def test_few_runs_cannot_show_anything() -> None:
    members = [backbone("a", 0), backbone("b", 0), backbone("c", 1)]
    (one,) = yardsticks(members, all_pairs(members, 0.9, 0.1))
    assert one.fewest == one.p == pytest.approx(1 / 3)
    (alone,) = yardsticks(members[1:], all_pairs(members[1:], 0.9, 0.1))
    assert np.isnan(alone.p) and np.isnan(alone.stages[MEAN].standard.value)
    assert yardsticks(members[:2], all_pairs(members[:2], 0.9, 0.1)) == []


def test_no_gap_is_shown_where_there_is_none() -> None:
    rng = np.random.default_rng(7)
    small = 0
    for _ in range(400):
        values = rng.normal(size=(6, 6))
        small += permuted(values + values.T, 3)[0] <= 0.05
    assert small / 400 < 0.08  # 5% but for luck


def test_p_is_that_of_all_ways_of_naming_the_robust_ones() -> None:
    values = np.random.default_rng(2).normal(size=(5, 5))
    values += values.T

    def gap(chosen: tuple[int, ...]) -> float:
        others = [n for n in range(5) if n not in chosen]
        alike = [values[a, b] for a, b in itertools.combinations(chosen, 2)]
        crossed = [values[a, b] for a in chosen for b in others]
        return float(np.mean(alike) - np.mean(crossed))

    own = abs(gap((0, 1)))
    ways = [abs(gap(each)) >= own - 1e-12 for each in itertools.combinations(range(5), 2)]
    p, fewest = permuted(values, 2)
    assert p == pytest.approx(np.mean(ways)) and fewest == 1 / 10


def test_labels_are_drawn_within_beginnings() -> None:
    values = np.random.default_rng(3).normal(size=(6, 6))
    values += values.T
    for a in range(3):  # the first three have a twin each
        values[a, a + 3] = values[a + 3, a] = np.nan

    def gap(chosen: tuple[int, ...]) -> float:
        others = [n for n in range(6) if n not in chosen]
        alike = [values[a, b] for a, b in itertools.combinations(chosen, 2)]
        crossed = [values[a, b] for a in chosen for b in others]
        return float(np.nanmean(alike) - np.nanmean(crossed))

    swaps = [abs(gap(each)) for each in itertools.product((0, 3), (1, 4), (2, 5))]
    p, fewest = permuted(values, 3, [0, 1, 2, 0, 1, 2])
    assert p == pytest.approx(np.mean([each >= swaps[0] - 1e-12 for each in swaps]))
    assert fewest == 1 / 8
    # where all are of one, any could have been any
    assert permuted(np.ones((6, 6)), 3, [5] * 6)[1] == 1 / 20
    assert permuted(np.ones((6, 6)), 3, [-1, -1, -1, -1, 4, 4])[1] == 1 / math.comb(4, 3)


def test_pairs_of_one_beginning_do_not_count_where_there_are_others() -> None:
    members = three_and_three()
    (one,) = yardsticks(members, all_pairs(members, 0.8, 0.5, shared=0.4))
    assert (one.beginnings, one.left_out) == (3, True)
    assert one.stages["res3"].crossed.value == pytest.approx(0.5, abs=0.02)
    assert one.fewest == 1 / 8
    # with no others they count
    members = [backbone("e0s1", 0), backbone("e1s1", 1)]
    (one,) = yardsticks(members, all_pairs(members, 0.8, 0.5, shared=0.4))
    assert (one.beginnings, one.left_out) == (1, False)
    assert one.stages["res3"].crossed.value == pytest.approx(0.9, abs=0.03)


def test_another_architecture_is_no_yardstick() -> None:
    members = [backbone("a", 0), backbone("b", 0, "resnet50"), backbone("c", 1)]
    (one,) = yardsticks(members, all_pairs(members, 0.9, 0.1))
    assert one.arch == "resnet18" and one.standard == 1


def said(members: list[Any], pairs: list[Pair]) -> tuple[str, ...]:
    """Return the findings."""
    images = GivenImages(tuple(Path(f"{n}.png") for n in range(50)), ("0" * 64,) * 50, 64)
    compared = Compared(members, images, 1, pairs, yardsticks(members, pairs))
    return tuple(answer_of(compared, []).findings)


def test_it_says_what_holds_and_how_sure_it_is() -> None:
    members = three_and_three()
    first, stages, robust = said(members, all_pairs(members, 0.8, 0.5, robust=0.6))
    assert first.startswith(
        "Yes, on this data: standard and L2 ε 1 backbones of resnet18 are less alike than two"
        " standard ones: CKA of the same stage is 0.5"
    )
    assert "(p 0.050, 3 standard and 3 robust pretraining runs)" in first
    assert "res2 0.6" in stages and "against 0.9" in stages and "of 3 pairs" in robust
    (first, *_) = said(members, all_pairs(members, 0.5, 0.8, robust=0.8))
    assert first.startswith("No, on this data: ") and "are more alike than two standard" in first
    # where robust ones are alike as well, to call them the standard ones gives such a gap too
    (first, *_) = said(members, all_pairs(members, 0.8, 0.5, robust=0.9))
    assert first.startswith("Not shown: ") and "p 0.100" in first
    few = members[:2] + members[3:5]
    (first, *_) = said(few, all_pairs(few, 0.8, 0.5))
    assert first.startswith("Not known beyond these networks: ")
    assert "which cannot have one below 0.167" in first
    more = [backbone(f"e{eps}s{seed}", eps) for eps in (0, 1) for seed in range(4)]
    (first, *_) = said(more, all_pairs(more, 0.6, 0.6))
    assert first.startswith("Not shown: that standard and L2 ε 1 backbones of resnet18")


def test_records_beside_files_say_who_began_together(
    write_network: Write, images: Path, tmp_path: Path
) -> None:
    paths = []
    for number, (eps, start) in enumerate([(0.0, "a"), (0.0, "b"), (1.0, "a"), (1.0, "")]):
        made = write_network(f"n{number}", number, eps)
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        paths.append(made.rename(folder / "final.pth"))
        # the last one went on from the second
        sha256 = start * 64 or sha256_file(paths[1])
        write_beside(paths[-1], "resnet10_narrow", number, File("start.pth", sha256))
    done = run_tool(
        *("analyze", "similarity"),
        *("--backbones", *paths, "--images", images, "--output", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    assert "2 pairs of resnet10_narrow began from the same weights, by their records" in done.out
    record = json.loads((tmp_path / "out/similarity.json").read_text())
    together = {
        (row["first"][:4], row["second"][:4])
        for row in record["figures"]["similarity"]
        if row["one_beginning"]
    }
    assert together == {("run0", "run2"), ("run1", "run3")}
    crossed = [
        row["cka"]
        for row in record["figures"]["similarity"]
        if row["first_stage"] == row["second_stage"] == "res3"
        and row["first_training"] != row["second_training"]
        and not row["one_beginning"]
    ]
    (found,) = [row for row in record["figures"]["similarity_yardstick"] if row["stage"] == "res3"]
    assert len(crossed) == 2 and found["crossed"] == pytest.approx(np.mean(crossed))
