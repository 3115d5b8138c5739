"""Up to 8 bits, both ways give what Detectron2's reader gives; the fast one is for plain JPEGs."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from detectron2.data import detection_utils
from PIL import Image

import robust_det.data
from robust_det.core.errors import UserError
from robust_det.data.images import open_image
from robust_det.detection.mapping import decoding
from robust_det.detection.mapping.decoding import read_image

PHOTOS = sorted((Path(robust_det.data.__file__).parent / "photographs").glob("*.jpg"))
STOCK = detection_utils.read_image
RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (37, 51, 3), np.uint8))


def exif(orientation: Any) -> Any:
    data = Image.Exif()
    data[274] = orientation
    return data


def saved(image: Any, suffix: Any, **options: Any) -> Any:
    return suffix, image, options


FAST = {
    **{
        f"{sampling}, quality {quality}": saved(NOISE, "jpg", subsampling=sampling, quality=quality)
        for sampling in ("4:4:4", "4:2:2", "4:2:0")
        for quality in (10, 75, 100)
    },
    "progressive": saved(NOISE, "jpg", progressive=True),
    "stored as RGB": saved(NOISE, "jpg", keep_rgb=True),
    "upright by EXIF": saved(NOISE, "jpg", exif=exif(1)),
    "one pixel": saved(NOISE.crop((0, 0, 1, 1)), "jpg"),
    "odd size": saved(NOISE.crop((0, 0, 17, 9)), "jpeg"),
    "JPEG named PNG": saved(NOISE, "png", format="JPEG"),
}
OTHER = {
    **{f"turned by EXIF, {n}": saved(NOISE, "jpg", exif=exif(n)) for n in range(2, 9)},
    "grey JPEG": saved(NOISE.convert("L"), "jpg"),
    "CMYK JPEG": saved(NOISE.convert("CMYK"), "jpg"),
    "PNG": saved(NOISE, "png"),
    "PNG with alpha": saved(NOISE.convert("RGBA"), "png"),
    "PNG with a palette": saved(NOISE.convert("P"), "png"),
    "PNG with grey and alpha": saved(NOISE.convert("LA"), "png"),
    "TIFF": saved(NOISE, "tif"),
    "TIFF of CMYK": saved(NOISE.convert("CMYK"), "tif", compression="tiff_lzw"),
    "bilevel PNG": saved(NOISE.convert("1"), "png"),
    "WebP": saved(NOISE, "webp", lossless=True),
}


@pytest.fixture
def stock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The files that Pillow decodes for us."""
    calls = []

    def counted(file: Any) -> Any:
        calls.append(file.name)
        return open_image(file)

    monkeypatch.setattr(decoding, "open_image", counted)
    return calls


def both(path: Any, layout: Any, fast: bool = True) -> Any:
    return read_image(path, layout, fast), STOCK(path, layout)


@pytest.mark.parametrize("kind", [*FAST, *OTHER])
@pytest.mark.parametrize("layout", ["RGB", "BGR", "L", "YUV-BT.601"])
def test_the_bits_are_those_of_detectron2(
    kind: Any, layout: str, stock: Any, tmp_path: Path
) -> None:
    suffix, image, options = {**FAST, **OTHER}[kind]
    path = str(tmp_path / f"image.{suffix}")
    image.save(path, **options)
    ours, theirs = both(path, layout)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    assert len(stock) == (0 if kind in FAST and layout in ("RGB", "BGR") else 1)


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_photographs(path: Any, stock: Any) -> None:
    ours, theirs = both(str(path), "RGB")
    assert min(ours.shape[:2]) > 100 and not stock
    np.testing.assert_array_equal(ours, theirs)


def test_it_can_be_switched_off(stock: Any) -> None:
    np.testing.assert_array_equal(*both(str(PHOTOS[0]), "RGB", fast=False))
    assert len(stock) == 1


def jpeg() -> Any:
    buffer = io.BytesIO()
    NOISE.save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", jpeg()[:30], jpeg()[: len(jpeg()) // 2], jpeg()[:2] + bytes(50)],
    ids=["empty", "text", "header", "half", "zeros"],
)
@pytest.mark.parametrize("fast", [True, False])
def test_a_broken_file_is_named_in_one_line(content: Any, fast: bool, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_image(str(path), "RGB", fast)
    message = str(caught.value)
    assert message.startswith(f"cannot decode image {path}: ") and "\n" not in message
    assert "robust-det inspect --decode" in message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        read_image(str(tmp_path / "gone.jpg"), "RGB")


def test_damage_in_the_middle_is_decoded_alike(tmp_path: Path) -> None:
    """Neither way notices all damage; what they make of it is the same."""
    content, outcomes = jpeg(), []
    rng = np.random.default_rng(1)
    for number in range(60):
        damaged = bytearray(content)
        for place in rng.integers(100, len(content), 3):
            damaged[place] = rng.integers(256)
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(damaged)
        try:
            theirs = STOCK(str(path), "RGB")
        except Exception:
            with pytest.raises(UserError, match=f"{number}.jpg"):
                read_image(str(path), "RGB")
            outcomes.append("error")
        else:
            np.testing.assert_array_equal(read_image(str(path), "RGB"), theirs)
            outcomes.append("image")
    assert outcomes.count("image") > 10
