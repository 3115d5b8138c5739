"""The validation scenes in other forms, and functions that register entries under fresh names."""

import copy
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import yaml

from robust_det.detection.datasets import register_custom

NUMBER = itertools.count()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that COCO JSON goes to when it is made."""
    monkeypatch.setenv("ROBUST_DET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/datasets"


@pytest.fixture
def register_entry() -> Callable[..., Any]:
    """Return a function that registers an entry without a name; gives the name."""

    def make(**entry: Any) -> Any:
        name = f"own_{next(NUMBER)}"
        plain = {k: str(v) if isinstance(v, Path) else v for k, v in entry.items()}
        register_custom([{"NAME": name, **plain}])
        return name

    return make


@pytest.fixture
def register(
    tmp_path: Path, scenes: Path, document: dict[str, Any], register_entry: Callable[..., Any]
) -> Callable[..., Any]:
    """Return a function that registers a changed copy of the validation scenes; gives its name."""

    def make(change: Any = None, images: Any = None) -> Any:
        changed = copy.deepcopy(document)
        if change is not None:
            change(changed)
        path = tmp_path / f"changed_{next(NUMBER)}.json"
        path.write_text(json.dumps(changed))
        return register_entry(JSON=path, IMAGES=images or scenes / "val")

    return make


def _xml(image: Any, objects: Any, names: Any) -> str:
    things = "".join(
        f"<object><name>{escape(names[a['category_id']])}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{a['bbox'][0] + 1:.0f}</xmin><ymin>{a['bbox'][1] + 1:.0f}</ymin>"
        f"<xmax>{a['bbox'][0] + a['bbox'][2]:.0f}</xmax>"
        f"<ymax>{a['bbox'][1] + a['bbox'][3]:.0f}</ymax></bndbox></object>"
        for a in objects
    )
    return (
        f"<annotation><filename>{image['file_name']}</filename><size><width>{image['width']}</width>"
        f"<height>{image['height']}</height><depth>3</depth></size>{things}</annotation>"
    )


@pytest.fixture
def voc(tmp_path: Path, scenes: Path, document: dict[str, Any]) -> Path:
    """A VOC folder of the validation scenes: ``test`` has all six, ``train`` the first two."""
    root = tmp_path / "voc"
    shutil.copytree(scenes / "val", root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "ImageSets/Main").mkdir(parents=True)
    names = {c["id"]: c["name"] for c in document["categories"]}
    for image in document["images"]:
        objects = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        path = root / "Annotations" / f"{Path(image['file_name']).stem}.xml"
        path.write_text(_xml(image, objects, names))
    stems = [Path(image["file_name"]).stem for image in document["images"]]
    (root / "ImageSets/Main/test.txt").write_text("\n".join(stems) + "\n")
    (root / "ImageSets/Main/train.txt").write_text("\n".join(stems[:2]) + "\n")
    return root


@pytest.fixture
def yolo(tmp_path: Path, scenes: Path, document: dict[str, Any]) -> Path:
    """A YOLO folder of the validation scenes with boxes: ``images/val``, ``labels/val``."""
    root = tmp_path / "yolo"
    shutil.copytree(scenes / "val", root / "images/val")
    (root / "labels/val").mkdir(parents=True)
    ids = [c["id"] for c in document["categories"]]
    for image in document["images"]:
        lines = []
        for a in document["annotations"]:
            if a["image_id"] == image["id"]:
                x, y, w, h = (value / 96 for value in a["bbox"])
                label = ids.index(a["category_id"])
                lines.append(f"{label} {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}")
        path = root / "labels/val" / f"{Path(image['file_name']).stem}.txt"
        path.write_text("\n".join(lines))
    names = {number: c["name"] for number, c in enumerate(document["categories"])}
    content = {"path": str(root), "train": "images/val", "val": "images/val", "names": names}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root
