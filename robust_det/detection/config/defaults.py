"""The keys and what they are unless a config says otherwise."""

from __future__ import annotations

from detectron2.config import CfgNode, get_cfg

from robust_det.core.config.setting import Setting, add_defaults
from robust_det.core.device import AMP_DTYPES
from robust_det.core.seeding import SEEDS
from robust_det.data.detection.entries import entry_schema
from robust_det.models import ARCHITECTURES

__all__ = ["SETTINGS", "detection_defaults"]

# what Detectron2 does not have, or has with another default
SETTINGS = {
    # Detectron2's own default is a fresh seed each run
    "SEED": Setting(0, "of new weights, order and augmentation", least=0, below=SEEDS),
    "OUTPUT_DIR": Setting(
        "", "folder of the run; output/detection/CONFIG_BACKBONE, and the SEED unless 0, if empty"
    ),
    "MODEL.DEVICE": Setting("auto", "auto, cpu, cuda or cuda:N"),
    "MODEL.WEIGHTS": Setting("", "converted backbone: a file, or robust://NAME"),
    "MODEL.INIT_DETECTOR": Setting("", "file of a trained detector to start from"),
    "MODEL.BACKBONE.ARCH": Setting(
        "", "architecture; from the weights if empty", known=("", *ARCHITECTURES), also="^timm:"
    ),
    "MODEL.BACKBONE.COMPILE": Setting(False, "torch.compile of backbone and pyramid"),
    "MODEL.CHANNELS_LAST": Setting(False, "memory format of weights and images"),
    "MODEL.FOLD_NORMS": Setting(
        False, "in training, frozen norms are part of their convolutions: rounding only"
    ),
    "MODEL.TABLE_ROI_ALIGN": Setting(
        False, "in training on CPUs, ROIAlign as sums over table rows: rounding only"
    ),
    "MODEL.ROI_HEADS.RES5_EXTRA_NORM": Setting(
        False, "of C4: a norm between res5 and the box head"
    ),
    "INPUT.FAST_JPEG": Setting(True, "decode by simplejpeg; the same bits as Pillow's"),
    "INPUT.LSJ.ENABLED": Setting(
        False, "large-scale jitter in place of MIN_SIZE_TRAIN: scaled, then cropped or padded"
    ),
    "INPUT.LSJ.SIZE": Setting(1024, "side of what comes out, in pixels"),
    "INPUT.LSJ.MIN_SCALE": Setting(0.1, "smallest scale of the image, in SIZE"),
    "INPUT.LSJ.MAX_SCALE": Setting(2.0, "largest scale of the image, in SIZE"),
    "INPUT.COPY_PASTE.PROB": Setting(0.0, "of an image that it gets objects of another"),
    "INPUT.COPY_PASTE.OBJECTS": Setting(0.5, "share of the other's objects that it gets"),
    "SOLVER.PRECISION": Setting(
        "fp32", "autocast in bf16 or fp16, on CPUs and GPUs", tuple(AMP_DTYPES)
    ),
    "SOLVER.REFERENCE_BATCH": Setting(0, "images for which BASE_LR is meant; 0 never scales it"),
    "SOLVER.LR_SCALED_BY": Setting(
        1.0, "what BASE_LR was multiplied by, for the batch actually used"
    ),
    "SOLVER.ACCUMULATE": Setting(1, "batches of IMS_PER_BATCH images that make one update"),
    "SOLVER.CLIP_NORM": Setting(
        0.0, "of all gradients together, where CLIP_GRADIENTS clips each tensor; 0 does not clip"
    ),
    "SOLVER.FUSED": Setting(False, "one call updates all weights"),
    "SOLVER.EMA.ENABLED": Setting(False, "averaged weights, which are evaluated"),
    "SOLVER.EMA.DECAY": Setting(0.9998, "of the average, an update"),
    "TEST.KEEP_BEST": Setting("", "metric, such as bbox/AP: keeps model_best.pth"),
    "TEST.PICTURES": Setting(6, "images drawn with ground truth and predictions at the end"),
    "DATASETS.CUSTOM": Setting(
        [],
        "mappings with NAME and JSON, IMAGES (COCO); VOC, SPLIT; ANNOTATIONS, IMAGES (VOC's XML);"
        " YOLO, SPLIT; CSV; or MASKS, IMAGES, KIND; paths are beside this file, here, or below"
        " $DETECTRON2_DATASETS",
        items=entry_schema(),
    ),
    "DATASETS.LENIENT": Setting(
        False, "leave out or mend what is unsound, and say so; decodes all images"
    ),
    "DATASETS.CROWD": Setting(
        "ignore",
        "what iscrowd 1 means: a region to ignore, or, as some tools write brush masks, an object",
        ("ignore", "objects"),
    ),
}


def detection_defaults() -> CfgNode:
    """Return Detectron2's defaults with this project's additions."""
    return add_defaults(get_cfg(), SETTINGS)
