"""The reported figures: what they are, what their digits tell, and what they compare with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import product

import numpy as np
import pytest

from robust_det.core.epsilon import format_eps
from robust_det.core.errors import UserError
from robust_det.data.transfer.catalogue import MEAN_PER_CLASS, SETS, TOP1
from robust_det.models import ARCHITECTURES
from robust_det.reference.salman2020 import (
    MODES,
    NORMS,
    REMARKS,
    UNTOLD,
    BestSetting,
    Reported,
    beside,
    best_settings,
    comparable,
    reported,
)

DIGITS = 2  # of the tables
BALANCED = {"cifar10", "cifar100", "dtd", "food", "sun397"}  # the same number a class in test
LARGE = {"resnet18", "resnet50", "wide_resnet50_2", "wide_resnet50_4"}


def multiples(accuracies: Iterable[float], images: int, rounding: float) -> np.ndarray:
    """Which of them are multiples of 100 / images, to rounding: what top-1 on so many may be."""
    values = np.fromiter(accuracies, float)
    nearest = 100 * np.round(values * images / 100) / images
    return np.abs(nearest - values) <= rounding + 1e-9


def by_chance(images: int, rounding: float) -> float:
    """The share of all numbers that are such multiples."""
    return min(1.0, 2 * rounding * images / 100)


def groups() -> dict[tuple[str, str, int], list[Reported]]:
    out = defaultdict(list)
    for row in reported():
        out[row.set, row.arch, row.downscale].append(row)
    return out


def tables(eps: float, **words: object) -> np.ndarray:
    return np.array([row.accuracy for row in reported(norm="l2", eps=eps, **words)])  # type: ignore[arg-type]


def test_all_figures_are_there_in_the_projects_words() -> None:
    rows, best = reported(), best_settings()
    every: list[Reported | BestSetting] = [*rows, *best]
    assert (len(rows), len(best)) == (1548, 96)
    for row in every:
        assert row.set in SETS and row.arch in ARCHITECTURES
        assert row.norm in NORMS and row.mode in MODES
        assert set(row.remarks) <= set(REMARKS) and row.remark
        assert row.metric in (TOP1, MEAN_PER_CLASS, UNTOLD)
        assert 0 < row.accuracy < 100
    keys = {(r.set, r.arch, r.norm, r.eps, r.mode, r.downscale) for r in rows}
    assert len(keys) == len(rows)
    assert {row.downscale for row in rows} == {0, 32}
    assert {key for row in every for key in row.remarks} == set(REMARKS)
    networks = {row.arch for row in best}
    assert {(r.set, r.arch, r.mode) for r in best} == set(product(set(SETS), LARGE, MODES)) - {
        (name, arch, mode) for name in ("folder", "csv") for arch in networks for mode in MODES
    }


def test_eps_are_those_of_images_in_0_to_1() -> None:
    linf = reported(norm="linf")
    assert {row.set for row in linf} == {"cifar10", "cifar100"} and len(linf) == 48
    assert sorted({row.eps for row in linf}) == [0, *(k / 255 for k in (0.5, 1, 2, 4, 8))]
    l2 = {0, 0.01, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 3, 5}
    assert {row.eps for row in reported(norm="l2")} == l2
    assert {format_eps("linf", row.eps) for row in linf} == {
        *("0", "0.5/255", "1/255", "2/255", "4/255", "8/255")
    }
    (one,) = reported("cifar10", "resnet50", "linf", 4 / 255 + 1e-12, "fixed-feature")
    assert one.accuracy == 93.35
    assert reported("cifar10", "resnet50", "linf", 4, "fixed-feature") == []


def test_the_digits_at_32_px_tell_the_metric_of_every_group() -> None:
    half = 0.5 * 10.0**-DIGITS
    told = 0
    for (name, arch, downscale), rows in groups().items():
        if downscale != 32:
            continue
        (metric,), (images,) = {r.metric for r in rows}, {r.test_images for r in rows}
        fits = multiples((r.accuracy for r in rows), images, half)
        chance = by_chance(images, half)
        if chance == 1:  # a multiple is within rounding of any number
            assert fits.all()
            assert name in BALANCED or "metric-as-reported" in rows[0].remarks
            continue
        assert fits.all() == (metric == TOP1), (name, arch)
        told += not fits.all()
    assert told == 4 * 3 + 2  # Caltech-101, Flowers, Pets, and Aircraft's two wide networks
    # each set's top-1 fits its number of images far beyond chance, Birdsnap's the official one not
    for name, images in (("aircraft", 3333), ("birdsnap", 8171), ("cars", 8041), ("dtd", 1880)):
        rows = [r for r in reported(name, downscale=32) if r.metric == TOP1]
        assert {r.test_images for r in rows} == {images}
        assert by_chance(images, half) ** len(rows) < 1e-4
    birds = [r.accuracy for r in reported("birdsnap", downscale=32)]
    assert multiples(birds, SETS["birdsnap"].sizes["test"], half).mean() < 0.4


def test_the_digits_at_full_size_are_those_of_several_runs() -> None:
    half = 0.5 * 10.0**-DIGITS
    for (name, arch, downscale), rows in groups().items():
        several = "several-runs" in rows[0].remarks
        assert several == (not downscale and arch in LARGE and name in ("birdsnap", "cars", "dtd"))
    for name in ("birdsnap", "cars", "dtd", "aircraft"):
        rows = [r for r in reported(name, downscale=0) if r.arch in LARGE]
        one = multiples((r.accuracy for r in rows), rows[0].test_images, half)
        three = multiples((r.accuracy for r in rows), 3 * rows[0].test_images, half)
        assert not one.all() and three.all()
    # of DTD alone, thrice the images are few enough to tell
    many = len([r for r in reported("dtd", downscale=0) if r.arch in LARGE])
    assert many == 66 and by_chance(3 * 1880, half) ** many < 1e-15


def test_what_no_digits_tell_is_said() -> None:
    half = 0.5 * 10.0**-DIGITS
    alike: dict[object, list[Reported]] = defaultdict(
        list
    )  # what was trained and reported in one way
    for (name, arch, downscale), rows in groups().items():
        alike[name, arch in LARGE, downscale, rows[0].metric] += rows
    for (name, arch, downscale), rows in groups().items():
        ((remarks, metric, images),) = {(r.remarks, r.metric, r.test_images) for r in rows}
        fellows = alike[name, arch in LARGE, downscale, metric]
        fits = multiples((r.accuracy for r in fellows), images, half).all()
        beyond_chance = fits and by_chance(images, half) ** len(fellows) < 0.05
        told = (
            name in BALANCED
            or (metric == TOP1 and beyond_chance)
            or (metric == MEAN_PER_CLASS and downscale == 32 and not fits)
        )
        assert told != ("metric-as-reported" in remarks or metric == UNTOLD), (name, arch)
        if metric != UNTOLD:
            as_named = metric == SETS[name].headline
            assert as_named != ("not-as-reported" in remarks)
        assert (metric == UNTOLD) == (name == "aircraft" and not downscale)


def test_the_digits_of_the_best_settings_tell_their_metric() -> None:
    mixed = set()
    for row in best_settings():
        # float32 in percent
        top1 = bool(multiples([row.accuracy], row.test_images, 1e-5)[0])
        assert by_chance(row.test_images, 1e-5) < 0.01
        assert (row.metric == TOP1) == top1, row
        if row.set == "aircraft":
            mixed.add((row.arch == "wide_resnet50_4", row.metric))
    assert mixed == {(True, MEAN_PER_CLASS), (False, TOP1)}
    birds = [row.accuracy for row in best_settings("birdsnap")]
    assert not multiples(birds, SETS["birdsnap"].sizes["test"], 1e-5).any()
    official = {row.set: row.test_images for row in best_settings() if row.set != "birdsnap"}
    for name, images in official.items():
        facts = SETS[name]
        if facts.per_class:
            left = sum(facts.sizes.values()) - facts.classes * facts.per_class
            assert images == left
        else:
            assert images == facts.sizes["test"]


def test_a_robust_backbone_is_better_as_often_as_the_paper_says() -> None:
    def higher(downscale: int, mode: str, archs: tuple[str, ...]) -> tuple[int, int, int]:
        gains = []
        for name, arch in product(SETS, archs):
            if name in ("folder", "csv"):
                continue
            rows = reported(name, arch, "l2", None, mode, downscale)
            (standard,) = (row.accuracy for row in rows if not row.eps)
            gains.append(max(row.accuracy for row in rows if row.eps) - standard)
        apart = np.round(gains, 2)
        return int((apart > 0).sum()), int((apart > 1).sum()), len(apart)

    three = ("resnet18", "resnet50", "wide_resnet50_2")
    assert higher(0, "fixed-feature", three) == (28, 17, 36)
    assert higher(0, "full-network", three) == (22, 5, 36)
    assert higher(32, "fixed-feature", three[:2]) == (24, 24, 24)
    assert higher(32, "full-network", three[:2]) == (24, 15, 24)


@pytest.mark.parametrize("mode, apart", [("fixed-feature", -6.4), ("full-network", -2.9)])
def test_eps_3_costs_on_the_sets_that_are_not_cifar(mode: str, apart: float) -> None:
    gains = []
    for name, arch in product(SETS, ("resnet18", "resnet50", "wide_resnet50_2")):
        if name in ("folder", "csv", "cifar10", "cifar100"):
            continue
        words = {"set": name, "arch": arch, "mode": mode, "downscale": 0}
        gains += [*(tables(3.0, **words) - tables(0.0, **words))]
    assert len(gains) == 30
    assert np.mean(gains) == pytest.approx(apart, abs=0.05)


def test_the_best_settings_are_not_below_the_tables() -> None:
    apart = []
    for best in best_settings():
        for row in reported(best.set, best.arch, "l2", best.eps, best.mode, 0):
            apart.append(best.accuracy - row.accuracy)
    assert len(apart) == 78
    assert min(apart) > -0.005 and np.median(apart) == pytest.approx(0.12, abs=0.01)


def row_of(name: str, arch: str = "resnet18", downscale: int = 0) -> Reported:
    (row,) = reported(name, arch, "l2", 3.0, "fixed-feature", downscale)
    return row


def test_only_the_same_metric_of_the_same_images_is_subtracted() -> None:
    assert comparable(row_of("pets"), MEAN_PER_CLASS, 3669, 37) == ""
    assert comparable(row_of("dtd"), TOP1, 1880) == ""
    assert comparable(row_of("pets"), TOP1, 3669) == "theirs is the mean per class, ours top-1"
    assert comparable(row_of("birdsnap"), TOP1, 2443) == (
        "theirs is of 8,171 test images, ours of 2,443"
    )
    assert comparable(row_of("dtd"), TOP1, 1880, 46) == "theirs is of 47 classes, ours of 46"
    untold = "theirs does not tell whether it is top-1 or the mean per class"
    assert {comparable(row_of("aircraft"), m, 3333) for m in (TOP1, MEAN_PER_CLASS)} == {untold}
    assert comparable(row_of("aircraft", downscale=32), TOP1, 3333) == ""
    wide: list[BestSetting] = best_settings("aircraft", "wide_resnet50_4")
    assert {comparable(row, TOP1, 3333) for row in wide} == {
        "theirs is the mean per class, ours top-1"
    }
    with pytest.raises(UserError, match="no metric is called 'top-1'; it is one of top1"):
        comparable(row_of("pets"), "top-1", 3669)


def test_ours_stands_beside_theirs_in_their_metric() -> None:
    figures = {TOP1: 60.0, MEAN_PER_CLASS: 70.0}
    setting = {"arch": "resnet18", "norm": "l2", "mode": "fixed-feature"}
    pets = beside(figures, 3669, 37, set="pets", eps=3.0, **setting)  # type: ignore[arg-type]
    assert pets is not None and pets.ours == 70.0 and not pets.reason
    assert pets.difference == pytest.approx(70 - row_of("pets").accuracy)
    birds = beside(figures, 2443, 500, set="birdsnap", eps=3.0, **setting)  # type: ignore[arg-type]
    assert birds is not None and (birds.ours, birds.difference) == (60.0, None)
    assert birds.reason.endswith("ours of 2,443")
    plane = beside(figures, 3333, 100, set="aircraft", eps=3.0, **setting)  # type: ignore[arg-type]
    assert plane is not None and (plane.ours, plane.difference) == (None, None)
    assert "does not tell" in plane.reason
    lacking = beside({TOP1: 60.0}, 3669, 37, set="pets", eps=3.0, **setting)  # type: ignore[arg-type]
    assert lacking is not None and lacking.difference is None
    assert lacking.reason == "theirs is the mean per class, which ours lacks"
    assert beside(figures, 3669, 37, set="pets", eps=2.0, **setting) is None  # type: ignore[arg-type]
    assert beside(figures, 1, 2, set="folder", eps=3.0, **setting) is None  # type: ignore[arg-type]
    setting["norm"] = ""  # of a standard backbone
    (standard,) = reported("cifar10", "resnet18", "l2", 0.0, "fixed-feature", 0)
    none = beside(figures, 10000, 10, set="cifar10", eps=0.0, **setting)  # type: ignore[arg-type]
    assert none is not None and none.reported == standard
    with pytest.raises(UserError, match="no metric is called 'accuracy'"):
        beside({"accuracy": 1.0}, 1880, 47, set="dtd", eps=3.0, **setting)  # type: ignore[arg-type]


def test_what_nobody_reported_is_told() -> None:
    with pytest.raises(UserError, match="of the data set 'pet'; did you mean 'pets'"):
        reported("pet")
    with pytest.raises(UserError, match="of the network 'resnet101'"):
        reported(arch="resnet101")
    with pytest.raises(UserError, match="of the norm 'linf'"):
        best_settings(norm="linf")
    with pytest.raises(UserError, match="of the mode 'linear'"):
        reported(mode="linear")
