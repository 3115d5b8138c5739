"""Ridge regression on one-hot targets: a linear head in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from robust_det.core.errors import UserError, counted
from robust_det.probes.checking import check_strengths, check_training
from robust_det.probes.head import BLOCK, LinearHead
from robust_det.probes.spectrum import Spectrum, class_sums, spectrum_of

__all__ = ["Ridge"]


@dataclass(frozen=True)
class Ridge:
    """One-versus-all least squares, of which each penalty costs one small product.

    Minimises, over weights w_k and biases b_k, the sum over images and classes of
    ``(x @ w_k + b_k - t)**2`` plus ``penalty * sum |w_k|**2``, where t is 1 for the true class and
    -1 for the others; the bias is not penalised. An image is predicted the class of the highest
    value. It is scikit-learn's ``RidgeClassifier(alpha=penalty)``, but that two classes have two
    rows here, each the negative of the other.

    A penalty grows with the squared scale of the features and with the number of images: n copies
    of each image and n times the penalty give the same head.

    Attributes:
        spectrum: of the N images' features, centred.
        labels: (N,) int64.
        mean: (K,) float64, of the targets.
        products: (R, K) float64, of scores and targets, summed over images.
    """

    spectrum: Spectrum
    labels: torch.Tensor
    mean: torch.Tensor
    products: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor, labels: torch.Tensor, classes: int) -> Ridge:
        """Decompose the features, once for all penalties.

        Args:
            features: (N, D) float32 or float64.
            labels: (N,) int64 in [0, classes), on the features' device.
            classes: K.

        Raises:
            UserError: see :func:`.checking.check_training`; no feature varies.
        """
        check_training(features, labels, classes)
        spectrum = spectrum_of(features)
        frequencies = torch.bincount(labels, minlength=classes).double() / len(labels)
        # the scores sum to 0, so that what all targets share does not count
        products = 2 * class_sums(spectrum.scores, labels, classes)
        return cls(spectrum, labels, 2 * frequencies - 1, products)

    def head(self, penalty: float) -> LinearHead:
        """Return the head of a penalty > 0.

        Raises:
            UserError: the penalty is not a positive number.
        """
        check_strengths([penalty], "the ridge penalty")
        weight = (self.products / self._damped(penalty)[:, None]).T
        return self.spectrum.head(weight, self.mean)

    def left_out(self, penalties: Sequence[float]) -> list[torch.Tensor]:
        """Return, for each penalty, the class that each image is predicted by all others.

        Exactly what N fits without one image each would predict: with the hat matrix H of features
        and bias, the error of a fit without image i is that of all divided by ``1 - H[i, i]``
        (Allen 1974, *The Relationship between Variable Selection and Data Augmentation*).

        Returns:
            (N,) int64 each.

        Raises:
            UserError: a penalty is not a positive number, or is there twice.
        """
        check_strengths(penalties, "the ridge penalty")
        images, classes = len(self.labels), len(self.mean)
        out: list[list[torch.Tensor]] = [[] for _ in penalties]
        blocks = (self.spectrum.scores.split(BLOCK), self.labels.split(BLOCK))
        for block, true in zip(*blocks, strict=True):
            scores = block.double()
            squares = scores.square()
            targets = 2 * F.one_hot(true, classes).double() - 1
            for penalty, predicted in zip(penalties, out, strict=True):
                damped = self._damped(penalty)
                fitted = scores @ (self.products / damped[:, None]) + self.mean
                hat = squares @ damped.reciprocal() + 1 / images
                predicted.append((targets - (targets - fitted) / (1 - hat)[:, None]).argmax(1))
        return [torch.cat(predicted) for predicted in out]

    def left_out_together(
        self, penalties: Sequence[float], groups: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return, for each penalty, the class that each image is predicted without its group.

        For what is not independent, as the boxes of one photograph: a fit that knew some would be
        praised for the others. The errors of a group that is left out are those of all, times the
        inverse of I less the group's block of the hat matrix, and as exact as :meth:`left_out`.

        Args:
            penalties: > 0, each once.
            groups: (N,) int64, the number of each image's group.

        Returns:
            (N,) int64 each. A class that one group has alone is predicted nowhere in it.

        Raises:
            UserError: as :meth:`left_out`; another number of groups than of images, or a single
                group.
        """
        check_strengths(penalties, "the ridge penalty")
        if groups.shape != self.labels.shape or len(groups.unique()) < 2:
            raise UserError(
                f"leaving groups out needs one number an image and two groups at least, not"
                f" {counted(len(groups.unique()), 'group')} of shape {tuple(groups.shape)}"
            )
        images, classes = len(self.labels), len(self.mean)
        out = [torch.empty_like(self.labels) for _ in penalties]
        for members in _of_one_size(groups):
            scores = self.spectrum.scores[members].double()
            targets = 2 * F.one_hot(self.labels[members], classes).double() - 1
            unit = torch.eye(members.shape[1], dtype=torch.float64, device=groups.device)
            for penalty, predicted in zip(penalties, out, strict=True):
                damped = self._damped(penalty)
                fitted = scores @ (self.products / damped[:, None]) + self.mean
                hat = (scores / damped) @ scores.mT + 1 / images
                errors = torch.linalg.solve(unit - hat, targets - fitted)
                predicted[members] = (targets - errors).argmax(2)
        return out

    def _damped(self, penalty: float) -> torch.Tensor:
        return self.spectrum.variances * len(self.labels) + penalty


def _of_one_size(groups: torch.Tensor) -> Iterator[torch.Tensor]:
    """Give the members of some groups with equally many each, (G, size), of not too many images."""
    order = groups.argsort(stable=True)
    _, counts = torch.unique_consecutive(groups[order], return_counts=True)
    of_group = order.split(counts.tolist())
    for size in counts.unique().tolist():
        members = torch.stack([one for one in of_group if len(one) == size])
        yield from members.split(max(1, BLOCK // size))
