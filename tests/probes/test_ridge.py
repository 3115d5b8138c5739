from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from robust_det.core.errors import UserError
from robust_det.probes import Ridge, ridge, spectrum
from tests.support.features import Sample

PENALTIES = (1e-3, 1.0, 1e3)


@pytest.mark.parametrize("which", ["sample", "wide"])
def test_scikit_learns_heads(which: str, request: pytest.FixtureRequest) -> None:
    features, labels, classes = request.getfixturevalue(which)
    decomposed = Ridge.of(features, labels, classes)
    for penalty in PENALTIES:
        head = decomposed.head(penalty)
        theirs = RidgeClassifier(alpha=penalty, solver="svd").fit(features.numpy(), labels.numpy())
        for ours, other in ((head.weight, theirs.coef_), (head.bias, theirs.intercept_)):
            torch.testing.assert_close(ours, torch.from_numpy(other), rtol=1e-6, atol=1e-9)
        expected = torch.from_numpy(theirs.predict(features.numpy()))
        assert torch.equal(head.predict(features), expected)


def test_two_classes_have_two_rows(sample: Sample) -> None:
    features, labels = sample.features, sample.labels % 2
    head = Ridge.of(features, labels, 2).head(1.0)
    theirs = RidgeClassifier(alpha=1.0, solver="svd").fit(features.numpy(), labels.numpy())
    torch.testing.assert_close(head.weight[1], torch.from_numpy(theirs.coef_.ravel()))
    torch.testing.assert_close(head.weight[0], -head.weight[1])


def test_float32_features_give_the_head_of_float64(sample: Sample) -> None:
    features, labels, classes = sample
    exact = Ridge.of(features, labels, classes).head(1.0)
    head = Ridge.of(features.float(), labels, classes).head(1.0)
    assert head.weight.dtype == torch.float32
    torch.testing.assert_close(head.weight.double(), exact.weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("which", ["sample", "wide"])
def test_left_out_is_what_fits_without_each_image_predict(
    which: str, request: pytest.FixtureRequest
) -> None:
    features, labels, classes = request.getfixturevalue(which)
    features, labels = features[:60], labels[:60]
    left_out = Ridge.of(features, labels, classes).left_out(PENALTIES)
    for penalty, ours in zip(PENALTIES, left_out, strict=True):
        each = []
        for image in range(len(labels)):
            others = torch.arange(len(labels)) != image
            head = Ridge.of(features[others], labels[others], classes).head(penalty)
            each.append(head.predict(features[image : image + 1]))
        assert torch.equal(ours, torch.cat(each))
    # and is not that of the fit to all
    fitted = Ridge.of(features, labels, classes).head(1e-3).predict(features)
    assert (fitted == labels).sum() > (left_out[0] == labels).sum()


def test_images_in_several_blocks(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = Ridge.of(*sample).left_out(PENALTIES)
    monkeypatch.setattr(ridge, "BLOCK", 37)
    monkeypatch.setattr(spectrum, "BLOCK", 41)
    for one, other in zip(at_once, Ridge.of(*sample).left_out(PENALTIES), strict=True):
        assert torch.equal(one, other)


def test_copies_of_images_double_the_penalty(sample: Sample) -> None:
    features, labels, classes = sample
    one = Ridge.of(features, labels, classes).head(1.0)
    twice = Ridge.of(features.repeat(2, 1), labels.repeat(2), classes).head(2.0)
    torch.testing.assert_close(one.weight, twice.weight)
    mixed = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    other = Ridge.of(features[mixed], labels[mixed], classes).head(1.0)
    torch.testing.assert_close(one.weight, other.weight)


def test_the_same_bits_twice(sample: Sample) -> None:
    first, second = (Ridge.of(*sample).head(0.1) for _ in range(2))
    assert torch.equal(first.weight, second.weight) and torch.equal(first.bias, second.bias)


def test_a_penalty_that_is_not_positive_is_refused(sample: Sample) -> None:
    decomposed = Ridge.of(*sample)
    message = "^the ridge penalty needs positive numbers, not 0.0$"
    with pytest.raises(UserError, match=message):
        decomposed.head(0.0)
    with pytest.raises(UserError, match=message):
        decomposed.left_out([1.0, 0.0])


@pytest.mark.parametrize("which", ["sample", "wide"])
def test_left_out_together_is_what_fits_without_each_group_predict(
    which: str, request: pytest.FixtureRequest
) -> None:
    features, labels, classes = request.getfixturevalue(which)
    features, labels = features[:60], labels[:60]
    # sizes 1 to 7, in no order, and numbers with gaps
    sizes = torch.tensor([1, 2, 3, 4, 5, 6, 7, 7, 7, 6, 5, 4, 2, 1])
    noise = torch.Generator().manual_seed(0)
    mixed = torch.randperm(len(labels), generator=noise)
    groups = (3 * torch.arange(len(sizes))).repeat_interleave(sizes)[mixed]
    left_out = Ridge.of(features, labels, classes).left_out_together(PENALTIES, groups)
    for penalty, ours in zip(PENALTIES, left_out, strict=True):
        for group in groups.unique():
            inside = groups == group
            if len(labels[~inside].unique()) < classes:
                continue  # of whose fit no head is made; the test below has this case
            head = Ridge.of(features[~inside], labels[~inside], classes).head(penalty)
            assert torch.equal(ours[inside], head.predict(features[inside]))


def test_groups_of_one_are_images_left_out_one_by_one(sample: Sample) -> None:
    features, labels, classes = sample
    decomposed = Ridge.of(features, labels, classes)
    together = decomposed.left_out_together(PENALTIES, torch.arange(len(labels)))
    for ours, alone in zip(together, decomposed.left_out(PENALTIES), strict=True):
        assert torch.equal(ours, alone)


def test_a_class_of_one_group_is_not_found_in_it(sample: Sample) -> None:
    features, labels, _ = sample
    labels = (torch.arange(len(labels)) < 10).long() + (labels % 2) * 2
    labels = labels.clamp(max=2)
    features = features.clone()
    features[labels == 1, 0] += 100.0  # nothing is easier than this class
    alone = (labels == 1).long()
    groups = torch.where(alone == 1, 0, torch.arange(len(labels)) + 1)
    decomposed = Ridge.of(features, labels, 3)
    [together] = decomposed.left_out_together([1.0], groups)
    assert not (together[labels == 1] == 1).any()
    [one_by_one] = decomposed.left_out([1.0])
    assert (one_by_one[labels == 1] == 1).all()


@pytest.mark.parametrize("groups", [torch.zeros(60).long(), torch.arange(59)])
def test_groups_that_leave_nothing_are_refused(sample: Sample, groups: torch.Tensor) -> None:
    decomposed = Ridge.of(sample.features[:60], sample.labels[:60], sample.classes)
    with pytest.raises(UserError, match=r"one number an image and two groups at least"):
        decomposed.left_out_together([1.0], groups)
