"""Stages that few images decide."""

from __future__ import annotations

import pytest
import torch

from robust_det.representations.cka import Centred
from robust_det.representations.far_images import far_shares, far_words


def test_a_stage_of_few_images_is_told() -> None:
    torch.manual_seed(0)
    even = torch.randn(500, 8)
    odd = even.clone()
    odd[:3] += 100
    shares = far_shares(
        {
            "a": {"res2": Centred(even), "res3": Centred(even)},
            "b": {"res2": Centred(even), "res3": Centred(odd), "res4": Centred(torch.ones(500, 2))},
        }
    )
    assert shares["res2"][0] < 0.05 and "res4" not in shares
    deviations = (odd.double() - odd.double().mean(0)).square().sum(1)
    share = deviations.sort(descending=True).values[:5].sum() / deviations.sum()
    found, whose = shares["res3"]
    assert found == pytest.approx(float(share)) and whose == "b"
    (said,) = far_words(shares, 500)
    assert said.startswith("Read res3 with care: of b, 1 % of the images hold 98 %")
    assert far_words(shares, 99) == []
