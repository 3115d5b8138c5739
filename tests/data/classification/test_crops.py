from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from robust_det.data.classification.crops import Undecodable, random_box, train_transform

SIZE, SCALE = 24, (0.08, 1.0)
FAST = train_transform(SIZE, SCALE, True, 0.0, exact=False)
EXACT = train_transform(SIZE, SCALE, True, 0.0, exact=True)
FORMATS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png": ("RGB", "PNG", {}),
    "see-through": ("RGBA", "PNG", {}),
    "palette": ("P", "PNG", {}),
    "webp": ("RGB", "WEBP", {}),
    "grey": ("L", "JPEG", {}),
    "cmyk": ("CMYK", "JPEG", {}),
}


def write(path: Path, mode: str = "RGB", kind: str = "JPEG", **options: Any) -> str:
    pixels = np.random.default_rng(0).integers(0, 256, (23, 30, 3)).astype(np.uint8)
    smooth = Image.fromarray(pixels).resize((182, 140), Image.Resampling.BICUBIC)
    smooth.convert(mode).save(path, kind, **options)
    return str(path)


def seeded(transform: Callable[[str], torch.Tensor], path: str, seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    return transform(path)


sides = st.integers(1, 700)


@settings(max_examples=200, deadline=None)
@given(height=sides, width=sides, low=st.floats(0.01, 1), high=st.floats(0.01, 1), seed=sides)
def test_boxes_are_those_of_random_resized_crop(
    height: int, width: int, low: float, high: float, seed: int
) -> None:
    scale = (min(low, high), max(low, high))
    image = torch.empty(3, height, width, device="meta")
    torch.manual_seed(seed)
    theirs = v2.RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3])
    after = torch.rand(1)
    torch.manual_seed(seed)
    assert random_box(height, width, scale) == tuple(theirs)
    assert torch.rand(1) == after


def test_exact_is_torchvision_on_pillow(tmp_path: Path) -> None:
    path = write(tmp_path / "image.jpg")
    ours = train_transform(SIZE, SCALE, True, 0.2, exact=True)
    steps = [v2.RandomResizedCrop(SIZE, scale=SCALE), v2.RandomHorizontalFlip()]
    theirs = v2.Compose([*steps, v2.ColorJitter(0.2, 0.2, 0.2), v2.PILToTensor()])
    for seed in range(6):
        expected = seeded(lambda name: theirs(Image.open(name)), path, seed)
        assert torch.equal(seeded(ours, path, seed), expected)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_no_colour_jpeg_gets_pillows_bits(name: str, tmp_path: Path) -> None:
    mode, kind, options = FORMATS[name]
    path = write(tmp_path / "image", mode, kind, **options)
    for seed in range(12):
        assert torch.equal(seeded(FAST, path, seed), seeded(EXACT, path, seed))


@pytest.mark.parametrize("size, most, mean", [(100, 2, 0.2), (SIZE, 40, 4.0)])
def test_jpegs_get_the_same_crops(size: int, most: int, mean: float, tmp_path: Path) -> None:
    path = write(tmp_path / "image.jpg", quality=90)
    pair = [train_transform(size, SCALE, True, 0.0, exact=exact) for exact in (False, True)]
    for seed in range(20):
        fast, exact = (seeded(transform, path, seed).int() for transform in pair)
        assert (fast - exact).abs().max() <= most
        assert (fast - exact).abs().float().mean() <= mean
        mirrored = (fast.flip(-1) - exact).abs().float().mean()
        assert mirrored > 5 * (fast - exact).abs().float().mean()


def test_jitter_is_drawn_the_same(tmp_path: Path) -> None:
    path = write(tmp_path / "image.jpg", quality=90)
    pair = [train_transform(100, SCALE, True, 0.3, exact=exact) for exact in (False, True)]
    for seed in range(10):
        fast, exact = (seeded(transform, path, seed).int() for transform in pair)
        assert (fast - exact).abs().max() <= 9
        assert (fast - exact).abs().float().mean() <= 3


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_neither_way_turns_an_image(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = write(tmp_path / "image.jpg", exif=exif)
    plain = write(tmp_path / "plain.jpg")
    assert torch.equal(seeded(FAST, path, 1), seeded(FAST, plain, 1))
    assert torch.equal(seeded(EXACT, path, 1), seeded(EXACT, plain, 1))


def verdict(transform: Callable[[str], torch.Tensor], path: Path) -> torch.Tensor | str:
    try:
        return seeded(transform, str(path), 3)
    except Undecodable as error:
        return str(error)


def test_damage_is_judged_as_by_pillow(tmp_path: Path) -> None:
    whole = Path(write(tmp_path / "whole.jpg", quality=70)).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    path = tmp_path / "damaged.jpg"
    for case in range(60):
        content = bytearray(whole)
        if case % 2:
            content[int(rng.integers(2, len(content)))] ^= int(rng.integers(1, 256))
        else:
            del content[int(rng.integers(0, len(content))) :]
        path.write_bytes(content)
        fast, exact = verdict(FAST, path), verdict(EXACT, path)
        if isinstance(exact, str):
            refused += 1
            assert fast == exact, case
        else:
            assert isinstance(fast, torch.Tensor), case
    assert refused >= 25


def test_what_cannot_be_read_is_undecodable(tmp_path: Path) -> None:
    for transform in (FAST, EXACT):
        assert "FileNotFoundError" in str(verdict(transform, tmp_path / "absent.jpg"))
        assert "is a folder" in str(verdict(transform, tmp_path))
