"""Image files of any depth and orientation become what a viewer shows, once."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from robust_det.core.errors import FileError, UserError
from robust_det.data.classification.crops import Undecodable, eval_transform
from robust_det.data.detection.checking.images import Depth, look
from robust_det.data.images import open_image

CONTENT = {
    "is empty": b"",
    "is not an image": b"plain text, and more of it",
}
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
GREY.flat[:4] = (0, 128, 129, 65535)
COLOURS = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
# what the numbers of EXIF's orientation mean, as its standard says: where row 0 and column 0 are
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def scaled(values: NDArray[Any], most: int = 65535) -> NDArray[np.uint8]:
    return np.rint(values * (255 / most)).astype(np.uint8)


def read(path: Path, **options: Any) -> NDArray[Any]:
    return np.asarray(open_image(path, **options))


def tiff(
    pixels: NDArray[Any],
    orientation: int = 1,
    order: str = "<",
    photometric: int = 1,
    kind: int = 1,
) -> bytes:
    """Return a TIFF as its specification lays it out; Pillow writes none of 16-bit colours."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    data = pixels.astype(f"{order}{pixels.dtype.str[1:]}").tobytes()
    bits = pixels.itemsize * 8
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8)]
    tags += [(274, orientation), (277, channels), (278, height), (279, len(data)), (339, kind)]
    content = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(data)) + data
    behind = len(content) + 2 + 12 * len(tags) + 4
    content += struct.pack(order + "H", len(tags))
    tail = b""
    for tag, value in tags:
        if tag in (258, 339) and channels > 1:
            content += struct.pack(order + "HHII", tag, 3, channels, behind + len(tail))
            tail += struct.pack(order + "H", value) * channels
        elif tag in (273, 279):
            content += struct.pack(order + "HHII", tag, 4, 1, value)
        else:
            content += struct.pack(order + "HHIHH", tag, 3, 1, value, 0)
    return content + bytes(4) + tail


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_grey_of_16_bits_keeps_its_range(name: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / name), GREY)
    np.testing.assert_array_equal(read(tmp_path / name), scaled(GREY))
    assert read(tmp_path / name).flat[:4].tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_rounded(name: str, channels: int, tmp_path: Path) -> None:
    """Pillow keeps their upper bytes, which are half a level darker."""
    pixels = RNG.integers(0, 65536, (6, 4, channels), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / name), pixels)
    shown = open_image(io.BytesIO((tmp_path / name).read_bytes())).convert("RGB")
    np.testing.assert_array_equal(np.asarray(shown), scaled(pixels)[..., 2::-1])


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_other_kinds(order: str, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(GREY, order=order))
    np.testing.assert_array_equal(read(path), scaled(GREY))
    if order == "<":  # of the other, Pillow knows no inverse ones
        path.write_bytes(tiff(GREY, order=order, photometric=0))
        np.testing.assert_array_equal(read(path), 255 - scaled(GREY))
    unit = RNG.random((5, 7), dtype=np.float32)
    unit.flat[:2] = (0, 1)
    path.write_bytes(tiff(unit, order=order, kind=3))
    np.testing.assert_array_equal(read(path), np.rint(unit * 255))


@pytest.mark.parametrize("orientation", list(TURNED))
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("mode", ["L", "RGB", "I;16", "1"])
def test_a_tiff_is_turned_once(
    orientation: int, compression: str | None, mode: str, tmp_path: Path
) -> None:
    pixels = {"I;16": GREY, "RGB": scaled(COLOURS)}.get(mode, scaled(GREY))
    image = Image.fromarray(pixels)
    image = image if mode == "I;16" else image.convert(mode)
    expected = scaled(GREY) if mode == "I;16" else np.asarray(image)
    exif = Image.Exif()
    exif[274] = orientation
    image.save(tmp_path / "a.tif", exif=exif, compression=compression)
    for upright in (True, False):
        found = read(tmp_path / "a.tif", upright=upright)
        np.testing.assert_array_equal(found, TURNED[orientation](expected))


@pytest.mark.parametrize("orientation", list(TURNED))
def test_other_formats_are_turned_once_and_only_if_asked(orientation: int, tmp_path: Path) -> None:
    exif, pixels = Image.Exif(), scaled(COLOURS)
    exif[274] = orientation
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True})):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif, **options)
        np.testing.assert_array_equal(read(tmp_path / name), TURNED[orientation](pixels))
        np.testing.assert_array_equal(read(tmp_path / name, upright=False), pixels)
    (tmp_path / "deep.tif").write_bytes(tiff(COLOURS, orientation, photometric=2))
    np.testing.assert_array_equal(read(tmp_path / "deep.tif"), TURNED[orientation](scaled(COLOURS)))
    deep = Image.fromarray(GREY)
    deep.save(tmp_path / "deep.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "deep.png"), TURNED[orientation](scaled(GREY)))


@pytest.mark.parametrize(
    "pixels, kind, words",
    [
        (np.arange(35, dtype=np.int32).reshape(5, 7), 2, "has 32-bit integers"),
        (np.arange(35, dtype=np.uint32).reshape(5, 7), 1, "has 32-bit integers"),
        (np.arange(35, dtype=np.int16).reshape(5, 7), 2, "has 16-bit integers with a sign"),
        (np.full((5, 7), 200, np.float32), 3, "has floating-point numbers from 200 to 200"),
        (np.full((5, 7), -0.5, np.float32), 3, "has floating-point numbers from -0.5 to -0.5"),
        (np.full((5, 7), np.nan, np.float32), 3, "has floating-point numbers from nan"),
    ],
)
def test_what_nobody_knows_the_white_of(
    pixels: NDArray[Any], kind: int, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(pixels, kind=kind))
    with pytest.raises(FileError, match=words) as caught:
        open_image(path)
    assert "8 or 16 bits" in caught.value.advice
    with pytest.raises(Undecodable, match=words):
        eval_transform(4, 4)(str(path))


def test_pretraining_sees_the_same(tmp_path: Path) -> None:
    square = GREY[:5, :5]
    cv2.imwrite(str(tmp_path / "a.png"), square)
    crop = eval_transform(5, 5)(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(crop.numpy(), np.stack([scaled(square)] * 3))


@pytest.mark.parametrize("problem", [*CONTENT, "is truncated or damaged: image file is truncated"])
def test_what_is_no_whole_image_is_said(problem: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(scaled(COLOURS)).resize((90, 70)).save(path)
    path.write_bytes(CONTENT.get(problem, path.read_bytes()[:-900]))
    for file in (path, io.BytesIO(path.read_bytes())):
        with pytest.raises(FileError) as caught:
            open_image(file)
        assert caught.value.problem.startswith(problem)
    with pytest.raises(Undecodable, match=f"^it {problem}"):
        eval_transform(32, 32)(str(path))
    seen = look([str(path)], "images", Depth.PIXELS)
    assert str(seen[0]).startswith(f"it {problem}")


def test_a_limit_of_pixels_can_be_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    path = tmp_path / "a.png"
    Image.new("L", (50, 50)).save(path)
    with pytest.raises(FileError, match=r"has more than 2,000 pixels; scale it .*set ROBUST_DET_"):
        open_image(path)
    monkeypatch.setenv("ROBUST_DET_MAX_PIXELS", "many")
    with pytest.raises(UserError, match="ROBUST_DET_MAX_PIXELS is 'many'; it is a number"):
        open_image(path)
    monkeypatch.setenv("ROBUST_DET_MAX_PIXELS", "5000")
    assert open_image(path).size == (50, 50)
