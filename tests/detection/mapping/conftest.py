"""Training images of the scenes with the mapper that a config asks for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from detectron2.data import DatasetCatalog
from pycocotools import mask as mask_util

from robust_det.core.seeding import seeded
from robust_det.detection.config import load_config
from robust_det.detection.datasets import register_custom
from robust_det.detection.finetuning.training_data import training_images
from robust_det.detection.mapping.mapper import build_mapper

JITTER = {"ENABLED": True, "SIZE": 80, "MIN_SCALE": 0.3, "MAX_SCALE": 2.0}


@pytest.fixture
def jitter() -> Any:
    return dict(JITTER)


@pytest.fixture
def load(write_config: Callable[..., Path]) -> Callable[..., Any]:
    """Return a function that gives a config with other INPUT and MODEL keys, and its images."""

    def make(overrides: Any = (), **keys: Any) -> Any:
        cfg, _ = load_config(str(write_config(INPUT={"MASK_FORMAT": "bitmask", **keys})), overrides)
        return cfg, list(training_images(cfg))

    return make


@pytest.fixture
def draw(load: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that maps images under seeds 0, 1, ..., twice through the data."""

    def make(overrides: Any = (), **keys: Any) -> Any:
        cfg, images = load(overrides, **keys)
        mapper = build_mapper(cfg, images)
        results = []
        for seed, image in enumerate([*images, *images]):
            with seeded(seed):
                results.append(mapper(image))
        return results

    return make


@pytest.fixture
def run_lengths(tmp_path: Path, scenes: Path) -> Iterator[Any]:
    """The name of a data set: the training scenes with run-length masks, every third a crowd."""
    document = json.loads((scenes / "annotations/instances_train.json").read_text())
    for number, a in enumerate(document["annotations"]):
        encoded = mask_util.merge(mask_util.frPyObjects(a["segmentation"], 96, 96))
        a["segmentation"] = {"size": encoded["size"], "counts": encoded["counts"].decode()}
        a["iscrowd"] = int(number % 3 == 2)
    path = tmp_path / "run_lengths.json"
    path.write_text(json.dumps(document))
    name = f"run_lengths_{tmp_path.name}"
    register_custom([{"NAME": name, "JSON": str(path), "IMAGES": str(scenes / "train")}])
    yield name
    DatasetCatalog.remove(name)
