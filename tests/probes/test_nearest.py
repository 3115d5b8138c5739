from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from robust_det.core.errors import UserError
from robust_det.probes import TEMPERATURE, nearest, nearest_neighbours
from tests.support.features import Sample

KS = (1, 5, 20)


def split(sample: Sample) -> tuple[torch.Tensor, torch.Tensor, int, torch.Tensor]:
    features, labels, classes = sample
    return features[:200], labels[:200], classes, features[200:]


@pytest.mark.parametrize("rows", [7, 1024])
def test_scikit_learns_predictions(
    sample: Sample, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nearest, "_QUERIES", rows)
    features, labels, classes, queries = split(sample)
    ours = nearest_neighbours(features, labels, classes, queries, KS)
    for k, predicted in zip(KS, ours, strict=True):
        model = KNeighborsClassifier(
            k,
            algorithm="brute",
            metric="cosine",
            weights=lambda distances: np.exp((1 - distances) / TEMPERATURE),
        )
        theirs = model.fit(features.numpy(), labels.numpy()).predict(queries.numpy())
        assert torch.equal(predicted, torch.from_numpy(theirs))


def test_weights_decide_by_hand() -> None:
    """One near image of class 0 against two of class 1 that are further away."""
    angles = torch.tensor([0.1, 0.6, 0.6])
    features = torch.stack([angles.cos(), angles.sin()], 1)
    labels, query = torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0.0]])
    # exp((0.995 - 0.825) / t) against 2
    for temperature, winner in ((0.07, 0), (0.2, 0), (0.3, 1)):
        [found] = nearest_neighbours(features, labels, 2, query, [3], temperature)
        assert found.tolist() == [winner]


def test_factors_of_images_change_nothing(sample: Sample) -> None:
    features, labels, classes, queries = split(sample)
    factors = torch.logspace(-200, 150, len(queries), dtype=torch.float64)[:, None]
    ours = nearest_neighbours(features, labels, classes, queries, KS)
    other = nearest_neighbours(7 * features, labels, classes, factors * queries, KS)
    assert all(torch.equal(a, b) for a, b in zip(ours, other, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"neighbours": [0]}, "from 1 to the 200 training images, not 0"),
        ({"neighbours": [5, 201]}, "from 1 to the 200 training images, not 201"),
        ({"neighbours": []}, "from 1 to the 200 training images, not none"),
        ({"temperature": 0.0}, "the temperature of neighbours' votes is positive, not 0.0"),
        ({"queries": torch.ones(3, 4).double()}, "the queries have 4 numbers an image"),
        ({"queries": torch.zeros(3, 20).double()}, "the queries of row 0 are all 0 (3 in all)"),
        ({"queries": torch.ones(3, 20)}, "torch.float32 on cpu"),
    ],
)
def test_arguments_out_of_range_are_refused(
    sample: Sample, change: dict[str, Any], message: str
) -> None:
    features, labels, classes, queries = split(sample)
    given = {"queries": queries, "neighbours": KS, **change}
    with pytest.raises(UserError) as caught:
        nearest_neighbours(features, labels, classes, **given)
    assert message in str(caught.value)
