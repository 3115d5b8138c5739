"""``robust-det config show``: every key, its value, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from robust_det.classification import settings
from robust_det.core.config.reading import flatten, to_dict
from robust_det.detection.config import load_config


def origins_in(text: str) -> dict[str, str]:
    """The origin of each key, by its dotted name."""
    found: dict[str, str] = {}
    parents: list[str] = []
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        key, _, rest = line.strip().partition(":")
        parents = [*parents[: (len(line) - len(line.lstrip())) // 2], key]
        if rest:
            found[".".join(parents)] = rest.rpartition(" # ")[2]
    return found


def same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return flatten(to_dict(a)) == flatten(to_dict(b))


def test_pretraining(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.yaml"
    mine.write_text("_BASE_: tiny_resnet18_l2_eps1.yaml\nATTACK: {EPS: 4/255, NORM: linf}\n")
    done = command("config", "show", "mine.yaml", "OPTIM.LR", "0.3", "SEED", "7")
    assert done.code == 0 and not done.err
    overrides = ["OPTIM.LR", "0.3", "SEED", "7"]
    assert same(yaml.safe_load(done.out), settings.load_config(str(mine), overrides))
    origins = origins_in(done.out)
    assert origins.keys() == settings.SETTINGS.keys()
    for key, origin in {
        "SEED": "command line",
        "OPTIM.LR": "command line",
        "ATTACK.EPS": "mine.yaml",
        "OUTPUT_DIR": "tiny_resnet18_l2_eps1.yaml",
        "MODEL.ARCH": "base_tiny_imagenet.yaml",
        "EVAL.STEPS": "default",
    }.items():
        assert origins[key] == origin


def test_detection_with_weights_and_data(command: Any, write_config: Any) -> None:
    path = write_config(SOLVER={"REFERENCE_BATCH": 4, "IMS_PER_BATCH": 2, "BASE_LR": 0.02})
    done = command("config", "show", path, "SOLVER.MAX_ITER", "9")
    assert done.code == 0 and "#" not in done.out[:1]
    cfg, card = load_config(str(path), ["SOLVER.MAX_ITER", "9"])
    assert card is not None and same(yaml.safe_load(done.out), cfg)
    origins = origins_in(done.out)
    assert origins.keys() == flatten(cfg).keys()
    weights = cfg.MODEL.WEIGHTS
    for key, origin in {
        "SOLVER.MAX_ITER": "command line",
        "MODEL.MASK_ON": str(path),
        "MODEL.BACKBONE.NAME": "base_rcnn_fpn.yaml",
        "SOLVER.WARMUP_ITERS": "base_small.yaml",
        "MODEL.BACKBONE.ARCH": weights,
        "MODEL.PIXEL_MEAN": weights,
        "INPUT.FORMAT": weights,
        "MODEL.RESNETS.DEPTH": "resnet10_narrow",
        "MODEL.ROI_HEADS.NUM_CLASSES": "data set 'scenes_train'",
        "MODEL.DEVICE": "this machine",
        "SOLVER.BASE_LR": "scaled to a batch of 2",
        "SOLVER.MOMENTUM": "default",
    }.items():
        assert origins[key] == origin, key


def test_without_weights_and_data_it_says_so(command: Any, write_config: Any) -> None:
    path = write_config(MODEL={"WEIGHTS": "robust://resnet50_l2_eps3"})
    missing = [{"NAME": "gone_train", "JSON": "/nowhere.json", "IMAGES": "/nowhere"}]
    done = command("config", "show", path, "DATASETS.CUSTOM", missing, "DATASETS.TRAIN",
                   "['gone_train']")  # fmt: skip
    assert done.code == 0
    weights, data, *_ = done.out.splitlines()
    assert weights == (
        "# MODEL.WEIGHTS robust://resnet50_l2_eps3 is not here, and what it says is left out"
    )
    assert data.startswith("# what follows from the data is left out: ") and "nowhere" in data
    origins = origins_in(done.out)
    assert origins["MODEL.PIXEL_MEAN"] == origins["MODEL.ROI_HEADS.NUM_CLASSES"] == "default"
    assert origins["MODEL.MASK_ON"] == str(path)
    done = command("config", "show", "coco_faster_rcnn_fpn_1x.yaml")
    assert done.out.startswith("# MODEL.WEIGHTS is not set, and what follows from it is left out\n")


def test_mistakes_are_one_line(command: Any, write_config: Any, tmp_path: Path) -> None:
    path = write_config(INPUT={"FORMAT": "BGR"})
    done = command("config", "show", path)
    assert done.code == 2 and not done.out
    assert done.err.startswith("error: INPUT.FORMAT is BGR in the config, but ")
    done = command("config", "show", "base_small.yaml", "SOLVER.BASELR", "1")
    assert done.code == 2 and "did you mean 'SOLVER.BASE_LR'?" in done.err
    empty = tmp_path / "empty.yaml"
    empty.write_text("SEED: 3\n")
    done = command("config", "show", empty)
    assert done.code == 2 and done.err.count("\n") == 1
    assert "sets nothing that tells whether it is of pretraining" in done.err
