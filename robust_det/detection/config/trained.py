"""What follows from a trained detector: its model is the one that its file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode

from robust_det.core.config.reading import flatten
from robust_det.core.errors import UserError
from robust_det.detection.config.adopt import Origins, adopt
from robust_det.detection.roi_heads import RobustRes5ROIHeads
from robust_det.records.evaluation_keys import at_evaluation

__all__ = ["NOT_THE_MODEL", "adopt_model"]

# of MODEL: where it runs and how fast, and what weights and data say, which are asked for it
NOT_THE_MODEL = (
    "MODEL.BACKBONE.COMPILE",
    "MODEL.CHANNELS_LAST",
    "MODEL.DEVICE",
    "MODEL.FOLD_NORMS",
    "MODEL.INIT_DETECTOR",
    "MODEL.PIXEL_",
    "MODEL.TABLE_ROI_ALIGN",
    "MODEL.WEIGHTS",
)
# last parts of MODEL's keys that training alone looks at
_TRAINING = (
    "BATCH_SIZE_PER_IMAGE",
    "BBOX_REG_LOSS_TYPE",
    "BBOX_REG_LOSS_WEIGHT",
    "BOUNDARY_THRESH",
    "FED_LOSS_FREQ_WEIGHT_POWER",
    "FED_LOSS_NUM_CLASSES",
    "FOCAL_LOSS_ALPHA",
    "FOCAL_LOSS_GAMMA",
    "FREEZE_AT",
    "IGNORE_VALUE",
    "INSTANCE_LOSS_WEIGHT",
    "IOU_LABELS",
    "IOU_THRESHOLDS",
    "IOUS",
    "LOSS_WEIGHT",
    "MIN_KEYPOINTS_PER_IMAGE",
    "NORMALIZE_LOSS_BY_VISIBLE_KEYPOINTS",
    "POSITIVE_FRACTION",
    "PRIOR_PROB",
    "PROPOSAL_APPEND_GT",
    "SMOOTH_L1_BETA",
    "SMOOTH_L1_LOSS_BETA",
    "TRAIN_ON_PRED_BOXES",
    "USE_FED_LOSS",
)
_NORM = "MODEL.RESNETS.NORM"
# which are one for a trained detector
_ALIKE = ("BN", "FrozenBN", "SyncBN")
_CLASSES = "NUM_CLASSES"


def adopt_model(
    cfg: CfgNode,
    origins: Origins,
    trained: Mapping[str, Any],
    path: str,
    other: list[str] | None = None,
) -> None:
    """Take from the config that a detector was trained by what it computes; weights would fit
    other anchors, poolers or box weights as well, and give other figures.

    Args:
        cfg: to complete.
        origins: of its keys.
        trained: the config in the detector's file.
        path: of the file.
        other: takes the keys of which the config says otherwise, where it may.

    Raises:
        UserError: the config says otherwise.
    """
    known = flatten(cfg)
    for key, value in flatten(trained).items():
        leaf = key.rpartition(".")[2]
        skipped = key.startswith(NOT_THE_MODEL) or at_evaluation(key) or leaf.endswith("_TRAIN")
        if not key.startswith("MODEL.") or key not in known or skipped:
            continue
        if leaf in (*_TRAINING, _CLASSES) or (key == _NORM and {value, known[key]} <= {*_ALIKE}):
            continue
        if value == RobustRes5ROIHeads.__name__:
            value = "Res5ROIHeads"  # which the config may name, and becomes ours
        try:
            adopt(cfg, origins, key, value, path)
        except UserError:
            if other is None:
                raise
            other.append(key)
