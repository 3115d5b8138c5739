"""What features and labels have to be before anything is computed of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from robust_det.core.errors import UserError, counted

__all__ = ["check_features", "check_labelled", "check_pair", "check_strengths", "check_training"]

_FEW = 5  # numbers that a message lists


def check_features(features: torch.Tensor, what: str = "features") -> None:
    """Refuse what is no matrix of finite numbers.

    Args:
        features: (N, D) float32 or float64.
        what: the matrix, in a message.

    Raises:
        UserError: another shape or type, no images, or NaN or infinite values, whose rows are
            named.
    """
    if features.ndim != 2 or not features.numel():
        raise UserError(
            f"the {what} have shape {tuple(features.shape)}; (images, features) is needed, with at"
            " least one of each"
        )
    if features.dtype not in (torch.float32, torch.float64):
        raise UserError(f"the {what} are of {features.dtype}; convert them to float32")
    # a sum is finite only if its parts are, and needs no second matrix
    if features.sum(dtype=torch.float64).isfinite():
        return
    wrong = (~features.isfinite()).any(1).nonzero().flatten().tolist()
    if wrong:
        raise UserError(
            f"the {what} of {counted(len(wrong), 'image')} of {len(features):,} are NaN or"
            f" infinite, in {_listed('row', wrong)}; extract them in float32, and look at these"
            " images"
        )


def check_labelled(features: torch.Tensor, labels: torch.Tensor, classes: int) -> None:
    """Refuse features, and labels that are not theirs.

    Args:
        features: (N, D) float32 or float64.
        labels: (N,) int64 in [0, classes).
        classes: K.

    Raises:
        UserError: see :func:`check_features`; fewer than two classes; labels of another shape,
            type, number or device; labels out of range.
    """
    check_features(features)
    if classes < 2:
        raise UserError(f"a classifier needs at least 2 classes, not {classes}")
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise UserError(
            f"the labels are of {labels.dtype} and shape {tuple(labels.shape)}; one int64 an image"
            " is needed"
        )
    if len(labels) != len(features):
        raise UserError(
            f"there are {counted(len(labels), 'label')} for features of"
            f" {counted(len(features), 'image')}; each image needs one"
        )
    if labels.device != features.device:
        raise UserError(
            f"the labels are on {labels.device}, the features on {features.device}; move the labels"
        )
    wrong = ((labels < 0) | (labels >= classes)).nonzero().flatten().tolist()
    if wrong:
        raise UserError(
            f"{counted(len(wrong), 'label')} not in 0 to {classes - 1}, such as"
            f" {int(labels[wrong[0]])} in row {wrong[0]}; correct the labels or the number of"
            " classes"
        )


def check_training(features: torch.Tensor, labels: torch.Tensor, classes: int) -> None:
    """Refuse, beside :func:`check_labelled`, what no classifier can be trained on.

    Raises:
        UserError: a class has no image, all images are of one, or there are fewer than classes.
    """
    check_labelled(features, labels, classes)
    if len(labels) < classes:
        raise UserError(
            f"{counted(len(labels), 'image')} cannot show {classes} classes; give at least one a"
            " class"
        )
    counts = torch.bincount(labels, minlength=classes)
    if int((counts > 0).sum()) == 1:
        raise UserError(f"all images are of class {int(labels[0])}; a second class is needed")
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        raise UserError(
            f"{len(empty)} of {classes} classes have no training image: {_listed('class', empty)};"
            " add images of them, or number the classes without them"
        )


def check_pair(features: torch.Tensor, others: torch.Tensor, what: str) -> None:
    """Refuse a second matrix that is not of the same features as the first.

    Args:
        features, others: (N, D) and (M, D).
        what: the second matrix, in a message.

    Raises:
        UserError: see :func:`check_features`; another width, type or device.
    """
    check_features(others, what)
    first, second = ((f.shape[1], f.dtype, f.device) for f in (features, others))
    if first != second:
        raise UserError(
            f"the {what} have {second[0]} numbers an image, {second[1]} on {second[2]}, the"
            f" training features {first[0]}, {first[1]} on {first[2]}; extract both alike"
        )


def check_strengths(strengths: Sequence[float], what: str) -> None:
    """Refuse strengths of regularisation that are no distinct positive numbers.

    Raises:
        UserError: there is none, one is not positive and finite, or one is there twice.
    """
    wrong = [s for s in strengths if not 0 < s < float("inf")]
    if not strengths or wrong:
        raise UserError(f"{what} needs positive numbers, not {wrong[0] if wrong else 'none'}")
    if len(set(strengths)) != len(strengths):
        raise UserError(f"{what} has a number twice; give each once")


def _listed(noun: str, numbers: list[int]) -> str:
    """Return such as ``rows 3, 5, 9`` or ``rows 1, 2, 3, 4, 5 and 20 more``."""
    many = "es" if noun.endswith("s") else "s"
    more = f" and {len(numbers) - _FEW:,} more" if len(numbers) > _FEW else ""
    few = ", ".join(map(str, numbers[:_FEW]))
    return f"{noun}{many if len(numbers) > 1 else ''} {few}{more}"
