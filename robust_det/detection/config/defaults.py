"""The keys and what they are unless a config says otherwise."""

from __future__ import annotations

from detectron2.config import CfgNode, get_cfg

__all__ = ["detection_defaults"]


def detection_defaults() -> CfgNode:
    """Return Detectron2's defaults with this project's additions."""
    cfg = get_cfg()
    cfg.SEED = 0  # Detectron2's own default is a fresh seed each run
    cfg.MODEL.DEVICE = "auto"  # auto | cpu | cuda | cuda:N
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.BACKBONE.ARCH = ""  # from the weights if empty
    cfg.MODEL.BACKBONE.COMPILE = False  # torch.compile of backbone and pyramid
    cfg.MODEL.CHANNELS_LAST = False
    cfg.MODEL.FOLD_NORMS = False  # in training, frozen norms are part of their convolutions
    cfg.MODEL.TABLE_ROI_ALIGN = False  # in training on CPUs, ROIAlign as sums over table rows
    cfg.MODEL.ROI_HEADS.RES5_EXTRA_NORM = False  # of C4: a norm between res5 and the box head
    cfg.INPUT.FAST_JPEG = True  # the same bits as Pillow's
    # large-scale jitter in place of MIN_SIZE_TRAIN: images are scaled to MIN_SCALE..MAX_SCALE of
    # SIZE pixels, then cropped or padded to SIZE
    cfg.INPUT.LSJ = CfgNode({"ENABLED": False, "SIZE": 1024, "MIN_SCALE": 0.1, "MAX_SCALE": 2.0})
    # copy-paste: PROB of an image that it gets objects of another, OBJECTS: the share it gets
    cfg.INPUT.COPY_PASTE = CfgNode({"PROB": 0.0, "OBJECTS": 0.5})
    cfg.SOLVER.PRECISION = "fp32"  # fp32 | bf16 | fp16: autocast, on CPUs and GPUs
    cfg.SOLVER.REFERENCE_BATCH = 0  # images for which BASE_LR is meant; 0 never scales it
    cfg.SOLVER.LR_SCALED_BY = 1.0  # what it was multiplied by, for the batch actually used
    cfg.SOLVER.ACCUMULATE = 1  # batches of IMS_PER_BATCH images that make one update
    # of all gradients together, where CLIP_GRADIENTS clips each tensor by itself; 0 does not clip
    cfg.SOLVER.CLIP_NORM = 0.0
    cfg.SOLVER.FUSED = False  # one call updates all weights
    cfg.SOLVER.EMA = CfgNode({"ENABLED": False, "DECAY": 0.9998})  # averaged weights, evaluated
    cfg.TEST.KEEP_BEST = ""  # metric, such as bbox/AP: keeps model_best.pth
    # mappings with NAME and JSON, IMAGES (COCO); VOC, SPLIT; or YOLO, SPLIT
    cfg.DATASETS.CUSTOM = []
    cfg.DATASETS.LENIENT = False  # leave unsound images and objects out, and say so
    cfg.TEST.PICTURES = 6  # images drawn with ground truth and predictions at the end
    return cfg
