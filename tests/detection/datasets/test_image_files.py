"""What the checks say of images that are turned, deep, or no data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robust_det.core.errors import UserError
from robust_det.data.detection.checking.images import Depth, look
from robust_det.data.detection.checking.report import Report
from robust_det.detection.datasets import prepare_dataset
from robust_det.detection.datasets.registration import source_of
from robust_det.detection.mapping.decoding import read_image
from robust_det.detection.prediction.sources import Images, Unreadable

WIDTH, HEIGHT = 64, 48
BOXES = ((4, 4, 20, 16), (34, 6, 24, 34))
SHOWN = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture
def own(tmp_path: Path, register_entry: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that registers a COCO data set of image files; gives its name."""

    def make(*paths: Path, size: Any = (WIDTH, HEIGHT)) -> Any:
        document: Any = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
        for number, path in enumerate(paths, 1):
            width, height = size
            entry = {"id": number, "file_name": path.name, "width": width, "height": height}
            document["images"].append(entry)
            for box in BOXES:
                thing: Any = {"id": len(document["annotations"]) + 1, "image_id": number}
                thing |= {"category_id": 1, "bbox": list(box), "area": box[2] * box[3]}
                document["annotations"].append({**thing, "iscrowd": 0})
        (tmp_path / "a.json").write_text(json.dumps(document))
        return register_entry(JSON=tmp_path / "a.json", IMAGES=tmp_path)

    return make


def turned(path: Path, orientation: int = 6, **options: Any) -> Path:
    """Write an image that is shown as SHOWN, and lies in the file."""
    exif = Image.Exif()
    exif[274] = orientation
    lying = Image.fromarray(SHOWN).transpose(Image.Transpose.ROTATE_90)
    lying.save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("depth", [Depth.HEADERS, Depth.PIXELS])
@pytest.mark.parametrize("name", ["a.tif", "a.jpg", "a.png", "a.webp"])
def test_sizes_are_those_of_what_is_read(
    name: str, depth: Depth, own: Callable[..., Any], tmp_path: Path
) -> None:
    path = turned(tmp_path / name)
    report = Report("set")
    assert look([str(path)], "set", depth, report) == [(WIDTH, HEIGHT)]
    assert report.count("turned_image") == 1
    assert read_image(str(path), "RGB").shape == (HEIGHT, WIDTH, 3)
    assert prepare_dataset(own(path)).images == 1


def test_orientation_behind_the_pixels_of_a_png(tmp_path: Path) -> None:
    """exiftool writes there what a file had not."""
    content = turned(tmp_path / "a.png").read_bytes()
    at = content.index(b"eXIf") - 4
    length = 12 + int.from_bytes(content[at : at + 4], "big")
    chunk, rest = content[at : at + length], content[:at] + content[at + length :]
    end = rest.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(rest[:end] + chunk + rest[end:])
    assert read_image(str(tmp_path / "a.png"), "RGB").shape == (HEIGHT, WIDTH, 3)
    assert look([str(tmp_path / "a.png")], "set") == [(WIDTH, HEIGHT)]


def test_a_size_that_differs_by_a_turn_names_exif(own: Callable[..., Any], tmp_path: Path) -> None:
    name = own(turned(tmp_path / "a.jpg"), size=(HEIGHT, WIDTH))
    with pytest.raises(UserError, match="is 64 x 48, annotated as 48 x 64: the file's EXIF orient"):
        prepare_dataset(name)
    Image.fromarray(SHOWN).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="annotated as 48 x 64") as caught:
        prepare_dataset(own(tmp_path / "a.jpg", size=(HEIGHT, WIDTH)))
    assert "EXIF" not in str(caught.value)


def test_portrait_photographs_and_labelimg(voc: Path, register_entry: Callable[..., Any]) -> None:
    """It draws boxes on the photograph as it lies in the file, and writes that size."""
    first = sorted((voc / "JPEGImages").iterdir())[0]
    first.unlink()
    turned(first.with_suffix(".jpg"))
    xml = voc / "Annotations" / f"{first.stem}.xml"
    xml.write_text(
        xml.read_text()
        .replace("<width>96", f"<width>{HEIGHT}")
        .replace("<height>96", f"<height>{WIDTH}")
    )
    with pytest.raises(UserError, match="the file's EXIF orientation turns it"):
        prepare_dataset(register_entry(VOC=voc, SPLIT="test"))


