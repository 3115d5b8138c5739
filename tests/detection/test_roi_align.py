"""ROIAlign over a table gives torchvision's features and gradients."""

from typing import Any

import pytest
import torch
from detectron2.layers import ROIAlign

from robust_det.detection import roi_align
from robust_det.detection.roi_align import TableROIAlign

SCALE = 0.25


@pytest.fixture
def features() -> Any:
    return torch.randn(3, 5, 20, 31, generator=torch.Generator().manual_seed(0))


def regions(count: Any = 60) -> Any:
    generator = torch.Generator().manual_seed(1)
    centre = torch.rand(count, 2, generator=generator) * torch.tensor([31.0, 20.0]) / SCALE
    size = torch.rand(count, 2, generator=generator) ** 2 * 150
    image = torch.randint(0, 3, (count, 1), generator=generator).float()
    drawn = torch.cat([image, centre - size / 2, centre + size / 2], 1)
    corners = [
        [0, 30, 30, 30, 30],  # empty
        [1, 60, 40, 50, 30],  # the wrong way round
        [2, 0, 0, 28, 28],  # one sample a bin, whole numbers
        [0, 500, 0, 528, 28],  # outside
        [1, 0, 0, 124, 80],  # the whole image
        [1, -200, -200, 400, 300],  # more than that
    ]
    return torch.cat([torch.tensor(corners).float(), drawn])


def passes(pool: Any, features: Any, rois: Any) -> Any:
    features = features.clone(memory_format=torch.preserve_format).requires_grad_()
    pooled = pool(features, rois)
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(2))
    (pooled * weights).sum().backward()
    return pooled.detach(), features.grad


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_torchvision_s_up_to_rounding(
    features: Any, aligned: Any, ratio: Any, layout: Any
) -> None:
    arguments = ((7, 5), SCALE, ratio, aligned)
    features = features.to(memory_format=layout)
    expected = passes(ROIAlign(*arguments), features, regions())
    found = passes(TableROIAlign(*arguments), features, regions())
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not torch.equal(found[0], expected[0])  # torchvision did not compute it


def test_evaluation_is_torchvision_s(features: Any) -> None:
    arguments = ((7, 7), SCALE, 0, True)
    pool = TableROIAlign(*arguments).eval()
    assert torch.equal(pool(features, regions()), ROIAlign(*arguments)(features, regions()))


def test_many_regions_are_looked_at_in_parts(
    features: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = TableROIAlign((7, 7), SCALE, 0, True)
    expected = passes(pool, features, regions())
    monkeypatch.setattr(roi_align, "_ENTRIES", 49 * 200)
    for ours, theirs in zip(passes(pool, features, regions()), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_no_regions(features: Any) -> None:
    pooled, gradient = passes(TableROIAlign((7, 7), SCALE, 0, True), features, torch.zeros(0, 5))
    assert pooled.shape == (0, 5, 7, 7) and not gradient.any()


def test_in_bfloat16_the_regions_keep_their_places(features: Any) -> None:
    low = features.bfloat16()
    arguments = ((7, 7), SCALE, 0, True)
    exact = ROIAlign(*arguments)(low.float(), regions())
    with torch.autocast("cpu", torch.bfloat16):
        ours, stock = (kind(*arguments)(low, regions()) for kind in (TableROIAlign, ROIAlign))
    assert ours.dtype == stock.dtype == torch.bfloat16
    # half of the last of 8 bits
    assert ((ours.float() - exact).abs() <= exact.abs() * 2**-8 + 1e-5).all()
    assert (stock.float() - exact).abs().max() > 0.1
