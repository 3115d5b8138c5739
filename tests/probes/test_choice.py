from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from robust_det.core.errors import UserError
from robust_det.probes import LinearHead, LogisticFit, choose, fit, refit
from tests.support.features import Sample

# classes by the sign of the one feature
FEATURES = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
LABELS = torch.tensor([0, 0, 1, 1])


def made(strength: float, threshold: float, **fields: Any) -> LogisticFit:
    """A fit that takes images above a threshold for the second class."""
    head = LinearHead(torch.tensor([[-1.0], [1.0]]), torch.tensor([threshold, -threshold]))
    usual = {"iterations": 3, "passes": 4, "converged": True, "gap": 1e-6, "objective": 1.0}
    return LogisticFit(strength=strength, head=head, **{**usual, "constant": 0, **fields})


def test_the_best_and_of_equals_the_strongest_regularisation() -> None:
    fits = [made(10.0, 0.0), made(0.1, 1.5), made(1.0, 0.5), made(100.0, -1.5)]
    choice = choose(fits, FEATURES, LABELS)
    assert choice.fit is fits[2]
    assert choice.accuracies == (100.0, 75.0, 100.0, 75.0)
    assert choice.accuracy == 100.0
    assert choice.remarks == ()


def test_edges_and_what_has_not_converged_are_said() -> None:
    fits = [
        made(1.0, 0.5, converged=False, iterations=1000, gap=0.02, constant=1),
        made(10.0, 1.5, converged=False),
        made(0.1, 1.5, converged=False),
        made(100.0, 1.5),
    ]
    assert choose(fits, FEATURES, LABELS).remarks == (
        "The fit with the best C = 1 has not converged in 1,000 iterations: its objective may"
        " be 2.0e-02 above the lowest, relative; allow more iterations.",
        "2 other fits of 4 did not converge, with C from 0.1 to 10; one of them may be better than"
        " it seems.",
        "1 feature of 1 the same in all training images: their weights are 0.",
    )
    good = [replace(one, converged=True, constant=0) for one in fits]
    assert choose(good[:1], FEATURES, LABELS).remarks == ()  # one is no grid
    assert choose([good[0], good[1]], FEATURES, LABELS).remarks == (
        "The best C = 1 is the smallest of those tried; a smaller one may be better.",
    )
    assert choose([good[0], good[2]], FEATURES, LABELS).remarks == (
        "The best C = 1 is the largest of those tried; a larger one may be better.",
    )


def test_refit_is_the_fit_to_all_images_at_that_strength(sample: Sample) -> None:
    features, labels, classes = sample
    train, validation = (features[:200], labels[:200]), (features[200:], labels[200:])
    choice = choose(fit(*train, classes, (1e-3, 0.1, 10.0)), *validation)
    again = refit(choice, train, validation)
    [expected] = fit(features, labels, classes, [choice.fit.strength])
    assert torch.equal(again.head.weight, expected.head.weight)
    assert not torch.allclose(again.head.weight, choice.fit.head.weight, rtol=1e-2)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="there is no fit to choose from"):
        choose([], FEATURES, LABELS)
    with pytest.raises(UserError, match="the validation features have 2 numbers an image"):
        choose([made(1.0, 0.0)], FEATURES.repeat(1, 2), LABELS)
    with pytest.raises(UserError, match="1 label not in 0 to 1, such as 2 in row 3"):
        choose([made(1.0, 0.0)], FEATURES, torch.tensor([0, 0, 1, 2]))
