"""The JSON Schemas of configs: they follow from the settings, and they know every config."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from robust_det.core.config.reading import flatten, load_raw
from robust_det.core.config.schema import KINDS, kind_of, read_schema
from robust_det.core.installation import CONFIGS, REPOSITORY, SCHEMAS

EDITOR = json.loads((REPOSITORY / ".vscode/settings.json").read_text())["yaml.schemas"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_files_are_what_the_settings_say(kind: str, command: Any) -> None:
    if kind == "detection" and metadata.version("detectron2") != "0.5":
        pytest.skip("the file follows Detectron2 0.5, whose keys are fewer")
    done = command("config", "schema", kind)
    # if not: robust-det config schema KIND > robust_det/schemas/KIND.json
    assert done.out == (SCHEMAS / f"{kind}.json").read_text()
    jsonschema.Draft7Validator.check_schema(read_schema(kind))


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_config_is_valid_and_an_editor_knows_its_schema(path: Path) -> None:
    kind = kind_of(flatten(load_raw(path)), path.name)
    jsonschema.validate(yaml.safe_load(path.read_text()), read_schema(kind))
    asked = [
        schema for schema, globs in EDITOR.items() if any(path in REPOSITORY.glob(g) for g in globs)
    ]
    assert asked == [f"robust_det/schemas/{kind}.json"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pretrain", "OPTIM: {LRR: 1}"),
        ("pretrain", "OPTIM: {SCHEDULE: cosin}"),
        ("pretrain", "OPTIM: {MOMENTUM: 1.0}"),
        ("pretrain", "OPTIM: {LR: 0}"),
        ("pretrain", "ATTACK: {EPS: 4 / x}"),
        ("pretrain", "MODEL: {ARCH: resnet_50}"),
        ("pretrain", "TRAIN: {EPOCHS: many}"),
        ("pretrain", "SOLVER: {BASE_LR: 1}"),
        ("detection", "SOLVER: {BASELR: 1}"),
        ("detection", "SOLVER: {MAX_ITER: 2.5}"),
        ("detection", "SOLVER: {PRECISION: fp8}"),
        ("detection", "MODEL: 3"),
        ("detection", "MODEL: {MASK_ON: 1}"),
        ("detection", "DATASETS: {TRAIN: coco_2017_train}"),
        ("detection", "DATASETS: {CUSTOM: [{NAME: a, JSON: b}]}"),
        ("detection", "DATASETS: {CUSTOM: [{NAME: a, JSON: b, IMAGES: c, CLASSES: [d]}]}"),
    ],
)
def test_mistakes_are_marked(kind: str, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), read_schema(kind))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pretrain", "ATTACK: {EPS: 4/255}"),
        ("pretrain", "OPTIM: {LR: 1e-3, WEIGHT_DECAY: 1}"),
        ("pretrain", "{_BASE_: [a.yaml, b.yaml], DATA: {CROP_SCALE: [1/2, 1]}}"),
        ("detection", "MODEL: {ANCHOR_GENERATOR: {SIZES: [[32], [40.5, 64]]}}"),
        ("detection", "DATASETS: {CUSTOM: [{NAME: a, YOLO: b, SPLIT: c, CLASSES: [d, 1]}]}"),
        (
            "detection",
            "DATASETS: {CUSTOM: [{NAME: a, PANOPTIC: b, SEGMENTS: c, IMAGES: d, JSON: e}]}",
        ),
    ],
)
def test_what_is_right_is_not(kind: str, text: str) -> None:
    jsonschema.validate(yaml.safe_load(text), read_schema(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_settings_have_words_and_defaults(kind: str) -> None:
    if kind == "pretrain":
        from robust_det.classification.settings import SETTINGS
    elif kind == "transfer":
        from robust_det.transfer.settings import SETTINGS
    else:
        from robust_det.detection.config.defaults import SETTINGS
    for key, setting in SETTINGS.items():
        node: Any = read_schema(kind)
        for part in key.split("."):
            node = node["properties"][part]
        assert (node["description"], node["default"]) == (setting.words, setting.default)
