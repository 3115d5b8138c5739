"""An approximate inverse of the Hessian of a regularised cross-entropy: a block for each class."""

from __future__ import annotations

import torch

from robust_det.probes.cross_entropy import Curvature

__all__ = ["Preconditioner", "images_of_a_block"]

_LEAST_SHARE = 0.3  # of the curvature in the images that are kept; with less, blocks show little
_FLOOR = 1e-12  # of the largest curvature: a class that the head is sure of has none left
_STRIP = 128  # columns
_SMALL = 1 << 22  # numbers that factors may have however few the images are


def images_of_a_block(scores: torch.Tensor, classes: int) -> int:
    """Return of how many images blocks are made: all blocks take the time of some four passes."""
    columns = _columns(scores, classes)
    return min(len(scores), max(8 * len(scores) // columns, columns))


class Preconditioner:
    """The inverse of what the Hessian has within each class, as far as a few images show it.

    The Hessian's block of class k is the second moment of the scores, an image's weight being
    p_k (1 - p_k). Once classes can be told apart, most images weigh next to nothing in most blocks.
    A block is made of the images that weigh most; of all others its diagonal counts, which is
    nearly all that they have in principal coordinates. Where weights are spread over all images, as
    they are when regularisation is strong, the diagonal is all that counts.

    Args:
        scores: (N, R).
        curvature: of the loss, at a point.
        ridge: (K, R + 1) float64, what the penalty adds to the diagonal.
    """

    def __init__(self, scores: torch.Tensor, curvature: Curvature, ridge: torch.Tensor) -> None:
        diagonal = curvature.diagonal + ridge
        self._root = diagonal.clamp_min(_FLOOR * float(diagonal.max())).sqrt()
        self._factors: torch.Tensor | None = None
        if curvature.share >= _LEAST_SHARE:
            columns = _columns(scores, len(ridge))
            self._columns = torch.tensor([*range(columns), scores.shape[1]], device=scores.device)
            self._factors = self._factored(scores, curvature)

    def __call__(self, gradient: torch.Tensor) -> torch.Tensor:
        """Return the approximate inverse times a gradient that sums to 0 over classes, (K, R + 1).

        So does what is returned: adding the same to all classes changes no loss.
        """
        out = gradient / self._root
        if self._factors is not None:
            part = out[:, self._columns].to(self._factors.dtype)
            # from the left and from the right, so that factors need not be turned in memory
            part = torch.linalg.solve_triangular(self._factors, part[:, :, None], upper=False)
            part = torch.linalg.solve_triangular(self._factors, part.mT, upper=False, left=False)
            out[:, self._columns] = part[:, 0].to(out.dtype)
        out /= self._root
        return out - out.mean(0)

    def _factored(self, scores: torch.Tensor, curvature: Curvature) -> torch.Tensor:
        """Return the Cholesky factors of all blocks, scaled so that their diagonals are 1."""
        count = len(self._columns)
        out = scores.new_zeros(len(self._root), count, count)
        # of unit diagonals: what rounding takes from the smallest eigenvalue
        one = 1 + count * torch.finfo(scores.dtype).eps
        each = zip(out, curvature.images, curvature.weights, self._root, strict=True)
        for block, images, weights, root in each:
            part = scores.new_ones(len(images), count)
            part[:, :-1] = scores[images, : count - 1]
            part *= (weights / len(scores)).sqrt()[:, None]
            part /= root[self._columns].to(scores.dtype)
            # the lower triangle, which is all that is read
            for first in range(0, count, _STRIP):
                strip = part[:, first : first + _STRIP]
                block[first:, first : first + _STRIP] = part[:, first:].T @ strip
            block.fill_diagonal_(one)
            block.copy_(torch.linalg.cholesky(block))
        return out


def _columns(scores: torch.Tensor, classes: int) -> int:
    """Return how many of the leading scores blocks are of.

    So many that the factors have as many numbers as the scores, and take some four passes' time.
    """
    size = scores.numel()
    most = min((max(size, _SMALL) / classes) ** 0.5, (12 * size) ** (1 / 3))
    return min(scores.shape[1], int(most))
