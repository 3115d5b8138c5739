"""From features to a head: its strength chosen without the test images, then fitted on all others.

Each kind of head is a function of features and labels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.probes import LinearHead, Ridge, choose, fit, nearest_neighbours, refit, strengths
from robust_det.records.transfer import ChosenOn, Selection, Tried

__all__ = ["Accuracy", "FoundHead", "Labelled", "logreg_head", "nearest_head", "ridge_head"]

# of predicted and true classes (N,), in percent
Accuracy = Callable[[torch.Tensor, torch.Tensor], float]


@dataclass(frozen=True)
class Labelled:
    """Features (N, D) float32 and labels (N,) int64 of some images."""

    features: torch.Tensor
    labels: torch.Tensor

    def __add__(self, other: Labelled) -> Labelled:
        """Return both together."""
        return Labelled(
            torch.cat([self.features, other.features]), torch.cat([self.labels, other.labels])
        )

    def to(self, device: torch.device) -> Labelled:
        """Return both on a device."""
        return Labelled(self.features.to(device), self.labels.to(device))


@dataclass(frozen=True)
class FoundHead:
    """A head, and how it was chosen.

    Attributes:
        predict: from features (M, D) to classes (M,).
        selection: for the record.
        linear: its weights; None of nearest neighbours.
    """

    predict: Callable[[torch.Tensor], torch.Tensor]
    selection: Selection
    linear: LinearHead | None = None


def logreg_head(
    train: Labelled,
    chosen_on: Labelled,
    classes: int,
    count: int,
    accuracy: Accuracy,
    test_chooses: bool,
) -> FoundHead:
    """Fit a logistic regression: C is chosen on validation images, then it is fitted on both.

    Args:
        train: images to fit on while C is chosen.
        chosen_on: validation images; if ``test_chooses``, those of test, which are not fitted on.
        classes: K.
        count: how many strengths C are tried, from 1e-6 to 1e5.
        accuracy: what C is chosen by.
        test_chooses: the quirk of the paper's code.

    Raises:
        UserError: see :func:`robust_det.probes.fit`.
    """
    with progress_bar(count, "logistic regression", "fits") as bar:
        fits = fit(
            train.features,
            train.labels,
            classes,
            strengths(count),
            on_progress=lambda _: bar.update(),
        )
    choice = choose(fits, chosen_on.features, chosen_on.labels, accuracy)
    last, remarks = choice.fit, list(choice.remarks)
    if not test_chooses:
        last = refit(choice, (train.features, train.labels), (chosen_on.features, chosen_on.labels))
        if not last.converged:
            remarks.append(
                "The last fit, on training and validation images, has not converged: its objective"
                f" may be {last.gap:.1e} above the lowest, relative."
            )
    tried = [
        Tried({"C": one.strength}, got, one.converged)
        for one, got in zip(fits, choice.accuracies, strict=True)
    ]
    on: ChosenOn = "test" if test_chooses else "validation"
    selection = Selection(on, {"C": last.strength}, tried, remarks)
    return FoundHead(last.head.predict, selection, last.head)


def ridge_head(
    training: Labelled, classes: int, count: int, accuracy: Accuracy, test: Labelled | None = None
) -> FoundHead:
    """Fit a ridge regression on one-hot targets; its penalty is chosen by leaving each image out.

    Penalties are multiples of the features' total variance, from 1e-6 to 1e5 of it, so that no
    scale of features moves them.

    Args:
        training: all images that may be fitted on.
        classes: K.
        count: how many penalties are tried.
        accuracy: what it is chosen by.
        test: chooses in place of leaving out, the quirk of the paper's code.

    Raises:
        UserError: see :meth:`robust_det.probes.Ridge.of`.
    """
    ridge = Ridge.of(training.features, training.labels, classes)
    scale = float(ridge.spectrum.variances.sum()) * len(training.labels)
    shares = strengths(count)
    penalties = [share * scale for share in shares]
    if test is None:
        predicted, labels = ridge.left_out(penalties), training.labels
    else:
        predicted = [ridge.head(penalty).predict(test.features) for penalty in penalties]
        labels = test.labels
    accuracies = [accuracy(each, labels) for each in predicted]
    # of equals the strongest
    best = max(range(count), key=lambda i: (accuracies[i], shares[i]))
    tried = [Tried({"penalty": share}, got) for share, got in zip(shares, accuracies, strict=True)]
    head = ridge.head(penalties[best])
    on: ChosenOn = "left out" if test is None else "test"
    remarks = _edge(best, accuracies, "penalty", shares[best])
    return FoundHead(head.predict, Selection(on, {"penalty": shares[best]}, tried, remarks), head)


def nearest_head(
    train: Labelled,
    chosen_on: Labelled,
    classes: int,
    neighbours: Sequence[int],
    accuracy: Accuracy,
    test_chooses: bool,
) -> FoundHead:
    """Choose the number of nearest neighbours; all images that may be are those of the last.

    Args:
        train, chosen_on, classes, accuracy, test_chooses: see :func:`logreg_head`.
        neighbours: numbers that are tried; those above the number of images are left out.

    Raises:
        UserError: all are; or see :func:`robust_det.probes.nearest_neighbours`.
    """
    possible = sorted(k for k in neighbours if k <= len(train.labels))
    if not possible:
        raise UserError(
            f"all numbers of neighbours, from {min(neighbours)} up, are above the"
            f" {len(train.labels):,} training images; give lower ones"
        )
    guesses = nearest_neighbours(
        train.features, train.labels, classes, chosen_on.features, possible
    )
    accuracies = [accuracy(guess, chosen_on.labels) for guess in guesses]
    best = max(range(len(possible)), key=lambda i: (accuracies[i], possible[i]))
    bank = train if test_chooses else train + chosen_on

    def predict(features: torch.Tensor) -> torch.Tensor:
        [guess] = nearest_neighbours(bank.features, bank.labels, classes, features, [k])
        return guess

    k = possible[best]
    tried = [
        Tried({"neighbours": float(each)}, got)
        for each, got in zip(possible, accuracies, strict=True)
    ]
    remarks = _edge(best, accuracies, "number of neighbours", k)
    if left := len(neighbours) - len(possible):
        remarks.append(
            f"{left} of the numbers of neighbours are above the {len(train.labels):,} training"
            " images, and were left out."
        )
    on: ChosenOn = "test" if test_chooses else "validation"
    return FoundHead(predict, Selection(on, {"neighbours": float(k)}, tried, remarks))


def _edge(best: int, accuracies: Sequence[float], what: str, value: float) -> list[str]:
    """Say that something better may be beyond what was tried, unless an inner one is as good."""
    if len(accuracies) < 2 or accuracies[best] in accuracies[1:-1]:
        return []
    side = "smallest" if best == 0 else "largest"
    return [f"The best {what}, {value:g}, is the {side} of those tried."]
