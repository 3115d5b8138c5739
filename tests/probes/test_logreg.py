from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from robust_det.core.errors import UserError
from robust_det.probes import STRENGTHS, LinearHead, LogisticFit, fit
from robust_det.probes.head import BLOCK
from robust_det.probes.logreg import TOLERANCE
from tests.support.features import Sample, make_sample

SOME = (1e-4, 1e-2, 1.0, 100.0)


def objective(head: LinearHead, features: torch.Tensor, labels: torch.Tensor, c: float) -> float:
    logits = features.double() @ head.weight.double().T + head.bias.double()
    penalty = head.weight.double().square().sum() / (2 * c)
    return float(F.cross_entropy(logits, labels, reduction="sum") + penalty)


def oracle(features: torch.Tensor, labels: torch.Tensor, c: float) -> LinearHead:
    model = LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10)
    model.fit(features.double().numpy(), labels.numpy())
    return LinearHead(torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_))


def assert_same_heads(ours: LinearHead, theirs: LinearHead, tolerance: float) -> None:
    """The largest difference of parameters, relative to the largest one."""
    for a, b in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        assert (a.double() - b.double()).abs().max() <= tolerance * b.abs().max()


def test_scikit_learns_optimum(sample: Sample) -> None:
    features, labels, classes = sample
    for one in fit(features, labels, classes, SOME, tolerance=1e-10):
        theirs = oracle(features, labels, one.strength)
        assert one.converged
        assert one.objective == pytest.approx(objective(one.head, features, labels, one.strength))
        assert one.objective == pytest.approx(objective(theirs, features, labels, one.strength))
        assert_same_heads(one.head, theirs, 1e-4)


def test_scikit_learns_optimum_with_fewer_images_than_features(wide: Sample) -> None:
    features, labels, classes = wide
    for one in fit(features, labels, classes, (1e-3, 1.0), tolerance=1e-10):
        assert_same_heads(one.head, oracle(features, labels, one.strength), 1e-4)


def test_two_classes_have_half_of_scikit_learns_c(sample: Sample) -> None:
    features, labels = sample.features, sample.labels % 2
    [one] = fit(features, labels, 2, [0.05], tolerance=1e-12)
    theirs = oracle(features, labels, 0.1)
    torch.testing.assert_close(one.head.weight[0], -one.head.weight[1])
    difference = LinearHead(one.head.weight.diff(dim=0), one.head.bias.diff(dim=0))
    assert_same_heads(difference, theirs, 1e-5)


def test_float32_reaches_the_optimum_of_float64(sample: Sample) -> None:
    features, labels, classes = sample
    strengths = SOME[:3]
    exact = fit(features, labels, classes, strengths, tolerance=1e-12)
    for tolerance, parameters in ((1e-3, 0.05), (1e-5, 5e-3), (1e-8, 1e-4)):
        for one, other in zip(
            fit(features.float(), labels, classes, strengths, tolerance), exact, strict=True
        ):
            assert one.converged and one.head.weight.dtype == torch.float32
            assert_same_heads(one.head, other.head, parameters)
            assert one.objective == pytest.approx(other.objective, rel=tolerance)


def excess(one: LogisticFit, lowest: float, features: torch.Tensor, labels: torch.Tensor) -> float:
    """Return what is above the lowest objective, as fit() measures it, from the head alone."""
    found = objective(one.head, features, labels, one.strength)
    frequencies = torch.bincount(labels) / len(labels)
    none = len(labels) * float(torch.distributions.Categorical(frequencies).entropy())
    return (found - lowest) / min(found, none - found)


def test_converged_bounds_the_gap_to_scikit_learns_optimum() -> None:
    """Where classes can (nearly) be told apart as well, in both types, from strong to weak."""
    for images, width, classes in ((300, 20, 5), (120, 40, 5), (400, 30, 2)):
        features, labels, _ = make_sample(images, width, classes, seed=2)
        strengths = (1e-4, 1e-2, 1.0, 1e2, 1e4)
        # scikit-learn's C of two classes is that of the weights' difference
        theirs = [oracle(features, labels, c * (2 if classes == 2 else 1)) for c in strengths]
        if classes == 2:
            theirs = [
                LinearHead(torch.cat([-h.weight, h.weight]) / 2, torch.cat([-h.bias, h.bias]) / 2)
                for h in theirs
            ]
        for kind in (torch.float32, torch.float64):
            for one, other in zip(
                fit(features.to(kind), labels, classes, strengths), theirs, strict=True
            ):
                lowest = objective(other, features, labels, one.strength)
                above = excess(one, lowest, features, labels)
                assert one.converged and 0 <= one.gap <= TOLERANCE
                assert -1e-9 < above <= one.gap + 1e-9


def test_a_fit_that_runs_out_of_iterations_says_so(sample: Sample) -> None:
    [one] = fit(*sample, [1e3], tolerance=1e-6, max_iterations=3)
    assert not one.converged and one.iterations == 3 and one.gap > 1e-6


