"""The configs that come with the project: small, in step with their generator, and buildable."""

import importlib.util
from typing import Any

import pytest
import torch
from detectron2.modeling import build_model

from robust_det.core.config.reading import find_config, flatten, load_raw, merge_config
from robust_det.detection.config import detection_defaults
from robust_det.zoo.published import find_model
from tests.support import ROOT

CONFIGS = ROOT / "configs/detection"
RECIPES = [p for p in sorted(CONFIGS.glob("*.yaml")) if not p.name.startswith("base_")]


def generator() -> Any:
    spec = importlib.util.spec_from_file_location("make_configs", ROOT / "tools/make_configs.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_grid_is_what_the_generator_writes() -> None:
    written = {path.name: path.read_text() for path in (CONFIGS / "grid").glob("*.yaml")}
    assert written == generator().grid()
    assert len(written) == 30


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda p: p.stem)
def test_thin_files(path: Any) -> None:
    lines = path.read_text().splitlines()
    assert path.name.startswith("base_") or len(lines) <= 15
    raw = flatten(load_raw(path))
    if not path.name.startswith("base_"):
        # found by its name, and writes where its name and its backbone say
        assert find_config(path.name) == path
        assert "OUTPUT_DIR" not in raw


@pytest.mark.parametrize("path", sorted((CONFIGS / "grid").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_grid_names_published_models(path: Any) -> None:
    name = load_raw(path)["MODEL"]["WEIGHTS"].removeprefix("robust://")
    assert find_model(name).arch == "resnet50"
    assert f"eps{path.stem.split('_')[2].removeprefix('eps')}" in name


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_builds_a_detector(path: Any) -> None:
    raw = load_raw(path)
    raw.pop("VERSION", None)
    cfg = detection_defaults()
    merge_config(cfg, raw)
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.BACKBONE.ARCH = "resnet10_narrow"
    model = build_model(cfg)
    parts = {name.partition(".")[0] for name, _ in model.named_children()}
    assert "backbone" in parts
    without = cfg.MODEL.META_ARCHITECTURE in ("RetinaNet", "SemanticSegmentor")
    assert hasattr(model, "roi_heads") != without
    assert hasattr(model, "sem_seg_head") == ("semantic" in path.stem or "panoptic" in path.stem)
    if "mask" in path.stem or "panoptic" in path.stem:
        assert any("mask_head" in name for name, _ in model.named_parameters())
    if "cascade" in path.stem:
        assert len(model.roi_heads.box_head) == 3
    if path.stem == "voc_faster_rcnn_c4":
        assert isinstance(model.roi_heads.res5.norm, torch.nn.SyncBatchNorm)
        assert all(p.requires_grad for p in model.backbone.parameters())
