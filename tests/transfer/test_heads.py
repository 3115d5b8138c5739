"""Heads on features against scikit-learn, and what chooses their strength."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from robust_det.core.errors import UserError
from robust_det.data.transfer.metrics import accuracies
from robust_det.probes import strengths
from robust_det.transfer.fixed_feature.heads import (
    FoundHead,
    Labelled,
    logreg_head,
    nearest_head,
    ridge_head,
)
from tests.support.features import make_sample


def parts(images: int = 240) -> tuple[Labelled, Labelled, Labelled]:
    sample = make_sample(images=images)
    features = sample.features.float()
    cut = (images // 2, images * 3 // 4)
    return tuple(  # type: ignore[return-value]
        Labelled(features[a:b], sample.labels[a:b])
        for a, b in zip((0, *cut), (*cut, images), strict=True)
    )


def top1(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    return accuracies(predicted.numpy(), labels.numpy())["top1"]


def test_strengths_are_evenly_spaced_powers() -> None:
    assert strengths(45)[0] == pytest.approx(1e-6) and strengths(45)[-1] == pytest.approx(1e5)
    ratios = np.diff(np.log10(strengths(45)))
    assert ratios == pytest.approx(0.25)


def test_the_logistic_regression_is_scikit_learns_on_training_and_validation_images() -> None:
    train, val, test = parts()
    found = logreg_head(train, val, 5, 7, top1, False)
    chosen = found.selection.chosen["C"]
    scores = []
    for strength in strengths(7):
        model = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
        model.fit(train.features, train.labels)
        scores.append(100 * model.score(val.features, val.labels))
    assert [one.accuracy for one in found.selection.tried] == pytest.approx(scores, abs=1.7)
    assert found.selection.on == "validation"
    both = train + val
    model = LogisticRegression(C=chosen, tol=1e-8, max_iter=5000).fit(both.features, both.labels)
    agree = found.predict(test.features).numpy() == model.predict(test.features)
    assert agree.mean() >= 0.98
    assert found.linear is not None and found.linear.weight.shape == (5, 20)


def test_test_labels_choose_nothing_unless_the_quirk_asks() -> None:
    train, val, test = parts()
    shuffled = Labelled(test.features, test.labels.flip(0))
    ridge = ridge_head(train + val, 5, 9, top1)
    assert ridge.selection.on == "left out"
    quirk, other = (
        ridge_head(train + val, 5, 9, top1, each).selection for each in (test, shuffled)
    )
    assert quirk.on == "test"
    assert [t.accuracy for t in quirk.tried] != [t.accuracy for t in other.tried]
    assert logreg_head(train, test, 5, 3, top1, True).selection.on == "test"


def test_the_ridge_is_scikit_learns_at_the_chosen_penalty() -> None:
    train, val, test = parts()
    both = train + val
    found = ridge_head(both, 5, 12, top1)
    centred = both.features.double() - both.features.double().mean(0)
    penalty = found.selection.chosen["penalty"] * float(centred.square().sum())
    model = RidgeClassifier(alpha=penalty, solver="cholesky").fit(both.features, both.labels)
    assert (found.predict(test.features).numpy() == model.predict(test.features)).all()


def test_a_scale_of_the_features_does_not_move_the_ridge() -> None:
    train, val, _ = parts()
    both = train + val
    larger = Labelled(both.features * 100, both.labels)
    one, other = (ridge_head(each, 5, 12, top1).selection for each in (both, larger))
    assert one.chosen == other.chosen


def test_neighbours_are_chosen_on_validation_and_taken_from_both() -> None:
    train, val, test = parts()
    found = nearest_head(train, val, 5, [400, 1, 5], top1, False)
    assert [one.settings["neighbours"] for one in found.selection.tried] == [1.0, 5.0]
    assert "1 of the numbers of neighbours are above" in " ".join(found.selection.remarks)
    # each of these images is its own nearest neighbour
    if found.selection.chosen["neighbours"] == 1:
        assert (found.predict(val.features) == val.labels).all()
    assert found.linear is None and len(found.predict(test.features)) == len(test.labels)
    with pytest.raises(UserError, match="from 400 up, are above the"):
        nearest_head(train, val, 5, [500, 400], top1, False)


def test_a_best_strength_at_the_edge_is_told_of() -> None:
    train, val, _ = parts()
    noise = Labelled(train.features, train.labels[torch.randperm(len(train.labels))])
    found = logreg_head(noise, val, 5, 2, top1, False)
    assert any("of those tried" in remark for remark in found.selection.remarks)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_heads_are_the_same_on_a_gpu() -> None:
    train, chosen_on, test = parts()
    gpu = torch.device("cuda")

    def accuracy(predicted: torch.Tensor, labels: torch.Tensor) -> float:
        return top1(predicted.cpu(), labels.cpu())

    def both(device: torch.device) -> list[FoundHead]:
        a, b = train.to(device), chosen_on.to(device)
        return [
            logreg_head(a, b, 5, 5, accuracy, False),
            ridge_head(a + b, 5, 5, accuracy),
            nearest_head(a, b, 5, [1, 5], accuracy, False),
        ]

    for here, there in zip(both(torch.device("cpu")), both(gpu), strict=True):
        assert here.selection.chosen == there.selection.chosen
        predicted = there.predict(test.features.to(gpu)).cpu()
        assert (predicted == here.predict(test.features)).float().mean() > 0.98
