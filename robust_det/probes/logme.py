"""LogME: how well a backbone's features explain labels, without training or validation images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robust_det.probes.checking import check_training
from robust_det.probes.head import BLOCK
from robust_det.probes.spectrum import Spectrum, class_sums, spectrum_of

__all__ = ["Evidence", "evidence", "logme"]

_MOST = 1000  # iterations; some ten are usual
_SETTLED = 1e-9  # relative change of the ratio alpha / beta
_LARGEST = 1e12  # of that ratio to the largest eigenvalue, from where on the features say nothing
_EXACT = 1e-14  # share of the targets' squares that rounding leaves of an exact fit


def logme(features: torch.Tensor, labels: torch.Tensor, classes: int) -> float:
    """Return the logarithm of the maximum evidence, a mean over images and classes.

    You et al. 2021, *LogME: Practical Assessment of Pre-trained Models for Transfer Learning*
    (arXiv:2102.11005), with the fixed point iteration of its extension (arXiv:2110.10545).
    For each class, the one-hot target t in {0, 1} has the model ``t ~ N(x @ w, 1 / beta)`` with
    ``w ~ N(0, 1 / alpha)``; its evidence, w integrated out, is maximised over alpha and beta.

    The unit is nats of a density an image, so the value may be above 0. Higher is better, for the
    same images and labels alone. Rotating the features or multiplying them all by one number
    changes nothing; as there is no bias, adding to them does, and so does rescaling them
    differently. Labels that are an exact linear function of the features have no largest evidence;
    a finite value above all others is returned.

    Args:
        features: (N, D) float32 or float64; not centred or standardised here, as in the paper.
        labels: (N,) int64 in [0, classes).
        classes: K.

    Raises:
        UserError: see :func:`.checking.check_training`; no feature varies.
    """
    check_training(features, labels, classes)
    return _fitted(features, labels, classes).value


@dataclass(frozen=True)
class Evidence:
    """A LogME with what each image contributes to it.

    Attributes:
        value: see :func:`logme`.
        influence: (N,) float64, the derivative of ``value`` by the weight of each image, which is
            1. Of images that are drawn w times each the value is nearly
            ``value + ((w - 1) * influence).sum()``, without a fit of each resample (the
            infinitesimal jackknife, Jaeckel 1972).
    """

    value: float
    influence: torch.Tensor


def evidence(features: torch.Tensor, labels: torch.Tensor, classes: int) -> Evidence:
    """Return :func:`logme` of the same arguments, and each image's influence on it.

    At the maximum only the weighted likelihood depends on the weights: with ``m`` the mean of the
    weights' posterior and ``A`` its precision, an image's share of a class's evidence is
    ``log N(t; x @ m, 1 / beta) - beta * x @ inv(A) @ x / 2``.
    """
    check_training(features, labels, classes)
    fitted = _fitted(features, labels, classes)
    spectrum, images = fitted.spectrum, len(labels)
    damped = (spectrum.variances * images)[:, None] + fitted.ratio  # (R, K)
    posterior = class_sums(spectrum.scores, labels, classes) / damped
    constant = fitted.beta.log() - math.log(2 * math.pi)
    shares = []
    for block, true in zip(spectrum.scores.split(BLOCK), labels.split(BLOCK), strict=True):
        scores = block.double()
        errors = F.one_hot(true, classes).double() - scores @ posterior
        leverage = scores.square() @ damped.reciprocal()
        shares.append((constant - fitted.beta * errors.square() - leverage).mean(1) / 2)
    return Evidence(fitted.value, (torch.cat(shares) - fitted.value) / images)


@dataclass(frozen=True)
class _Fitted:
    spectrum: Spectrum
    ratio: torch.Tensor  # alpha / beta, (K,)
    beta: torch.Tensor  # (K,)
    value: float


def _fitted(features: torch.Tensor, labels: torch.Tensor, classes: int) -> _Fitted:
    """Maximise the evidence of each class over alpha and beta."""
    images = len(labels)
    spectrum = spectrum_of(features, centred=False)
    eigenvalues = (spectrum.variances * images)[:, None]
    total = torch.bincount(labels, minlength=classes).double()  # squares of zeros and ones
    along = class_sums(spectrum.scores, labels, classes).square() / eigenvalues  # (R, K)
    across = (total - along.sum(0)).clamp_min(0)

    def squares(ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return |w|^2 and the squared errors, (K,), of the weights with a ratio alpha / beta."""
        kept = eigenvalues / (eigenvalues + ratio)
        errors = (along * (1 - kept).square()).sum(0) + across
        return (along * kept.square() / eigenvalues).sum(0), errors.clamp_min(_EXACT * images)

    ratio = torch.ones_like(total) * eigenvalues.mean()
    largest = _LARGEST * eigenvalues[0]
    for _ in range(_MOST):
        weights, errors = squares(ratio)
        effective = (eigenvalues / (eigenvalues + ratio)).sum(0)  # parameters
        left = (images - effective).clamp_min(_EXACT * images)
        new = (effective * errors / (left * weights)).clamp(max=largest)
        new = torch.where(new.isfinite(), new, largest)
        change = ((new - ratio) / ratio).abs().max()
        ratio = new
        if change <= _SETTLED:
            break
    weights, errors = squares(ratio)
    # with beta at its best for the ratio, which it is at the fixed point
    beta = images / (errors + ratio * weights)
    occam = (ratio / (ratio + eigenvalues)).log().sum(0)
    maximum = (occam + images * (beta.log() - 1 - math.log(2 * math.pi))) / 2
    return _Fitted(spectrum, ratio, beta, float((maximum / images).mean()))
