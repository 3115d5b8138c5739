from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from robust_det.core.errors import UserError
from robust_det.probes import Ridge, fit, logme

TRAINERS = [fit, Ridge.of, logme]
FEATURES = torch.rand(12, 3, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3


def with_values(value: float, rows: list[int]) -> torch.Tensor:
    features = FEATURES.clone()
    features[rows, 1] = value
    return features


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize(
    ("features", "labels", "classes", "message"),
    [
        (
            with_values(math.nan, [3]),
            LABELS,
            3,
            "the features of 1 image of 12 are NaN or infinite, in row 3; extract them in float32,"
            " and look at these images",
        ),
        (
            with_values(-math.inf, [*range(7)]),
            LABELS,
            3,
            "the features of 7 images of 12 are NaN or infinite, in rows 0, 1, 2, 3, 4 and 2 more;"
            " extract them in float32, and look at these images",
        ),
        (
            torch.stack([with_values(math.inf, [1])[1], with_values(-math.inf, [1])[1]]),
            torch.tensor([0, 1]),
            2,
            "the features of 2 images of 2 are NaN or infinite, in rows 0, 1; extract them in"
            " float32, and look at these images",
        ),
        (FEATURES.half(), LABELS, 3, "the features are of torch.float16; convert them to float32"),
        (
            FEATURES[:, :0],
            LABELS,
            3,
            "the features have shape (12, 0); (images, features) is needed, with at least one of"
            " each",
        ),
        (FEATURES, LABELS, 1, "a classifier needs at least 2 classes, not 1"),
        (
            FEATURES,
            torch.full((12,), 2),
            3,
            "all images are of class 2; a second class is needed",
        ),
        (
            FEATURES,
            LABELS,
            5,
            "2 of 5 classes have no training image: classes 3, 4; add images of them, or number the"
            " classes without them",
        ),
        (
            FEATURES,
            LABELS,
            13,
            "12 images cannot show 13 classes; give at least one a class",
        ),
        (
            FEATURES,
            LABELS[:-1],
            3,
            "there are 11 labels for features of 12 images; each image needs one",
        ),
        (
            FEATURES,
            LABELS - 1,
            3,
            "4 labels not in 0 to 2, such as -1 in row 0; correct the labels or the number of"
            " classes",
        ),
        (
            FEATURES,
            LABELS.int(),
            3,
            "the labels are of torch.int32 and shape (12,); one int64 an image is needed",
        ),
        (
            FEATURES[:1].expand(12, 3),
            LABELS,
            3,
            "none of the 3 features differs between the 12 images; they tell no class: is the"
            " network's output used, and are the images its own?",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_refused(
    trainer: Callable[..., object],
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    message: str,
) -> None:
    with pytest.raises(UserError) as caught:
        trainer(features, labels, classes)
    assert str(caught.value) == message


def test_large_numbers_are_no_infinite_ones() -> None:
    features = 1e37 * FEATURES.repeat(10, 1)
    assert features.sum().isinf()  # in their own type
    fit(features, LABELS.repeat(10), 3, [1e-74])
