"""Choosing the strength on validation images, and the last fit on all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from robust_det.core.errors import UserError, counted
from robust_det.probes.checking import check_labelled, check_pair
from robust_det.probes.logreg import TOLERANCE, LogisticFit, fit

__all__ = ["Choice", "choose", "refit", "top1"]


def top1(predicted: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images (N,) that are predicted their class, in percent."""
    return 100 * int((predicted == labels).sum()) / len(labels)


@dataclass(frozen=True)
class Choice:
    """The best of several fits on validation images.

    Attributes:
        fit: of the highest accuracy, of equals the one of the strongest regularisation.
        accuracy: its own on the validation images, in percent. It is the best of several, and so
            somewhat too high: report that of other images.
        accuracies: of each fit, in their order.
        remarks: what speaks against the choice, a sentence each.
    """

    fit: LogisticFit
    accuracy: float
    accuracies: tuple[float, ...]
    remarks: tuple[str, ...]


def choose(
    fits: Sequence[LogisticFit],
    features: torch.Tensor,
    labels: torch.Tensor,
    accuracy: Callable[[torch.Tensor, torch.Tensor], float] = top1,
) -> Choice:
    """Return the best fit on validation images.

    Args:
        fits: of :func:`.logreg.fit`, at least one.
        features: (M, D), like those of the fits.
        labels: (M,) int64; classes may be without images here.
        accuracy: in percent, of predicted and true classes (M,).

    Raises:
        UserError: no fit; see :func:`.checking.check_labelled` and :func:`.checking.check_pair`.
    """
    if not fits:
        raise UserError("there is no fit to choose from; give strengths")
    weight = fits[0].head.weight
    check_labelled(features, labels, len(weight))
    check_pair(weight, features, "validation features")
    accuracies = tuple(accuracy(one.head.predict(features), labels) for one in fits)
    # the weaker the regularisation, the larger C
    best = max(range(len(fits)), key=lambda i: (accuracies[i], -fits[i].strength))
    return Choice(fits[best], accuracies[best], accuracies, _remarks(fits, accuracies, fits[best]))


def refit(
    choice: Choice,
    train: tuple[torch.Tensor, torch.Tensor],
    validation: tuple[torch.Tensor, torch.Tensor],
    tolerance: float = TOLERANCE,
    max_iterations: int = 1000,
) -> LogisticFit:
    """Fit on training and validation images together at the chosen strength.

    C stays as it is: with more images, an image's share of the penalty is smaller.

    Args:
        choice: made by :func:`choose`.
        train, validation: features (N, D) and labels (N,) each.
        tolerance, max_iterations: of :func:`.logreg.fit`.

    Raises:
        UserError: as :func:`.logreg.fit`; the features are not alike.
    """
    check_pair(train[0], validation[0], "validation features")
    features, labels = (torch.cat(both) for both in zip(train, validation, strict=True))
    classes = len(choice.fit.head.weight)
    [last] = fit(features, labels, classes, [choice.fit.strength], tolerance, max_iterations)
    return last


def _remarks(
    fits: Sequence[LogisticFit], accuracies: Sequence[float], best: LogisticFit
) -> tuple[str, ...]:
    remarks = []
    strengths = sorted(one.strength for one in fits)
    equals = [one for one, got in zip(fits, accuracies, strict=True) if got == max(accuracies)]
    # where an inner one is as good, it is the tie that ends at the edge
    if len(fits) > 1 and all(one.strength in (strengths[0], strengths[-1]) for one in equals):
        size = "small" if best.strength == strengths[0] else "larg"
        remarks.append(
            f"The best C = {best.strength:g} is the {size}est of those tried; a {size}er one may be"
            " better."
        )
    if not best.converged:
        remarks.append(
            f"The fit with the best C = {best.strength:g} has not converged in"
            f" {counted(best.iterations, 'iteration')}: its objective may be"
            f" {best.gap:.1e} above the lowest, relative; allow more iterations."
        )
    others = [one.strength for one in fits if not one.converged and one is not best]
    if others:
        remarks.append(
            f"{counted(len(others), 'other fit')} of {len(fits)} did not converge, with C from"
            f" {min(others):g} to {max(others):g}; one of them may be better than it seems."
        )
    if best.constant:
        remarks.append(
            f"{counted(best.constant, 'feature')} of {best.head.weight.shape[1]:,} the same in all"
            " training images: their weights are 0."
        )
    return tuple(remarks)
