"""Features in principal coordinates, where a ridge penalty and the Hessian of a linear model are
(nearly) diagonal."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robust_det.core.errors import UserError
from robust_det.probes.head import BLOCK, LinearHead

__all__ = ["Spectrum", "class_sums", "spectrum_of"]

# Directions whose share of the largest variance is less are left out: float32 features are rounded
# to 6e-8, of which the square is 4e-15, and eigenvalues in float64 are exact to some 1e-15.
_LEAST = 1e-12


@dataclass(frozen=True)
class Spectrum:
    """The principal directions of N images' features.

    A head on ``scores`` with weights A is one on the features with weights ``A @ basis.T``: the
    basis is orthonormal, so both have the same norm, and every penalty of it is the same in either
    coordinates. Weights in directions that are left out, in which the features do not vary, would
    be zero.

    Attributes:
        mean: (D,) float64; zeros where the features were not centred.
        basis: (D, R) float64 orthonormal columns, by decreasing variance; R <= min(N, D).
        variances: (R,) float64 mean squares of the scores, positive.
        scores: (N, R) ``(features - mean) @ basis``, of the features' type.
        constant: how many of the D features are the same in all images; their weights are 0.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    variances: torch.Tensor
    scores: torch.Tensor
    constant: int

    def head(self, weight: torch.Tensor, bias: torch.Tensor) -> LinearHead:
        """Return the head on features that weights (K, R) and a bias (K,) on scores are."""
        on_features = weight @ self.basis.T
        kind = self.scores.dtype
        return LinearHead(on_features.to(kind), (bias - on_features @ self.mean).to(kind))


def spectrum_of(features: torch.Tensor, centred: bool = True) -> Spectrum:
    """Decompose features by one eigendecomposition in float64.

    That of the (D, D) covariance, or of the (N, N) products of images where those are fewer.

    Args:
        features: (N, D), finite.
        centred: subtract the mean, which leaves a bias that is not penalised free; without it, the
            uncentred second moments are decomposed.

    Raises:
        UserError: no feature varies.
    """
    images, width = features.shape
    constant = int((features.amax(0) == features.amin(0)).sum())
    if constant == width:
        raise UserError(
            f"none of the {width:,} features differs between the {images:,} images; they tell no"
            " class: is the network's output used, and are the images its own?"
        )
    mean = features.mean(0, dtype=torch.float64)
    if not centred:
        mean.zero_()
    if images < width:
        centre = features.double() - mean
        variances, vectors = _eigen(centre @ centre.T / images)
        basis = centre.T @ (vectors / (images * variances).sqrt())
    else:
        products = mean.new_zeros(width, width)
        for block in features.split(BLOCK):
            centre = block.double() - mean
            products.addmm_(centre.T, centre)
        variances, basis = _eigen(products / images)
    scores = features.new_empty(images, len(variances))
    for into, block in zip(scores.split(BLOCK), features.split(BLOCK), strict=True):
        into.copy_((block.double() - mean) @ basis)
    return Spectrum(mean, basis, variances, scores, constant)


def class_sums(scores: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the sum of the scores (N, R) of each class's images, (R, K) float64."""
    out = scores.new_zeros(scores.shape[1], classes, dtype=torch.float64)
    for block, true in zip(scores.split(BLOCK), labels.split(BLOCK), strict=True):
        out += block.double().T @ F.one_hot(true, classes).double()
    return out


def _eigen(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the eigenvalues that count, from the largest on, and their vectors as columns."""
    values, vectors = torch.linalg.eigh(matrix)
    values, vectors = values.flip(0), vectors.flip(1)
    counted = values > _LEAST * values[0]
    return values[counted], vectors[:, counted]
