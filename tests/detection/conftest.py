"""Detectors of every kind in a moment, as prediction and export meet them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.random_detectors import random_detector


@pytest.fixture
def detector_config(write_config: Callable[..., Path]) -> Callable[..., Path]:
    """Return a function that writes a detector into its OUTPUT_DIR, and the config that names it.

    With ``data``, the config has the data and the backbone, as for training; without, neither is
    to be found, as where somebody predicts."""

    def make(kind: str = "mask", data: bool = False) -> Path:
        config = random_detector(write_config, kind)
        if not data:
            raw = yaml.safe_load(config.read_text())
            raw["MODEL"]["WEIGHTS"] = "robust://no_such_backbone"
            raw["DATASETS"] = {"TRAIN": ["no_such_data"], "TEST": ["no_such_data"]}
            config.write_text(yaml.safe_dump(raw))
        return config

    return make