def test_deep_images_are_counted_with_their_share(own: Callable[..., Any], tmp_path: Path) -> None:
    deep = Image.fromarray(SHOWN[..., 0].astype(np.uint16) * 257)
    for name in ("a.png", "b.tif"):
        deep.save(tmp_path / name)
    Image.fromarray(SHOWN).save(tmp_path / "c.png")
    name = own(*(tmp_path / one for one in ("a.png", "b.tif", "c.png")))
    lines = source_of(name).read(name).report.lines()
    words = "images of more than 8 bits a channel, scaled to 8 (66.7 % of all images)"
    assert lines[0] == f"note: 2 {words}"
    assert lines[1].strip() == f"{tmp_path / 'a.png'} has 16 bits"
    assert prepare_dataset(name).images == 3


def test_dark_images_and_pages_are_noted(tmp_path: Path) -> None:
    """Cameras of 10 or 12 bits write files of 16."""
    dark = Image.fromarray(np.full((9, 9), 1023, np.uint16))
    dark.save(tmp_path / "a.tif", save_all=True, append_images=[dark, dark])
    report = Report("set")
    assert look([str(tmp_path / "a.tif")], "set", Depth.PIXELS, report) == [(9, 9)]
    kinds = ("dark_image", "frames_image", "deep_image", "turned_image")
    assert [report.count(kind) for kind in kinds] == [1, 1, 1, 0]


def test_prediction_reads_the_same(tmp_path: Path) -> None:
    Image.fromarray(SHOWN[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
    Image.fromarray(SHOWN[..., 0].astype(np.int32)).save(tmp_path / "b.tif")
    turned(tmp_path / "c.tif")
    source = Images(tmp_path, ["a.png", "b.tif", "c.tif"])
    grey = np.stack([SHOWN[..., 0]] * 3, axis=2)
    np.testing.assert_array_equal(source.read(tmp_path / "a.png", "RGB"), grey)
    np.testing.assert_array_equal(source.read(tmp_path / "c.tif", "BGR"), SHOWN[..., ::-1])
    with pytest.raises(Unreadable, match="it has 32-bit integers, and nothing says which"):
        source.read(tmp_path / "b.tif", "RGB")


def test_images_of_unknown_range_are_refused(own: Callable[..., Any], tmp_path: Path) -> None:
    Image.fromarray(SHOWN[..., 0].astype(np.int32)).save(tmp_path / "a.tif")
    Image.fromarray(SHOWN[..., 0].astype(np.float32)).save(tmp_path / "b.tif")
    name = own(tmp_path / "a.tif", tmp_path / "b.tif")
    with pytest.raises(UserError, match=r"2 unreadable images .* it has 32-bit integers, and no"):
        prepare_dataset(name)
    Image.fromarray(SHOWN[..., 0].astype(np.float32) / 255).save(tmp_path / "b.tif")
    with pytest.raises(UserError, match="1 unreadable image "):
        prepare_dataset(own(tmp_path / "a.tif", tmp_path / "b.tif"))
    alone = own(tmp_path / "b.tif")
    assert prepare_dataset(alone).images == 1
    (note,) = source_of(alone).read(alone).report.notes
    assert note.examples == [f"{tmp_path / 'b.tif'} has 32 bits"]


@pytest.mark.parametrize("key", ["width", "height"])
def test_sizes_as_text(key: str, register: Callable[..., Any]) -> None:
    name = register(lambda d: d["images"][0].update({key: "96"}))
    with pytest.raises(UserError, match=f"has the {key} '96', which is text"):
        prepare_dataset(name)


def test_what_is_broken_behind_the_first_page_does_not_count(tmp_path: Path) -> None:
    page = Image.fromarray(SHOWN)
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(0)
        behind = image.tag_v2.next
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[behind : behind + 40] = b"\xff" * 40
    (tmp_path / "a.tif").write_bytes(content)
    for depth in (Depth.HEADERS, Depth.PIXELS):
        assert look([str(tmp_path / "a.tif")], "set", depth) == [(WIDTH, HEIGHT)]
    np.testing.assert_array_equal(read_image(str(tmp_path / "a.tif"), "RGB"), SHOWN)
