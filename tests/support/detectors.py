"""A detector that trains in a second: its config, on real image files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import ROOT


def tiny_detector(
    path: Path, scenes: Path, backbone: Path, name: str = "scenes", **sections: Any
) -> Path:
    """Write the config of a tiny Mask R-CNN that trains for 6 iterations into ``run`` beside it.

    Args:
        path: the config.
        scenes: the folder of :func:`robust_det.data.synthetic.write_coco`.
        backbone: a converted file.
        name: its data sets are ``NAME_train`` and ``NAME_val``.
        sections: ``SECTION={KEY: value}`` comes on top of what is below; any other value replaces
            the section.

    Returns:
        ``path``.
    """
    entries = [
        {
            "NAME": f"{name}_{part}",
            "JSON": str(scenes / f"annotations/instances_{part}.json"),
            "IMAGES": str(scenes / part),
        }
        for part in ("train", "val")
    ]
    raw: dict[str, Any] = {
        "_BASE_": str(ROOT / "configs/detection/base_small.yaml"),
        "OUTPUT_DIR": str(path.parent / "run"),
        "MODEL": {
            "WEIGHTS": str(backbone),
            "MASK_ON": True,
            "FPN": {"OUT_CHANNELS": 32},
            "ROI_BOX_HEAD": {"FC_DIM": 64},
            "ROI_MASK_HEAD": {"NUM_CONV": 1, "CONV_DIM": 16},
        },
        "DATASETS": {"CUSTOM": entries, "TRAIN": [f"{name}_train"], "TEST": [f"{name}_val"]},
        "INPUT": {
            "MIN_SIZE_TRAIN": [96],
            "MAX_SIZE_TRAIN": 96,
            "MIN_SIZE_TEST": 96,
            "MAX_SIZE_TEST": 96,
        },
        "DATALOADER": {"NUM_WORKERS": 0},
        "SOLVER": {"MAX_ITER": 6, "STEPS": [5], "IMS_PER_BATCH": 2, "CHECKPOINT_PERIOD": 2},
        "TEST": {"PICTURES": 2, "DETECTIONS_PER_IMAGE": 20},
    }
    for section, values in sections.items():
        given = isinstance(values, Mapping)
        raw[section] = {**raw.get(section, {}), **values} if given else values
    path.write_text(yaml.safe_dump(raw))
    return path
