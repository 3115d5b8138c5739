"""Whatever is in the files, the checks end in a sound data set or in one line."""

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from robust_det.core.errors import UserError
from robust_det.detection.datasets import prepare_dataset

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1,
    10**30,
    0.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    [1],
    {},
    [[]],
)


def spoil(document: Any, rng: Any, times: Any) -> None:
    """Replace or remove values anywhere in the images, annotations and categories."""
    for _ in range(times):
        node = document
        key = rng.choice(["images", "annotations", "annotations", "annotations", "categories"])
        while isinstance(node[key], (dict, list)) and node[key] and rng.random() < 0.8:
            node = node[key]
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if node is document:
            continue
        if isinstance(node, dict) and rng.random() < 0.2:
            del node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(VALUES))


@pytest.mark.parametrize("seed", range(60))
def test_spoilt_documents(seed: Any, register: Callable[..., Any]) -> None:
    rng = random.Random(seed)
    name = register(lambda d: spoil(d, rng, times=rng.choice([1, 2, 5, 20])))
    try:
        prepare_dataset(name)
    except UserError as error:
        assert "\n" not in str(error) and f"'{name}'" in str(error)
    try:
        facts = prepare_dataset(name, lenient=True)
    except UserError as error:
        assert "\n" not in str(error) and f"'{name}'" in str(error)
        return
    document = json.loads(Path(MetadataCatalog.get(name).json_file).read_text())
    dicts = DatasetCatalog.get(name)
    assert len(dicts) == facts.images == len(document["images"])
    assert sum(len(r["annotations"]) for r in dicts) == facts.annotations


def corrupt(path: Any, rng: Any) -> None:
    """Change, remove and insert bytes."""
    data = bytearray(path.read_bytes())
    if not data:
        return
    for _ in range(rng.choice([1, 3, 10])):
        at = rng.randrange(len(data))
        what = rng.random()
        if what < 0.4:
            data[at] = rng.randrange(256)
        elif what < 0.7:
            del data[at : at + rng.randrange(1, 30)]
        else:
            data[at:at] = rng.choice(
                [b"nan", b"-", b"1e999", b"<", b"\xff", b"0 ", b"\n", b"9" * 400]
            )
        if not data:
            break
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("form", ["voc", "yolo"])
def test_spoilt_folders(
    seed: Any, form: str, voc: Path, yolo: Path, register_entry: Callable[..., Any]
) -> None:
    rng = random.Random(seed)
    root = voc if form == "voc" else yolo
    files = [
        path
        for path in sorted(root.rglob("*"))  # the same under each seed
        if path.is_file() and (rng.random() < 0.3 or path.suffix != ".png")
    ]
    for path in files:
        if rng.random() < 0.4:
            corrupt(path, rng)
    entry = dict(VOC=voc, SPLIT="test") if form == "voc" else dict(YOLO=yolo, SPLIT="val")
    name = register_entry(**entry)
    for lenient in (False, True):
        try:
            facts = prepare_dataset(name, lenient)
        except UserError as error:
            assert "\n" not in str(error) and f"'{name}'" in str(error)
        else:
            assert len(DatasetCatalog.get(name)) == facts.images
