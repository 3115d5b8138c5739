"""How far the classifier's file and the head on cached features may lie apart."""

from __future__ import annotations

import pytest

from robust_det.core.errors import UserError
from robust_det.transfer.measure import require_agreement


@pytest.mark.parametrize(
    ("apart", "images", "half", "agree"),
    [
        (0.4, 10_000, False, True),
        (0.6, 10_000, False, False),
        (0.6, 10_000, True, True),
        (2.1, 10_000, True, False),
        (100 * 3 / 240, 240, False, True),  # three images of few
        (100 * 4 / 240, 240, False, False),
        (100 * 6 / 240, 240, True, False),
    ],
)
def test_rounding_may_turn_few_images_and_more_in_half_precision(
    apart: float, images: int, half: bool, agree: bool
) -> None:
    if agree:
        require_agreement(40 + apart, 40.0, images, half)
        require_agreement(40.0, 40 + apart, images, half)
        return
    with pytest.raises(UserError, match="these are of other images or weights"):
        require_agreement(40 + apart, 40.0, images, half)
