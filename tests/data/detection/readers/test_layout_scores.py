"""However an exporter writes a data set, what equals the truth scores 100 with pycocotools."""

import contextlib
import io
import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from robust_det.data.detection.readers.coco_json import CocoSource
from robust_det.data.detection.readers.voc_folder import VocSource
from robust_det.data.detection.readers.yolo_folder import YoloSource
from robust_det.data.detection.source import Source
from tests.support.exports import SIZE, put

NAMES = ["Bär", "dog", "no"]
# by the name of an image: class, left, top, width, height of each object
Truth = dict[str, list[tuple[str, int, int, int, int]]]
SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    lambda name: unicodedata.normalize("NFD", name),
]


def truth_of(rng: random.Random) -> Truth:
    truth: Truth = {}
    for number in range(4):
        boxes = {
            (rng.randrange(40), rng.randrange(30), rng.randrange(4, 20), rng.randrange(4, 15))
            for _ in range(rng.randrange(1, 5))
        }
        truth[f"bild ä{number}"] = [(rng.choice(NAMES), *box) for box in sorted(boxes)]
    # each class is somewhere, so that all ways to list them agree
    truth["bild ä0"] += [(name, 1, 1, 30, 30) for name in NAMES]
    return truth


def junk(root: Path, folder: str) -> None:
    for name in ("._x.png", ".ipynb_checkpoints/x.png", "__MACOSX/x.xml", "._x.txt"):
        put(root, f"{folder}/{name}", content=b"\0\5\x16\7")


def voc(root: Path, truth: Truth, rng: random.Random) -> Source:
    images, xmls = rng.choice(
        [("JPEGImages", "Annotations"), ("train", "train"), ("images", "annotations"), ("a", "b/c")]
    )
    encoding = rng.choice(["utf-8", "utf-16", "gb18030", "windows-1252"])
    no = rng.choice(["0", "0.0", "False", "Unspecified", ""])
    spell = rng.choice(SPELLINGS)
    for file, things in truth.items():
        put(root, f"{images}/{spell(file)}.png")
        objects = "".join(
            f"<object><name>{name}</name><difficult>{no}</difficult><bndbox><xmax>{x + w}</xmax>"
            f"<xmin>{x}</xmin><ymin>{y}</ymin><ymax>{y + h}</ymax></bndbox></object>"
            for name, x, y, w, h in rng.sample(things, len(things))
        )
        text = f'<?xml version="1.0" encoding="{encoding}"?><annotation>{objects}</annotation>'
        put(root, f"{xmls}/{file}.xml", content=text, encoding=encoding)
    junk(root, xmls)
    if rng.random() < 0.6:
        end = rng.choice(["", ".png", ".jpg 1", " -1"])
        before = rng.choice(["", "./", f"C:\\sets\\{images}\\", f"/home/x/{images}/"])
        lines = [f"{before}{spell(file)}{end}" for file in rng.sample(list(truth), len(truth))]
        content = "\r\n".join(lines)
        put(
            root,
            "ImageSets/Main/train.txt",
            content=content,
            encoding=rng.choice(["utf-8", "utf-16"]),
        )
    return VocSource(str(root), "train", origin=0)


def yolo(root: Path, truth: Truth, rng: random.Random) -> Source:
    names = rng.sample(NAMES, len(NAMES))
    images, labels = rng.choice(
        [("images/train", "labels/train"), ("train/images", "train/labels"), ("train", "train")]
    )
    spell = rng.choice(SPELLINGS)
    width, height = SIZE
    for file, things in truth.items():
        put(root, f"{images}/{file}.png")
        lines = "\r\n".join(
            f"{names.index(name)} {(x + w / 2) / width:.6f} {(y + h / 2) / height:.6f}"
            f" {w / width:.6f} {h / height:.6f}"
            for name, x, y, w, h in rng.sample(things, len(things))
        )
        put(
            root,
            f"{labels}/{spell(file)}.txt",
            content=lines,
            encoding=rng.choice(["utf-8", "utf-16"]),
        )
    junk(root, images)
    listed = "\n".join(f"data\\{images}\\{spell(file)}.png" for file in truth)
    put(root, "list.txt", content=listed)
    described = "\n".join(f"  '{number}': {name}" for number, name in enumerate(names))
    files = [
        ("data.yaml", f"train: {images}\nnames:\n{described}\n"),
        ("data.yaml", f"train: list.txt\nnames: [{', '.join(names)}]\n"),
        ("classes.txt", "\r\n".join(names)),
        ("obj.data", "train = data/list.txt\nnames = data/my.names\nclasses = 3"),
    ]
    put(root, "my.names", content="\n".join(names))
    name, content = rng.choice(files)
    put(root, name, content=content, encoding=rng.choice(["utf-8", "utf-8-sig", "utf-16"]))
    return YoloSource(str(root), "train")


def coco(root: Path, truth: Truth, rng: random.Random) -> Source:
    numbers = rng.sample(range(1, 10**9), 100)
    ids = {name: numbers.pop() for name in NAMES}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    spell, before = rng.choice(SPELLINGS), rng.choice(["images\\", "images/", "./", ""])
    for file, things in truth.items():
        put(root, f"images/{file}.png")
        name = f"{before}{spell(file)}.{rng.choice(['png', 'PNG'])}"
        image = {"id": numbers.pop(), "file_name": name, "width": SIZE[0], "height": SIZE[1]}
        images.append(image)
        annotations += [
            {
                "id": numbers.pop(),
                "image_id": image["id"],
                "category_id": ids[name],
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": rng.choice([0, "0", "false"]),
            }
            for name, *box in things
        ]
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    categories.append({"id": numbers.pop(), "name": "dog", "supercategory": "none"})
    for entries in (images, annotations, categories):
        rng.shuffle(entries)
    document = {"images": images, "annotations": annotations, "categories": categories}
    put(root, "own.json", content=json.dumps(document))
    return CocoSource(str(root / "own.json"), str(root / "images"))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("export", [voc, yolo, coco])
def test_what_equals_the_truth_scores_100(
    export: Callable[[Path, Truth, random.Random], Source], seed: int, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    truth = truth_of(rng)
    reading = export(tmp_path, truth, rng).read("set")
    assert not reading.report.problems, reading.report.lines()
    classes = {c["name"]: c["id"] for c in reading.categories}
    assert sorted(classes) == sorted(NAMES)
    images: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number, (image, things, _) in enumerate(reading.images, 1):
        images.append({**image, "id": number})
        for thing in things:
            objects.append({**thing, "id": len(objects) + 1, "image_id": number})
        stem = unicodedata.normalize("NFC", Path(image["file_name"]).stem).lower()
        found += [
            {"image_id": number, "category_id": classes[name], "bbox": box, "score": 0.9}
            for name, *box in truth.pop(stem)
        ]
    assert not truth
    with contextlib.redirect_stdout(io.StringIO()):
        own = COCO()
        own.dataset = {"images": images, "annotations": objects, "categories": reading.categories}
        own.createIndex()
        evaluation = COCOeval(own, own.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1, abs=1e-9)
    assert evaluation.stats[8] == pytest.approx(1, abs=1e-9)  # nothing is left unfound
