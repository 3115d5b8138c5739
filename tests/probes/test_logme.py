from __future__ import annotations

import math

import pytest
import torch
from scipy.optimize import minimize

from robust_det import probes
from robust_det.probes import logme
from tests.support.features import Sample


def evidence(features: torch.Tensor, target: torch.Tensor, alpha: float, beta: float) -> float:
    """The log density of the target, whose covariance is written out, an image."""
    images = len(target)
    covariance = features @ features.T / alpha + torch.eye(images).double() / beta
    root = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(root, target[:, None], upper=False)
    logarithm = 2 * root.diagonal().log().sum()
    return -float(white.square().sum() + logarithm + images * math.log(2 * math.pi)) / 2 / images


def by_maximisation(features: torch.Tensor, labels: torch.Tensor, classes: int) -> float:
    """From several starts, as the evidence may have several peaks."""
    total = 0.0
    for one in range(classes):
        target = (labels == one).double()
        total += max(
            -minimize(
                lambda at, t=target: -evidence(features, t, *(math.exp(min(a, 25.0)) for a in at)),
                x0=(start, 5.0 - start),
                method="Nelder-Mead",
                options={"xatol": 1e-5, "fatol": 1e-12},
            ).fun
            for start in (-5.0, 0.0, 5.0)
        )
    return total / classes


@pytest.mark.parametrize(("images", "kept"), [(90, 20), (30, 40)])
def test_the_largest_evidence(sample: Sample, wide: Sample, images: int, kept: int) -> None:
    features, labels, _ = sample if kept == 20 else wide
    features, labels = features[:images, :kept], labels[:images] % 3
    expected = by_maximisation(features, labels, 3)
    assert logme(features, labels, 3) == pytest.approx(expected, abs=1e-6)
    assert logme(features.float(), labels, 3) == pytest.approx(expected, abs=1e-5)


def test_rotation_scale_and_order_change_nothing_and_shifts_do(sample: Sample) -> None:
    features, labels, classes = sample
    value = logme(features, labels, classes)
    noise = torch.Generator().manual_seed(0)
    width = features.shape[1]
    rotation, _ = torch.linalg.qr(torch.randn(width, width, generator=noise, dtype=torch.float64))
    mixed = torch.randperm(len(labels), generator=noise)
    for same in (features @ rotation, 1e4 * features):
        assert logme(same, labels, classes) == pytest.approx(value, abs=1e-9)
    assert logme(features[mixed], labels[mixed], classes) == pytest.approx(value, abs=1e-9)
    assert abs(logme(features + 3, labels, classes) - value) > 1e-4


def test_better_features_score_higher(sample: Sample) -> None:
    features, labels, classes = sample
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(0)).double()
    scores = [
        logme(features + amount * features.std(0) * noise, labels, classes) for amount in (0, 1, 3)
    ]
    assert scores == sorted(scores, reverse=True)


def test_features_that_say_nothing_have_the_evidence_of_noise() -> None:
    """Orthogonal to the targets: the weights vanish, and the noise is all there is."""
    features = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]).double()
    labels = torch.tensor([0, 0, 1, 1])
    expected = -(1 + math.log(2 * math.pi * 0.5)) / 2  # the mean square of zeros and ones is 1/2
    assert logme(features, labels, 2) == pytest.approx(expected, abs=1e-6)


def test_an_exact_fit_is_finite_and_above_others(sample: Sample) -> None:
    features, labels, classes = sample
    exact = torch.cat([features, torch.nn.functional.one_hot(labels).double()], 1)
    assert logme(features, labels, classes) < logme(exact, labels, classes) < math.inf


def test_an_image_s_influence_is_what_the_value_gains_by_its_weight(sample: Sample) -> None:
    features, labels, _ = sample
    copies, labels = 40, labels[:60] % 3
    features = features[:60, :12]
    many = (features.repeat(copies, 1), labels.repeat(copies))
    found = probes.evidence(*many, 3)
    assert found.value == pytest.approx(logme(*many, 3), abs=1e-12)
    for image in range(0, 60, 7):
        # once more, and once less, among so many that the value is nearly linear
        more = logme(
            torch.cat([many[0], features[[image]]]), torch.cat([many[1], labels[[image]]]), 3
        )
        others = torch.arange(len(many[1])) != image
        less = logme(many[0][others], many[1][others], 3)
        assert float(found.influence[image]) == pytest.approx((more - less) / 2, rel=2e-3, abs=1e-7)


def test_the_influences_give_the_spread_of_resamples(sample: Sample) -> None:
    features, labels, classes = sample
    features = features[:, :10]
    found = probes.evidence(features, labels, classes)
    noise = torch.Generator().manual_seed(0)
    fitted, linear = [], []
    for _ in range(200):
        drawn = torch.randint(len(labels), (len(labels),), generator=noise)
        if len(labels[drawn].unique()) == classes:
            fitted.append(logme(features[drawn], labels[drawn], classes))
            weights = torch.bincount(drawn, minlength=len(labels))
            linear.append(found.value + float(((weights - 1) * found.influence).sum()))
    spread = [torch.tensor(values).std() for values in (fitted, linear)]
    assert float(spread[1] / spread[0]) == pytest.approx(1, abs=0.15)
    together = torch.corrcoef(torch.tensor([fitted, linear]))[0, 1]
    assert together > 0.9
