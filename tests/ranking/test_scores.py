from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from robust_det.core.errors import UserError
from robust_det.core.resampling import resamples_of
from robust_det.probes import logme
from robust_det.ranking.scores import LOGME, Score, figures_of, score
from robust_det.ranking.task import MEAN_PER_CLASS, TOP1, Task
from tests.support.features import make_sample

MakeTask = Callable[..., tuple[torch.Tensor, Task]]


def make_task(headline: str = MEAN_PER_CLASS) -> tuple[torch.Tensor, Task]:
    """Features of 120 boxes of unequal classes in 30 images of 1 to 7."""
    features, labels, _ = make_sample(120, 16, 5)
    labels = torch.where(labels == 4, 0, labels)  # class 0 has twice as many
    rng = np.random.default_rng(0)
    groups = np.sort(np.concatenate([np.arange(30), rng.integers(0, 30, 90)]))
    mixed = rng.permutation(120)
    names = ("a", "b", "c", "background")
    task = Task("boxes", labels, torch.from_numpy(groups[mixed]), names, headline)
    return features, task


@pytest.mark.parametrize("headline", [MEAN_PER_CLASS, TOP1])
def test_hits_are_those_of_scikit_learn_s_ridge_without_the_image(headline: str) -> None:
    features, task = make_task(headline)
    found = score(features, task)
    centred = features - features.mean(0)
    largest = float(torch.linalg.eigvalsh(centred.T @ centred)[-1])
    measure = accuracy_score if headline == TOP1 else balanced_accuracy_score
    reached = {}
    hits = {}
    for exponent in range(-14, 3):
        ridge = RidgeClassifier(alpha=10 ** (exponent / 2) * largest)
        predicted = cross_val_predict(
            ridge, features, task.labels, groups=task.groups, cv=LeaveOneGroupOut()
        )
        hits[exponent] = predicted == task.labels.numpy()
        reached[exponent] = measure(task.labels, predicted)
    best = max(reached, key=lambda exponent: (round(reached[exponent], 12), exponent))
    assert found.penalty == pytest.approx(10 ** (best / 2))
    np.testing.assert_array_equal(found.hits, hits[best])
    assert not found.at_edge
    assert found.logme == pytest.approx(logme(features, task.labels, 4), abs=1e-12)


def test_figures_of_the_data_as_they_are() -> None:
    features, task = make_task()
    found = score(features, task)
    values = figures_of(found, task, 40, 0).values
    # predictions of which a hit is the class, and anything else is not
    predicted = np.where(found.hits, task.labels, (task.labels + 1) % 4)
    assert values[TOP1] == pytest.approx(100 * accuracy_score(task.labels, predicted))
    expected = 100 * balanced_accuracy_score(task.labels, predicted)
    assert values[MEAN_PER_CLASS] == pytest.approx(expected)
    assert values[LOGME] == found.logme


def test_resamples_draw_whole_images_and_give_all_backbones_the_same() -> None:
    features, task = make_task()
    found = score(features, task)
    figures = figures_of(found, task, 60, 7)
    labels, groups = task.labels.numpy(), task.groups.numpy()
    for number, draw in enumerate(resamples_of(30, 60, 7)):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in draw])
        hits = found.hits[rows]
        assert figures.resampled[TOP1][number] == pytest.approx(100 * hits.mean())
        of_class = [hits[labels[rows] == k].mean() for k in np.unique(labels[rows])]
        assert figures.resampled[MEAN_PER_CLASS][number] == pytest.approx(100 * np.mean(of_class))
        counts = np.bincount(draw, minlength=30)
        linear = found.logme + ((counts - 1) * found.influence).sum()
        assert figures.resampled[LOGME][number] == pytest.approx(linear)


def test_an_image_s_influence_is_that_of_its_boxes() -> None:
    features, task = make_task()
    copies = 20  # among which one image more is little
    labels, many = task.labels.repeat(copies), features.repeat(copies, 1)
    groups = torch.cat([task.groups + 30 * copy for copy in range(copies)])
    found = score(many, Task("boxes", labels, groups, task.classes, TOP1))
    for image in (0, 11, 29):
        inside = groups == image
        without = logme(many[~inside], labels[~inside], 4)
        twice = logme(torch.cat([many, many[inside]]), torch.cat([labels, labels[inside]]), 4)
        expected = (twice - without) / 2
        assert found.influence[image] == pytest.approx(expected, rel=0.02, abs=1e-6)


def test_boxes_of_an_image_that_are_alike_do_not_help_each_other() -> None:
    # every image has a colour of its own, and the boxes of an image are of one class
    noise = torch.Generator().manual_seed(0)
    colours = torch.randn(40, 60, generator=noise, dtype=torch.float64)
    groups = torch.arange(40).repeat_interleave(5)
    features = colours[groups] + 0.01 * torch.randn(200, 60, generator=noise).double()
    labels = (torch.arange(40) % 2)[groups]
    together = score(features, Task("boxes", labels, groups, ("a", "b"), TOP1))
    alone = score(features, Task("boxes", labels, torch.arange(200), ("a", "b"), TOP1))
    assert alone.hits.mean() > 0.99  # told by the image
    assert together.hits.mean() < 0.75  # nothing to tell, but for the choice of the penalty


def test_features_that_do_not_vary_are_refused() -> None:
    _, task = make_task()
    with pytest.raises(UserError, match="none of the 3 features differs"):
        score(torch.ones(120, 3), task)


def test_a_penalty_at_the_end_of_the_grid_is_told() -> None:
    # one feature that tells all, and rounding in which nothing is: any penalty does
    labels = torch.arange(40) % 2
    features = torch.stack([labels.double(), torch.zeros(40).double()], 1)
    found: Score = score(features, Task("images", labels, torch.arange(40), ("a", "b"), TOP1))
    assert found.hits.all() and found.at_edge and found.penalty == pytest.approx(10)
