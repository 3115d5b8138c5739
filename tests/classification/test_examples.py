"""Images that show what eps means: which are kept, as what, and how they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from robust_det.classification.examples.choice import SHOWN, Examples, example
from robust_det.classification.examples.drawing import Picture, examples_figure, write_picture
from robust_det.classification.examples.example import (
    Example,
    Seen,
    load_examples,
    save_examples,
)


def one(rank: int = 0, right: bool = True, side: int = 8, eps: int = 1, by: float = 0.1) -> Example:
    """An example whose pixels are its own."""
    generator = torch.Generator().manual_seed(rank)
    image = torch.randint(256, (3, side, side), generator=generator) / 255
    attacked = [image + by * (n + 1) for n in range(eps)]
    seen = (Seen(0 if right else 1, 0.9), *[Seen(1, 0.75)] * eps)
    return example(rank, 0, ("pgd-ce", *["pgd-ce@0.5"] * (eps - 1)), image, attacked, seen)


@pytest.mark.parametrize("batch", [1, 7, 40])
def test_a_draw_of_the_right_ones_is_kept_whatever_the_batches(batch: int) -> None:
    right = [place % 3 > 0 for place in range(40)]
    examples = Examples(40, seed=3)
    for start in range(0, 40, batch):
        places = list(range(start, min(start + batch, 40)))
        good = [right[place] for place in places]
        for number in examples.wanted(places, good):
            examples.add([one(examples.rank(places[number]), good[number])])
    order = sorted(range(40), key=examples.rank)
    expected = [examples.rank(place) for place in order if right[place]][:SHOWN]
    assert [each.rank for each in examples.kept] == expected
    assert sorted(map(examples.rank, range(40))) == list(range(40))
    other = Examples(40, seed=4)
    assert any(other.rank(place) != examples.rank(place) for place in range(40))


def test_wrong_ones_fill_up() -> None:
    examples = Examples(5, seed=0, count=4)
    examples.add([one(4), one(1, right=False), one(0, right=False), one(2), one(3, right=False)])
    assert [each.rank for each in examples.kept] == [2, 4, 0, 1]
    assert not examples.add([one(3, right=False)])


def test_what_is_kept_is_read_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "examples.npz"
    before = [one(3, eps=2), one(5, right=False, eps=2)]
    save_examples(path, before)
    for old, new in zip(before, load_examples(path), strict=True):
        assert (old.rank, old.target, old.fell, old.seen) == (
            new.rank,
            new.target,
            new.fell,
            new.seen,
        )
        assert np.array_equal(old.pixels, new.pixels) and np.array_equal(old.changes, new.changes)
    path.write_bytes(path.read_bytes()[:200])
    assert load_examples(path) == [] and load_examples(tmp_path / "none.npz") == []
    np.savez(path, said=np.array([{}], dtype=object))  # pickled
    assert load_examples(path) == []


def texts(picture: Picture) -> list[str]:
    return [text.get_text() for text in examples_figure(picture).texts]


@pytest.mark.parametrize("side", [8, 32, 64, 224])
def test_pixels_are_squares_of_whole_pixels(side: int, tmp_path: Path) -> None:
    example = one(1, side=side, by=4 / 255)
    picture = Picture([example, one(2, side=side)], ["cat", "dog"], "linf", [4 / 255], "it")
    write_picture(tmp_path / "examples.png", picture)
    with Image.open(tmp_path / "examples.png") as file:
        drawn = np.array(file.convert("RGB"))
    times = -(-168 // side)
    large = Image.fromarray(example.pixels.transpose(1, 2, 0)).resize(
        (times * side, times * side), Image.Resampling.NEAREST
    )
    expected = np.array(large)
    height, width = expected.shape[:2]
    places = [
        (y, x)
        for y in range(drawn.shape[0] - height)
        for x in (18,)
        if np.array_equal(drawn[y, x : x + width], expected[0])
    ]
    assert any(np.array_equal(drawn[y : y + height, x : x + width], expected) for y, x in places)


def test_captions_say_class_confidence_and_fate() -> None:
    example = one(1, eps=2, by=0.01)
    said = texts(Picture([example], ["cat", "dog"], "l2", [0.5, 1], "pgd"))
    assert {"✓ cat", "90.0%", "true: cat", "✗ dog", "75.0%"} <= set(said)
    assert {"fell to pgd-ce", "fell to pgd-ce at ε 0.5", "L2 ε 0.5", "L2 ε 1"} <= set(said)
    # of a change of 0.01 everywhere, at 8 px
    assert f"L2 {0.01 * (3 * 64) ** 0.5:.3g}" in said and "L∞ 2.55/255" in said
    assert "difference × 50" in said and "difference × 20" in said


def test_of_many_eps_some_are_shown_and_that_is_said() -> None:
    eps = [0.1 * n for n in range(1, 8)]
    picture = Picture([one(1, eps=7)], ["a", "b"], "l2", eps, "pgd")
    assert picture.places == [0, 2, 4, 6]
    assert "Shown are 4 of 7 ε." in " ".join(texts(picture))


def test_names_may_be_long_and_of_any_letters(tmp_path: Path) -> None:
    names = ["$x$ 猫 " + "very long " * 9, "dog\n\udcff"]
    example = one(1, right=False)
    picture = Picture([example], names, "linf", [0.1], "a\n$b$ " + "long " * 80)
    write_picture(tmp_path / "examples.png", picture)  # a warning would be an error
    said = texts(picture)
    assert any(text == "✗ dog??" for text in said)
    assert any(text.startswith("true: $x$ � very") and text.endswith("…") for text in said)
    with Image.open(tmp_path / "examples.png") as file:
        width = file.width
    assert all(6 * len(text) < width for text in said)


def test_without_a_change_nothing_is_magnified() -> None:
    assert Picture([one(1, by=0.0)], ["a", "b"], "l2", [1], "").magnified(0) == 1
    assert Picture([one(1, by=4 / 255)], ["a", "b"], "l2", [1], "").magnified(0) == 20
