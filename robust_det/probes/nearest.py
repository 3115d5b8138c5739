"""k nearest neighbours by cosine, weighted as in DINO (Caron et al. 2021; Wu et al. 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from robust_det.core.errors import UserError
from robust_det.probes.checking import check_labelled, check_pair

__all__ = ["TEMPERATURE", "nearest_neighbours"]

TEMPERATURE = 0.07  # DINO's
_QUERIES = 1024  # at once
_SIMILARITIES = 2**26  # at once, 256 MB in float32


def nearest_neighbours(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    queries: torch.Tensor,
    neighbours: Sequence[int],
    temperature: float = TEMPERATURE,
) -> list[torch.Tensor]:
    """Return, for each number of neighbours, the class that each query is predicted.

    Each of the k training images of the highest cosine votes for its class with weight
    ``exp(cosine / temperature)``; of equal votes the first class wins. A positive factor of an
    image's features changes nothing.

    Args:
        features: (N, D) of the training images.
        labels: (N,) int64 in [0, classes).
        classes: K; some may have no image.
        queries: (M, D) like the features.
        neighbours: numbers k, 1 to N.
        temperature: > 0.

    Returns:
        (M,) int64 each.

    Raises:
        UserError: see :func:`.checking.check_labelled` and :func:`.checking.check_pair`; features
            of an image that are all 0; a k or a temperature out of its range.
    """
    check_labelled(features, labels, classes)
    check_pair(features, queries, "queries")
    wrong = [k for k in neighbours if not 1 <= k <= len(features)]
    if not neighbours or wrong:
        raise UserError(
            f"numbers of neighbours are from 1 to the {len(features):,} training images, not"
            f" {wrong[0] if wrong else 'none'}"
        )
    if not 0 < temperature < float("inf"):
        raise UserError(f"the temperature of neighbours' votes is positive, not {temperature}")
    bank, asked = _unit(features, "features"), _unit(queries, "queries")
    rows = max(1, min(_QUERIES, _SIMILARITIES // len(bank)))
    out: list[list[torch.Tensor]] = [[] for _ in neighbours]
    for block in asked.split(rows):
        cosines, which = (block @ bank.T).topk(max(neighbours), dim=1)
        # relative to the highest, which no division notices and no type overflows
        weights = ((cosines.double() - cosines[:, :1]) / temperature).exp()
        voted = labels[which]
        for k, results in zip(neighbours, out, strict=True):
            votes = weights.new_zeros(len(block), classes)
            votes.scatter_add_(1, voted[:, :k], weights[:, :k])
            results.append(votes.argmax(1))
    return [torch.cat(results) for results in out]


def _unit(features: torch.Tensor, what: str) -> torch.Tensor:
    zero = (features == 0).all(1).nonzero().flatten().tolist()
    if zero:
        raise UserError(
            f"the {what} of row {zero[0]} are all 0 ({len(zero):,} in all), and have no cosine;"
            " leave these images out"
        )
    # the largest first, or squares of small numbers are 0
    return F.normalize(features / features.abs().amax(1, keepdim=True))
