from __future__ import annotations

from collections import Counter

import pytest

from robust_det.core.errors import UserError
from robust_det.data.transfer.manifest import Entry, Manifest
from robust_det.data.transfer.splits import subset, with_validation


def entries(counts: dict[str, int], split: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(f"{split}/{label}/{i}.png", label, f"{label}{split}{i}")
        for label, n in counts.items()
        for i in range(n)
    )


def manifest(counts: dict[str, int], val: dict[str, int] | None = None) -> Manifest:
    test = entries(dict.fromkeys(counts, 1), "test")
    return Manifest(
        "folder", tuple(counts), entries(counts, "train"), entries(val or {}, "val"), test
    )


def labels(found: tuple[Entry, ...]) -> Counter[str]:
    return Counter(entry.label for entry in found)


def test_validation_is_stratified_and_seeded() -> None:
    before = manifest({"a": 20, "b": 10, "c": 3, "d": 2, "e": 1})
    held = with_validation(before, 0.2, 0)
    assert labels(held.val) == {"a": 4, "b": 2, "c": 1, "d": 1}
    assert labels(held.train) == {"a": 16, "b": 8, "c": 2, "d": 1, "e": 1}
    assert set(held.training) == set(before.train) and held.test == before.test
    assert held.notes == (
        "validation: 0.2 of each class, by seed 0; 8 images; 1 class with one image, such as e,"
        " stay in training",
    )
    assert with_validation(before, 0.2, 0) == held != with_validation(before, 0.2, 1)
    assert labels(with_validation(before, 0.99, 0).train) == dict.fromkeys("abcde", 1)


def test_an_official_validation_split_is_kept() -> None:
    before = manifest({"a": 4}, {"a": 2})
    assert with_validation(before, 0.5, 0) is before


def test_copies_stay_on_one_side() -> None:
    train = tuple(
        Entry(f"{i}.png", "ab"[i % 2], f"content {i // 4}") for i in range(40)
    )  # each content four times, in both classes
    for seed in range(20):
        held = with_validation(Manifest("folder", ("a", "b"), train, (), ()), 0.3, seed)
        assert held.val and {e.sha256 for e in held.train}.isdisjoint(e.sha256 for e in held.val)
        assert sorted(held.training, key=train.index) == [*train]


def test_subsets() -> None:
    before = manifest({"a": 20, "b": 10, "c": 2}, {"a": 5})
    few = subset(before, seed=0, per_class=3)
    assert labels(few.train) == {"a": 3, "b": 3, "c": 2}
    assert (few.val, few.test) == ((), before.test)
    assert few.notes == (
        "subset: 3 images of each class, by seed 0; 8 of 37 training images; 1 class, such as c,"
        " have fewer",
    )
    part = subset(before, seed=0, fraction=0.1)
    assert labels(part.train) == {"a": 2, "b": 1, "c": 1}
    # the smaller within the larger
    assert set(few.train) < set(subset(before, seed=0, per_class=5).train)
    assert set(part.train) < set(few.train)
    assert set(few.train) != set(subset(before, seed=1, per_class=3).train)
    assert set(subset(before, seed=0, fraction=1).train) == set(before.training)


def test_what_makes_no_split_is_refused() -> None:
    before = manifest({"a": 2})
    for fraction in (0, 1, -0.1, 2):
        with pytest.raises(UserError, match="above 0 and below 1"):
            with_validation(before, fraction, 0)
    for wrong in ({}, {"per_class": 1, "fraction": 0.5}, {"per_class": 0}, {"fraction": 1.5}):
        with pytest.raises(UserError, match="a subset"):
            subset(before, seed=0, **wrong)
