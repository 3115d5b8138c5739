"""Two objects on each of three small images, as labelling tools lay them out."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from robust_det.data.detection.source import Reading, Source

__all__ = ["BOXES", "FILES", "NAMES", "SIZE", "coco", "content", "put", "read", "xml", "yolo"]

SIZE = (64, 48)
NAMES = ("cat", "dog")
FILES = ("a", "b", "c")
# on each image: class, left, top, right, bottom
BOXES = (("cat", 4, 4, 24, 20), ("dog", 34, 6, 58, 40))


def put(
    root: Path, *names: str, content: bytes | str | None = None, encoding: str = "utf-8"
) -> Path:
    """Write an image, or a file of that content, under each name; give the root."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            Image.new("RGB", SIZE, (90, 160, 40)).save(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return root


def xml(file: str = "a.png", difficult: str = "0", names: tuple[str, ...] = NAMES) -> str:
    """An annotation as LabelImg writes it."""
    things = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{left}</xmin>"
        f"<ymin>{top}</ymin><xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, (_, left, top, right, bottom) in zip(names, BOXES, strict=True)
    )
    return (
        f"<annotation><filename>{file}</filename><size><width>{SIZE[0]}</width>"
        f"<height>{SIZE[1]}</height><depth>3</depth></size>{things}</annotation>"
    )


def yolo() -> str:
    """Labels in parts of the image."""
    width, height = SIZE
    return "".join(
        f"{NAMES.index(name)} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f}"
        f" {(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
        for name, x0, y0, x1, y1 in BOXES
    )


def coco(name: Callable[[str], str] = "{}.png".format) -> dict[str, Any]:
    """A document; ``name`` makes the name of an image's file."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, file in enumerate(FILES, 1):
        image = {"id": number, "file_name": name(file), "width": SIZE[0], "height": SIZE[1]}
        images.append(image)
        for label, x0, y0, x1, y1 in BOXES:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": NAMES.index(label) + 1,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def read(source: Source, *notes: str) -> Reading:
    """Read what has no problems, and no notes but those that begin so, in any order."""
    reading = source.read("set")
    assert not reading.report.problems, reading.report.lines()
    found = sorted(finding.phrase() for finding in reading.report.notes)
    assert len(found) == len(notes), found
    for phrase, expected in zip(found, sorted(notes), strict=True):
        assert phrase.startswith(expected), (phrase, expected)
    return reading


def content(reading: Reading) -> dict[str, list[tuple[Any, ...]]]:
    """Images by the paths of the files that are read, and class and corners of what is on each."""
    names = {c["id"]: c["name"] for c in reading.categories}
    found: dict[str, list[tuple[Any, ...]]] = {}
    for image, objects, _ in reading.images:
        assert (image["width"], image["height"]) == SIZE
        assert Path(reading.image_root, image["file_name"]).is_file()
        found[image["file_name"]] = [
            (names[o["category_id"]], *(round(v, 3) for v in _corners(o["bbox"]))) for o in objects
        ]
    return found


def _corners(box: list[float]) -> Iterable[float]:
    x, y, width, height = box
    return x, y, x + width, y + height
