from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import robust_det
from robust_det.data.classification.jpeg import (
    Box,
    colour_jpeg_shape,
    crop_jpeg,
    decoding_factor,
)

PHOTO = Path(robust_det.__file__).parent / "data" / "photographs" / "astronaut.jpg"


def encode(pixels: np.ndarray, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **{"quality": 95, **options})
    return buffer.getvalue()


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def pillow_crop(content: bytes, box: Box, size: int) -> np.ndarray:
    top, left, height, width = box
    with Image.open(io.BytesIO(content)) as image:
        part = image.convert("RGB").crop((left, top, left + width, top + height))
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR)).astype(int)


def our_crop(content: bytes, box: Box, size: int) -> np.ndarray:
    shape = colour_jpeg_shape(content)
    assert shape is not None
    pixels = crop_jpeg(content, shape, box, size)
    assert pixels is not None and pixels.dtype == torch.uint8 and pixels.shape == (3, size, size)
    return pixels.permute(1, 2, 0).numpy().astype(int)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(1, 300), height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_the_scale_is_the_smallest_that_keeps_the_detail(
    size: int, height: int, width: int
) -> None:
    factor = decoding_factor((3, 5, height, width), size)
    assert factor in (1, 2, 4, 8)
    assert factor == 1 or min(height, width) / factor >= size
    assert factor == 8 or min(height, width) / (2 * factor) < size


@pytest.mark.parametrize("box", [(0, 0, 61, 83), (13, 7, 40, 35), (31, 52, 30, 31), (5, 0, 9, 12)])
@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}])
def test_at_full_scale_it_is_pillows_crop_but_for_rounding(
    box: Box, options: dict[str, Any]
) -> None:
    # noise is the worst case: no two neighbours are alike
    content = encode(noise(61, 83), **options)
    assert decoding_factor(box, 32) == 1
    assert np.abs(our_crop(content, box, 32) - pillow_crop(content, box, 32)).max() <= 2


# the whole of a small, sharp photo is the worst case; of large ones it is one level
@pytest.mark.parametrize("factor, most", [(2, 2.5), (4, 4), (8, 4.5)])
def test_a_scaled_photo_is_close_to_pillows_crop(factor: int, most: float) -> None:
    with Image.open(PHOTO) as image:
        content = encode(np.asarray(image.convert("RGB")))
        height, width = image.height - 9, image.width - 10
    box = (3, 5, height, width)
    size = min(height, width) // factor
    assert decoding_factor(box, size) == factor
    apart = np.abs(our_crop(content, box, size) - pillow_crop(content, box, size))
    # whole pixels beside it, the differences are far larger
    shifted = np.abs(our_crop(content, box, size)[:, 1:] - pillow_crop(content, box, size)[:, :-1])
    assert apart.mean() < most
    assert apart.mean() < 0.4 * shifted.mean()


def blob(height: int, width: int, y: float, x: float, sigma: float) -> np.ndarray:
    """A bright Gaussian on black; its centre in pixels from the image's edge."""
    rows = np.exp(-0.5 * ((np.arange(height) + 0.5 - y) / sigma) ** 2)
    columns = np.exp(-0.5 * ((np.arange(width) + 0.5 - x) / sigma) ** 2)
    return np.repeat(np.outer(rows, columns)[..., None] * 250, 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("top, left", [(0, 0), (1, 3), (7, 13), (10, 5), (31, 17)])
@pytest.mark.parametrize("more", [0, 5, 13])  # pixels that the scale does not divide
def test_nothing_moves(factor: int, top: int, left: int, more: int) -> None:
    size = 40
    h, w = size * factor + more, size * factor + 2 * more + 1
    y, x = top + 0.45 * h, left + 0.55 * w  # far from the edges, and not in the middle
    content = encode(blob(h + 41, w + 37, y, x, sigma=3 * factor), subsampling=0)
    box = (top, left, h, w)
    assert decoding_factor(box, size) == factor
    weights = our_crop(content, box, size).sum(2).astype(float)
    weights[weights < 24] = 0  # ringing of the JPEG far from the blob
    position = np.arange(size) + 0.5
    found_y = (weights.sum(1) * position).sum() / weights.sum()
    found_x = (weights.sum(0) * position).sum() / weights.sum()
    assert found_y == pytest.approx((y - top) * size / h, abs=0.1)
    assert found_x == pytest.approx((x - left) * size / w, abs=0.1)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("left", [0, 3, 13])
def test_edges_are_where_they_were(factor: int, left: int) -> None:
    size = 32
    w = size * factor + 5
    edge = left + w // 2 + 1
    pixels = np.zeros((w + 8, w + 29, 3), np.uint8)
    pixels[:, edge:] = 240
    content = encode(pixels, subsampling=0)
    ours = our_crop(content, (2, left, w, w), size)[..., 1]
    # where the step is, from how much of each row is bright
    found = size - ours.mean(0).sum() / 240
    assert found == pytest.approx((edge - left) * size / w, abs=0.1)


def test_only_colour_jpegs_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(24, 31)
    content = encode(pixels)
    assert colour_jpeg_shape(content) == (24, 31)
    assert colour_jpeg_shape(encode(pixels, keep_rgb=True)) == (24, 31)
    for mode in ("L", "CMYK"):
        assert colour_jpeg_shape(encode(pixels, mode)) is None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    for other in (buffer.getvalue(), b"", content[:2], content[:5], content[:40]):
        assert colour_jpeg_shape(other) is None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 24 * 31 - 1)
    assert colour_jpeg_shape(content) is None


@pytest.mark.parametrize("size", [8, 100])  # at an eighth and at full scale
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_any_cut_is_noticed(size: int, options: dict[str, Any]) -> None:
    content = encode(noise(100, 100), quality=30, **options)
    box = (0, 0, 64, 64)  # the cut is far below it as well
    assert crop_jpeg(content, (100, 100), box, size) is not None
    assert decoding_factor(box, size) == (8 if size == 8 else 1)
    for length in [*range(0, len(content), 37), len(content) - 2, len(content) - 1]:
        assert crop_jpeg(content[:length], (100, 100), box, size) is None, length


def test_a_header_that_says_otherwise_is_not_believed() -> None:
    content = encode(noise(40, 50))
    assert crop_jpeg(content, (40, 50), (0, 0, 20, 20), 20) is not None
    assert crop_jpeg(content, (41, 50), (0, 0, 20, 20), 20) is None
