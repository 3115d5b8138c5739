"""Which of Detectron2's keys have an effect here: all others are refused when they are set.

Detectron2's scripts and its default trainer act on some that this project's do not, and a later
version may have more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detectron2.config import CfgNode, get_cfg

from robust_det.core.config.reading import COMMAND_LINE, flatten, to_dict
from robust_det.core.errors import UserError, did_you_mean
from robust_det.detection.config.adopt import Origins
from robust_det.detection.config.defaults import SETTINGS, detection_defaults
from robust_det.detection.tasks import finds_stuff

__all__ = ["HONOURED", "REFUSED", "WHERE_AND_HOW_FAST", "check_keys", "check_switches"]

# keys that change where or how fast a run or an evaluation goes, but not what comes out
WHERE_AND_HOW_FAST = (
    "OUTPUT_DIR",
    "MODEL.DEVICE",
    "INPUT.FAST_JPEG",
    "DATALOADER.NUM_WORKERS",
)

_PROPOSALS = "proposals are the detector's own: MODEL.PROPOSAL_GENERATOR makes them"
_NO_DEFORMATION = "weights are those of plain convolutions"
_FED_LOSS = "it needs counts of images that data sets here do not have"

# without effect, each with what there is instead
REFUSED = {
    "DATALOADER.RANDOM_SUBSET_RATIO": "robust-det split makes parts of a data set",
    "DATALOADER.REPEAT_SQRT": "repeat factors are square roots",
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TEST": _PROPOSALS,
    "DATASETS.PRECOMPUTED_PROPOSAL_TOPK_TRAIN": _PROPOSALS,
    "DATASETS.PROPOSAL_FILES_TEST": _PROPOSALS,
    "DATASETS.PROPOSAL_FILES_TRAIN": _PROPOSALS,
    "FLOAT32_PRECISION": "SOLVER.PRECISION says in what training computes",
    "GLOBAL.HACK": "nothing reads it",
    "MODEL.LOAD_PROPOSALS": _PROPOSALS,
    "MODEL.PANOPTIC_FPN.COMBINE.ENABLED": "results are always combined",
    "MODEL.RESNETS.DEFORM_MODULATED": _NO_DEFORMATION,
    "MODEL.RESNETS.DEFORM_NUM_GROUPS": _NO_DEFORMATION,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_FREQ_WEIGHT_POWER": _FED_LOSS,
    "MODEL.ROI_BOX_HEAD.FED_LOSS_NUM_CLASSES": _FED_LOSS,
    "MODEL.ROI_BOX_HEAD.USE_FED_LOSS": _FED_LOSS,
    "SOLVER.AMP.ENABLED": "it is SOLVER.PRECISION here; set that to fp16 or bf16",
    "TEST.EXPECTED_RESULTS": "the record has the results, and robust-det compare tells runs apart",
}

# with the effect that Detectron2 documents, or one that SETTINGS does; by their sections
_HONOURED = {
    "": "CUDNN_BENCHMARK OUTPUT_DIR SEED VERSION VIS_PERIOD",
    "DATALOADER": "ASPECT_RATIO_GROUPING FILTER_EMPTY_ANNOTATIONS NUM_WORKERS REPEAT_THRESHOLD"
    " SAMPLER_TRAIN",
    "DATASETS": "TEST TRAIN",
    "INPUT": "CROP.ENABLED CROP.SIZE CROP.TYPE FORMAT MASK_FORMAT MAX_SIZE_TEST MAX_SIZE_TRAIN"
    " MIN_SIZE_TEST MIN_SIZE_TRAIN MIN_SIZE_TRAIN_SAMPLING RANDOM_FLIP",
    "MODEL": "BACKBONE.FREEZE_AT BACKBONE.NAME DEVICE KEYPOINT_ON MASK_ON META_ARCHITECTURE"
    " PIXEL_MEAN PIXEL_STD PROPOSAL_GENERATOR.MIN_SIZE PROPOSAL_GENERATOR.NAME WEIGHTS",
    "MODEL.ANCHOR_GENERATOR": "ANGLES ASPECT_RATIOS NAME OFFSET SIZES",
    "MODEL.FPN": "FUSE_TYPE IN_FEATURES NORM OUT_CHANNELS",
    "MODEL.PANOPTIC_FPN": "COMBINE.INSTANCES_CONFIDENCE_THRESH COMBINE.OVERLAP_THRESH"
    " COMBINE.STUFF_AREA_LIMIT INSTANCE_LOSS_WEIGHT",
    # those that follow from the architecture are refused where they contradict it
    "MODEL.RESNETS": "DEFORM_ON_PER_STAGE DEPTH NORM NUM_GROUPS OUT_FEATURES RES2_OUT_CHANNELS"
    " RES5_DILATION STEM_OUT_CHANNELS STRIDE_IN_1X1 WIDTH_PER_GROUP",
    "MODEL.RETINANET": "BBOX_REG_LOSS_TYPE BBOX_REG_WEIGHTS FOCAL_LOSS_ALPHA FOCAL_LOSS_GAMMA"
    " IN_FEATURES IOU_LABELS IOU_THRESHOLDS NMS_THRESH_TEST NORM NUM_CLASSES NUM_CONVS PRIOR_PROB"
    " SCORE_THRESH_TEST SMOOTH_L1_LOSS_BETA TOPK_CANDIDATES_TEST",
    "MODEL.ROI_BOX_CASCADE_HEAD": "BBOX_REG_WEIGHTS IOUS",
    "MODEL.ROI_BOX_HEAD": "BBOX_REG_LOSS_TYPE BBOX_REG_LOSS_WEIGHT BBOX_REG_WEIGHTS"
    " CLS_AGNOSTIC_BBOX_REG CONV_DIM FC_DIM NAME NORM NUM_CONV NUM_FC POOLER_RESOLUTION"
    " POOLER_SAMPLING_RATIO POOLER_TYPE SMOOTH_L1_BETA TRAIN_ON_PRED_BOXES USE_SIGMOID_CE",
    "MODEL.ROI_HEADS": "BATCH_SIZE_PER_IMAGE IN_FEATURES IOU_LABELS IOU_THRESHOLDS NAME"
    " NMS_THRESH_TEST NUM_CLASSES POSITIVE_FRACTION PROPOSAL_APPEND_GT SCORE_THRESH_TEST",
    "MODEL.ROI_KEYPOINT_HEAD": "CONV_DIMS LOSS_WEIGHT MIN_KEYPOINTS_PER_IMAGE NAME"
    " NORMALIZE_LOSS_BY_VISIBLE_KEYPOINTS NUM_KEYPOINTS POOLER_RESOLUTION POOLER_SAMPLING_RATIO"
    " POOLER_TYPE",
    "MODEL.ROI_MASK_HEAD": "CLS_AGNOSTIC_MASK CONV_DIM NAME NORM NUM_CONV POOLER_RESOLUTION"
    " POOLER_SAMPLING_RATIO POOLER_TYPE",
    "MODEL.RPN": "BATCH_SIZE_PER_IMAGE BBOX_REG_LOSS_TYPE BBOX_REG_LOSS_WEIGHT BBOX_REG_WEIGHTS"
    " BOUNDARY_THRESH CONV_DIMS HEAD_NAME IN_FEATURES IOU_LABELS IOU_THRESHOLDS LOSS_WEIGHT"
    " NMS_THRESH POSITIVE_FRACTION POST_NMS_TOPK_TEST POST_NMS_TOPK_TRAIN PRE_NMS_TOPK_TEST"
    " PRE_NMS_TOPK_TRAIN SMOOTH_L1_BETA",
    "MODEL.SEM_SEG_HEAD": "COMMON_STRIDE CONVS_DIM IGNORE_VALUE IN_FEATURES LOSS_WEIGHT NAME NORM"
    " NUM_CLASSES",
    "SOLVER": "BASE_LR BASE_LR_END BIAS_LR_FACTOR CHECKPOINT_PERIOD CLIP_GRADIENTS.CLIP_TYPE"
    " CLIP_GRADIENTS.CLIP_VALUE CLIP_GRADIENTS.ENABLED CLIP_GRADIENTS.NORM_TYPE GAMMA IMS_PER_BATCH"
    " LR_SCHEDULER_NAME MAX_ITER MOMENTUM NESTEROV NUM_DECAYS REFERENCE_WORLD_SIZE"
    " RESCALE_INTERVAL STEPS WARMUP_FACTOR WARMUP_ITERS WARMUP_METHOD WEIGHT_DECAY"
    " WEIGHT_DECAY_BIAS WEIGHT_DECAY_NORM",
    "TEST": "AUG.ENABLED AUG.FLIP AUG.MAX_SIZE AUG.MIN_SIZES DETECTIONS_PER_IMAGE EVAL_PERIOD"
    " KEYPOINT_OKS_SIGMAS PRECISE_BN.ENABLED PRECISE_BN.NUM_ITER",
}
HONOURED = frozenset(
    f"{section}.{leaf}" if section else leaf
    for section, leaves in _HONOURED.items()
    for leaf in leaves.split()
)

# what Detectron2 would say in a traceback, or not at all
_CHOICES = {
    "INPUT.CROP.TYPE": ("relative", "relative_range", "absolute", "absolute_range"),
    "INPUT.MASK_FORMAT": ("polygon", "bitmask"),
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": ("choice", "range"),
    "INPUT.RANDOM_FLIP": ("horizontal", "vertical", "none"),
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": ("value", "norm"),
    "SOLVER.WARMUP_METHOD": ("linear", "constant"),
}
_LEAST = {
    "DATALOADER.NUM_WORKERS": 0,
    "INPUT.MAX_SIZE_TEST": 1,
    "INPUT.MAX_SIZE_TRAIN": 1,
    "INPUT.MIN_SIZE_TEST": 0,
    "SOLVER.CHECKPOINT_PERIOD": 1,
    "SOLVER.IMS_PER_BATCH": 1,
    "SOLVER.REFERENCE_WORLD_SIZE": 0,
    "SOLVER.WARMUP_ITERS": 0,
    "TEST.DETECTIONS_PER_IMAGE": 1,
    "TEST.EVAL_PERIOD": 0,
    "TEST.PICTURES": 0,
    "TEST.PRECISE_BN.NUM_ITER": 1,
    "VIS_PERIOD": 0,
}


def _two_stages(cfg: CfgNode) -> bool:
    return cfg.MODEL.META_ARCHITECTURE in ("GeneralizedRCNN", "PanopticFPN")


# keys that nothing reads unless another one is set: beginning, whether it is, what to set
_SWITCHES: list[tuple[str, Callable[[CfgNode], Any], str]] = [
    ("DATALOADER.REPEAT_", lambda c: "Repeat" in c.DATALOADER.SAMPLER_TRAIN,
     "DATALOADER.SAMPLER_TRAIN RepeatFactorTrainingSampler"),
    ("INPUT.COPY_PASTE.OBJECTS", lambda c: c.INPUT.COPY_PASTE.PROB, "INPUT.COPY_PASTE.PROB"),
    ("INPUT.CROP.", lambda c: c.INPUT.CROP.ENABLED, "INPUT.CROP.ENABLED True"),
    ("INPUT.LSJ.", lambda c: c.INPUT.LSJ.ENABLED, "INPUT.LSJ.ENABLED True"),
    ("INPUT.MAX_SIZE_TRAIN", lambda c: not c.INPUT.LSJ.ENABLED, "INPUT.LSJ.ENABLED False"),
    ("INPUT.MIN_SIZE_TRAIN", lambda c: not c.INPUT.LSJ.ENABLED, "INPUT.LSJ.ENABLED False"),
    ("MODEL.PANOPTIC_FPN.", lambda c: c.MODEL.META_ARCHITECTURE == "PanopticFPN",
     "MODEL.META_ARCHITECTURE PanopticFPN"),
    ("MODEL.RETINANET.", lambda c: c.MODEL.META_ARCHITECTURE == "RetinaNet",
     "MODEL.META_ARCHITECTURE RetinaNet"),
    ("MODEL.ROI_", _two_stages, "MODEL.META_ARCHITECTURE GeneralizedRCNN"),
    ("MODEL.ROI_BOX_CASCADE_HEAD.", lambda c: "Cascade" in c.MODEL.ROI_HEADS.NAME,
     "MODEL.ROI_HEADS.NAME CascadeROIHeads"),
    ("MODEL.ROI_KEYPOINT_HEAD.", lambda c: c.MODEL.KEYPOINT_ON, "MODEL.KEYPOINT_ON True"),
    ("MODEL.ROI_MASK_HEAD.", lambda c: c.MODEL.MASK_ON, "MODEL.MASK_ON True"),
    ("MODEL.SEM_SEG_HEAD.", finds_stuff, "MODEL.META_ARCHITECTURE PanopticFPN"),
    ("SOLVER.CLIP_GRADIENTS.", lambda c: c.SOLVER.CLIP_GRADIENTS.ENABLED,
     "SOLVER.CLIP_GRADIENTS.ENABLED True"),
    ("SOLVER.CLIP_GRADIENTS.NORM_TYPE", lambda c: c.SOLVER.CLIP_GRADIENTS.CLIP_TYPE == "norm",
     "SOLVER.CLIP_GRADIENTS.CLIP_TYPE norm"),
    ("SOLVER.EMA.", lambda c: c.SOLVER.EMA.ENABLED, "SOLVER.EMA.ENABLED True"),
    ("SOLVER.GAMMA", lambda c: "Cosine" not in c.SOLVER.LR_SCHEDULER_NAME,
     "SOLVER.LR_SCHEDULER_NAME WarmupMultiStepLR"),
    ("SOLVER.STEPS", lambda c: "MultiStep" in c.SOLVER.LR_SCHEDULER_NAME,
     "SOLVER.LR_SCHEDULER_NAME WarmupMultiStepLR"),
    ("SOLVER.BASE_LR_END", lambda c: "Cosine" in c.SOLVER.LR_SCHEDULER_NAME,
     "SOLVER.LR_SCHEDULER_NAME WarmupCosineLR"),
    ("SOLVER.NUM_DECAYS", lambda c: "FixedGamma" in c.SOLVER.LR_SCHEDULER_NAME,
     "SOLVER.LR_SCHEDULER_NAME WarmupStepWithFixedGammaLR"),
    ("TEST.AUG.", lambda c: c.TEST.AUG.ENABLED, "TEST.AUG.ENABLED True"),
    ("TEST.KEYPOINT_OKS_SIGMAS", lambda c: c.MODEL.KEYPOINT_ON, "MODEL.KEYPOINT_ON True"),
    ("TEST.PRECISE_BN.", lambda c: c.TEST.PRECISE_BN.ENABLED, "TEST.PRECISE_BN.ENABLED True"),
]  # fmt: skip


def check_keys(cfg: CfgNode) -> None:
    """Refuse a key that is set and has no effect, and values that Detectron2 trips over.

    Raises:
        UserError: with the key.
    """
    now, usual = flatten(to_dict(cfg)), flatten(to_dict(detection_defaults()))
    stock = flatten(to_dict(get_cfg()))
    for key in stock:
        if key in SETTINGS or now[key] == usual[key]:
            continue
        if key in REFUSED:
            raise UserError(f"{key} {now[key]} has no effect here ({REFUSED[key]}); leave it out")
        if key not in HONOURED:
            raise UserError(
                f"{key} is a key of this version of Detectron2 that has no effect here; leave it"
                " out"
            )
    _check_values(now)


def check_switches(cfg: CfgNode, origins: Origins) -> None:
    """Refuse a key on the command line of something that is switched off, for which a file may
    keep values.

    Raises:
        UserError: with the key, and the one that it needs.
    """
    now, usual = flatten(to_dict(cfg)), flatten(to_dict(detection_defaults()))
    for key, source in origins.given.items():
        if source == COMMAND_LINE and now.get(key) != usual.get(key):
            _check_switch(cfg, key)


def _check_values(now: Mapping[str, Any]) -> None:
    for key, choices in _CHOICES.items():
        if now[key] not in choices:
            hint = did_you_mean(now[key], choices)
            raise UserError(f"{key} is one of {', '.join(choices)}, not '{now[key]}'{hint}")
    for key, least in _LEAST.items():
        if now[key] < least:
            raise UserError(f"{key} is {now[key]}; it starts from {least}")
    if now["SOLVER.BASE_LR"] <= 0:
        raise UserError(f"SOLVER.BASE_LR is {now['SOLVER.BASE_LR']}; it is above 0")
    if now["SOLVER.NESTEROV"] and not now["SOLVER.MOMENTUM"]:
        raise UserError("SOLVER.NESTEROV needs SOLVER.MOMENTUM above 0")


def _check_switch(cfg: CfgNode, key: str) -> None:
    """Refuse a key of something that is switched off."""
    if key.endswith((".ENABLED", ".NUM_CLASSES")):
        return
    for beginning, is_on, words in _SWITCHES:
        if key.startswith(beginning) and not is_on(cfg):
            raise UserError(f"{key} has no effect without {words}; set that, or leave it out")