def test_a_tolerance_below_rounding_ends_without_convergence(sample: Sample) -> None:
    [one] = fit(sample.features.float(), sample.labels, sample.classes, [1.0], 1e-20, 10_000)
    assert not one.converged and one.iterations < 10_000 and one.gap < 1e-10


def test_the_path_is_in_the_given_order_and_reported_from_the_smallest(sample: Sample) -> None:
    seen: list[LogisticFit] = []
    given = (0.1, 1e-3, 1.0)
    fits = fit(*sample, given, on_progress=seen.append)
    assert [one.strength for one in fits] == [*given]
    assert [one.strength for one in seen] == sorted(given)
    assert {id(one) for one in seen} == {id(one) for one in fits}
    # a start that others lead to ends where one alone does
    [alone] = fit(*sample, [1.0], tolerance=1e-10)
    *_, last = fit(*sample, given, tolerance=1e-10)
    assert_same_heads(last.head, alone.head, 1e-4)


def test_the_same_bits_twice(sample: Sample) -> None:
    features, labels, classes = sample
    first, second = (fit(features.float(), labels, classes, SOME) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.head.weight, other.head.weight)
        assert torch.equal(one.head.bias, other.head.bias)
        assert (one.objective, one.iterations) == (other.objective, other.iterations)


def test_order_of_images_and_copies_of_them_change_nothing(sample: Sample) -> None:
    features, labels, classes = sample
    [one] = fit(features, labels, classes, [0.1], tolerance=1e-14)
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    [other] = fit(features[mixed], labels[mixed], classes, [0.1], tolerance=1e-14)
    assert_same_heads(one.head, other.head, 1e-6)
    # so many that they come in several blocks
    [more] = fit(features.repeat(10, 1), labels.repeat(10), classes, [0.01], tolerance=1e-14)
    assert 10 * len(labels) > BLOCK
    assert_same_heads(one.head, more.head, 1e-6)
    assert more.objective == pytest.approx(10 * one.objective)


def test_the_scale_of_features_goes_into_c(sample: Sample) -> None:
    features, labels, classes = sample
    [one] = fit(features, labels, classes, [0.1], tolerance=1e-14)
    [other] = fit(1000 * features + 5000, labels, classes, [0.1e-6], tolerance=1e-14)
    assert (one.iterations, one.passes) == (other.iterations, other.passes)
    assert_same_heads(
        LinearHead(one.head.weight, one.head.bias),
        LinearHead(1000 * other.head.weight, other.head.bias + 5000 * other.head.weight.sum(1)),
        1e-6,
    )


def test_constant_features_have_no_weight_and_are_counted(sample: Sample) -> None:
    features, labels, classes = sample
    more = torch.cat([features, torch.tensor([[3.3, 0.0]]).double().expand(len(labels), 2)], 1)
    [one], [other] = (fit(f, labels, classes, [1.0], tolerance=1e-14) for f in (more, features))
    assert (one.constant, other.constant) == (2, 0)
    assert one.head.weight[:, -2:].abs().max() < 1e-12
    assert_same_heads(LinearHead(one.head.weight[:, :-2], one.head.bias), other.head, 1e-6)


def test_features_that_tell_nothing_give_the_frequencies_of_classes() -> None:
    features = torch.tensor([[-1.0], [1.0], [-2.0], [2.0], [-1.0], [1.0]])
    [one] = fit(features, torch.tensor([0, 0, 0, 0, 1, 1]), 2, [1.0])
    assert one.converged and one.iterations == 0
    assert one.head.weight.abs().max() == 0
    torch.testing.assert_close(one.head.bias.softmax(0), torch.tensor([2 / 3, 1 / 3]))
    assert one.objective == pytest.approx(-4 * math.log(2 / 3) - 2 * math.log(1 / 3))


def test_the_whole_range_of_strengths_on_classes_that_can_be_told_apart(wide: Sample) -> None:
    """Without overlap the weights grow with C; all 45 strengths converge in float32."""
    features, labels, classes = wide
    fits = fit(features.float(), labels, classes)
    assert len(fits) == len(STRENGTHS) == 45
    assert STRENGTHS[0] == pytest.approx(1e-6) and STRENGTHS[-1] == pytest.approx(1e5)
    assert all(one.converged for one in fits)
    norms = [float(one.head.weight.norm()) for one in fits]
    assert norms == sorted(norms)
    assert bool((fits[-1].head.predict(features.float()) == labels).all())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strengths": []}, "the strength C needs positive numbers, not none"),
        ({"strengths": [1.0, 0.0]}, "the strength C needs positive numbers, not 0.0"),
        ({"strengths": [math.inf]}, "the strength C needs positive numbers, not inf"),
        ({"strengths": [1.0, 1.0]}, "the strength C has a number twice; give each once"),
        ({"tolerance": 0.0}, "the tolerance lies between 0 and 1, not at 0.0"),
        ({"max_iterations": 0}, "max_iterations is at least 1, not 0"),
    ],
)
def test_arguments_out_of_range_are_refused(
    sample: Sample, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        fit(*sample, **change)
    assert str(caught.value) == message
