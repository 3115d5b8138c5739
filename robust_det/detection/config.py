"""Detection configs: Detectron2's keys, a few more, and what follows from weights and data.

Mean, std, channel order and architecture are properties of the weights, the number of classes is
one of the data. A config leaves them out; one that contradicts them is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.utils.file_io import PathManager

from robust_det.backbones import builders  # noqa: F401  registers the backbones
from robust_det.backbones.norms import NORMS
from robust_det.checkpoints.backbone_file import BackboneCard, card_of, pixel_settings, read_card
from robust_det.checkpoints.io import peek_checkpoint
from robust_det.config import find_config, flatten, load_raw, merge_config, overrides_to_dict
from robust_det.detection.categories import categories_in, categories_of
from robust_det.detection.checkpointer import FINAL, is_backbone
from robust_det.detection.datasets import (
    DatasetFacts,
    number_of_classes,
    number_of_stuff_classes,
    prepare_dataset,
    register_custom,
)
from robust_det.detection.datasets.registration import source_of
from robust_det.detection.datasets.segments import IGNORED
from robust_det.detection.datasets.source import Source
from robust_det.detection.mapping.augmentation import check_augmentation
from robust_det.detection.paths import register_path_handler
from robust_det.detection.roi_heads import RobustRes5ROIHeads
from robust_det.detection.tasks import finds_objects, finds_stuff
from robust_det.device import AMP_DTYPES, resolve_device
from robust_det.errors import UserError, did_you_mean
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, get_architecture
from robust_det.zoo.locate import PREFIX

__all__ = ["detection_defaults", "load_config", "load_detector_config", "sources_of_config"]


def detection_defaults() -> CfgNode:
    """Return Detectron2's defaults with this project's additions."""
    cfg = get_cfg()
    cfg.SEED = 0  # Detectron2's own default is a fresh seed each run
    cfg.MODEL.DEVICE = "auto"  # auto | cpu | cuda | cuda:N
    cfg.MODEL.WEIGHTS = ""
    cfg.MODEL.BACKBONE.ARCH = ""  # from the weights if empty
    cfg.MODEL.BACKBONE.COMPILE = False  # torch.compile of backbone and pyramid
    cfg.MODEL.CHANNELS_LAST = False
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


def load_config(
    name: str, overrides: Sequence[str] = (), backbone: str | None = None
) -> tuple[CfgNode, BackboneCard | None]:
    """Read a config file and overrides, complete them from weights and data, and freeze the result.

    Args:
        name: path, or a bare file name below ``configs/``.
        overrides: ``KEY VALUE`` pairs.
        backbone: name of the zoo, or a file, in place of the config's weights; its name is added
            to ``OUTPUT_DIR`` unless that is among the overrides.

    Returns:
        The config, and the card of the backbone in ``MODEL.WEIGHTS`` if the file has one.

    Raises:
        UserError: a key, a value, the weights or the data are wrong.
    """
    register_path_handler()
    raws = [load_raw(find_config(name)), overrides_to_dict(overrides)]
    if backbone is not None:
        raws.append(_of_backbone(backbone, raws))
    cfg, given = _merged(raws)
    _adopt_device(cfg)
    _scale_learning_rate(cfg, set(flatten(raws[1])))
    card = _adopt_weights(cfg, given)
    _adopt_architecture(cfg, given)
    _adopt_data(cfg, given)
    check_augmentation(cfg)
    if Path(cfg.OUTPUT_DIR).is_file():
        raise UserError(f"OUTPUT_DIR {cfg.OUTPUT_DIR} is a file; give a folder")
    cfg.freeze()
    return cfg, card


def load_detector_config(
    name: str, overrides: Sequence[str] = (), detector: str | Path | None = None
) -> tuple[CfgNode, Path, list[dict[str, Any]]]:
    """Do what :func:`load_config` does for a trained detector, which knows what its config leaves
    out: neither its backbone's file nor its data need be there.

    Args:
        name, overrides: see :func:`load_config`.
        detector: its file, by default ``OUTPUT_DIR/model_final.pth``.

    Returns:
        The config, the detector's file, and its classes, see :mod:`~.categories`.

    Raises:
        UserError: a key or a value is wrong, or the file is not there or not a detector.
    """
    cfg, given = _merged([load_raw(find_config(name)), overrides_to_dict(overrides)])
    if not finds_objects(cfg):
        raise UserError(
            f"config {name} is of a {cfg.MODEL.META_ARCHITECTURE}, which finds no objects; give one"
            " of a detector"
        )
    path = Path(detector or Path(cfg.OUTPUT_DIR) / FINAL)
    if not path.is_file():
        raise UserError(f"no detector at {path}; train it first, or give --weights FILE")
    content = peek_checkpoint(path)
    if is_backbone(content):
        raise UserError(f"{path} is a backbone; give the detector that was trained from it")
    _adopt_device(cfg)
    _adopt_card(cfg, given, card_of(content), str(path))
    _adopt_architecture(cfg, given)
    categories = categories_in(content, str(path))
    if categories:
        _adopt_classes(cfg, given, len(categories), str(path))
        if finds_stuff(cfg):
            _adopt_stuff_classes(cfg, given, _stuff_classes_in(content, str(path)), str(path))
    else:
        # of a version that did not keep them
        register_path_handler()
        _adopt_data(cfg, given)
        categories = categories_of(cfg.DATASETS.TRAIN[0])
    cfg.freeze()
    return cfg, path, categories


def sources_of_config(name: str, overrides: Sequence[str] = ()) -> dict[str, Source]:
    """Return where the data sets of a config come from; its weights need not be there.

    Args:
        name, overrides: see :func:`load_config`.

    Raises:
        UserError: a key or a value is wrong, or there are no data sets.
    """
    cfg, _ = _merged([load_raw(find_config(name)), overrides_to_dict(overrides)])
    register_custom(cfg.DATASETS.CUSTOM)
    own = [entry["NAME"] for entry in cfg.DATASETS.CUSTOM]
    names = list(dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST, *own]))
    if not names:
        raise UserError(f"config {name} names no data sets")
    return {one: source_of(one) for one in names}


def _merged(raws: Sequence[dict[str, Any]]) -> tuple[CfgNode, set[str]]:
    """Lay configs over the defaults; return the result, and the keys that they set."""
    cfg = detection_defaults()
    given: set[str] = set()
    for raw in raws:
        raw.pop("VERSION", None)
        merge_config(cfg, raw)
        given |= set(flatten(raw))
    return cfg, given


def _of_backbone(backbone: str, raws: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the keys that a backbone sets."""
    given = flatten(raws[1])
    if "MODEL.WEIGHTS" in given:
        raise UserError("--backbone and MODEL.WEIGHTS say the same; leave one of them out")
    is_file = Path(backbone).suffix in (".pth", ".pt", ".pkl") or "/" in backbone
    keys: dict[str, Any] = {"MODEL": {"WEIGHTS": backbone if is_file else PREFIX + backbone}}
    folder = flatten(raws[0]).get("OUTPUT_DIR")
    if "OUTPUT_DIR" not in given and folder:
        keys["OUTPUT_DIR"] = f"{folder}_{Path(backbone).stem if is_file else backbone}"
    return keys


def _adopt(cfg: CfgNode, given: set[str], key: str, value: Any, source: str) -> None:
    """Set a key that follows from something; refuse a config that says otherwise."""
    *parents, leaf = key.split(".")
    node = cfg
    for part in parents:
        node = node[part]
    if key in given and node[leaf] not in ("", None) and not _same(node[leaf], value):
        raise UserError(
            f"{key} is {_shown(node[leaf])} in the config, but {source} needs {_shown(value)};"
            " leave the key out"
        )
    node[leaf] = value


def _same(a: Any, b: Any) -> bool:
    if isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(abs(x - y) < 1e-3 for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(f"{v:.3f}" for v in value) + "]"
    return str(value)


def _adopt_device(cfg: CfgNode) -> None:
    device = resolve_device(cfg.MODEL.DEVICE)
    # without a number: Detectron2 gives each of several processes its own GPU
    numbered = cfg.MODEL.DEVICE.startswith("cuda:")
    cfg.MODEL.DEVICE = str(device) if numbered else device.type
    if cfg.SOLVER.AMP.ENABLED:
        raise UserError("SOLVER.AMP.ENABLED is SOLVER.PRECISION here; set that to fp16 or bf16")
    if cfg.SOLVER.PRECISION not in AMP_DTYPES:
        known = ", ".join(AMP_DTYPES)
        raise UserError(f"unknown SOLVER.PRECISION '{cfg.SOLVER.PRECISION}'; use {known}")
    if cfg.SOLVER.ACCUMULATE < 1:
        raise UserError(f"SOLVER.ACCUMULATE is {cfg.SOLVER.ACCUMULATE}; it starts from 1")
    if cfg.SOLVER.CLIP_NORM < 0:
        raise UserError(
            f"SOLVER.CLIP_NORM is {cfg.SOLVER.CLIP_NORM}; give the largest norm, 0 does not clip"
        )
    if not 0 <= cfg.SOLVER.EMA.DECAY < 1:
        raise UserError(f"SOLVER.EMA.DECAY is {cfg.SOLVER.EMA.DECAY}; it is below 1, as 0.9998")


def _scale_learning_rate(cfg: CfgNode, by_hand: set[str]) -> None:
    """Scale ``BASE_LR`` linearly to the batch actually used (Goyal et al. 2017, section 2.1).

    One that is given on the command line, or was scaled before, stays as it is.
    """
    solver = cfg.SOLVER
    batch = solver.IMS_PER_BATCH * solver.ACCUMULATE
    scaled_before = solver.LR_SCALED_BY != 1.0
    if solver.REFERENCE_BATCH and not scaled_before and "SOLVER.BASE_LR" not in by_hand:
        solver.LR_SCALED_BY = batch / solver.REFERENCE_BATCH
        solver.BASE_LR *= solver.LR_SCALED_BY


def _adopt_weights(cfg: CfgNode, given: set[str]) -> BackboneCard | None:
    weights, card = cfg.MODEL.WEIGHTS, None
    if weights:
        path = PathManager.get_local_path(weights)
        if not path.endswith(".pth"):
            raise UserError(
                f"MODEL.WEIGHTS {weights} is not a .pth file;"
                " convert it with tools/convert_backbone.py"
            )
        card = read_card(path)
        if card is None:
            raise UserError(
                f"MODEL.WEIGHTS {weights} does not say what it is;"
                " convert it with tools/convert_backbone.py"
            )
    _adopt_card(cfg, given, card, weights)
    return card


def _adopt_card(cfg: CfgNode, given: set[str], card: BackboneCard | None, weights: str) -> None:
    """Take architecture and pixel settings from the card of the weights."""
    if card is not None:
        mean, std, order = card.pixel_mean, card.pixel_std, card.input_format
        _adopt(cfg, given, "MODEL.BACKBONE.ARCH", card.arch, weights)
    else:
        mean, std, order = pixel_settings(IMAGENET_MEAN, IMAGENET_STD)
        if not cfg.MODEL.BACKBONE.ARCH:
            raise UserError("give MODEL.WEIGHTS, or MODEL.BACKBONE.ARCH to train from scratch")
    source = weights or "the project's convention"
    _adopt(cfg, given, "MODEL.PIXEL_MEAN", list(mean), source)
    _adopt(cfg, given, "MODEL.PIXEL_STD", list(std), source)
    _adopt(cfg, given, "INPUT.FORMAT", order, source)


def _adopt_architecture(cfg: CfgNode, given: set[str]) -> None:
    """Let ``MODEL.RESNETS`` say what is built, and refuse a config that asks for something else."""
    arch = get_architecture(cfg.MODEL.BACKBONE.ARCH)
    if (layout := arch.layout) is not None:
        for key, value in {
            "DEPTH": (3 if layout.bottleneck else 2) * sum(layout.blocks) + 2,
            "STEM_OUT_CHANNELS": layout.stem_channels,
            "RES2_OUT_CHANNELS": layout.res2_channels,
            "WIDTH_PER_GROUP": layout.inner_channels // layout.groups,
            "NUM_GROUPS": layout.groups,
            "STRIDE_IN_1X1": False,
            "DEFORM_ON_PER_STAGE": [False] * 4,
        }.items():
            _adopt(cfg, given, f"MODEL.RESNETS.{key}", value, arch.name)
    dilation = cfg.MODEL.RESNETS.RES5_DILATION
    if dilation not in (1, 2) or (dilation == 2 and not (layout and layout.bottleneck)):
        raise UserError(
            f"MODEL.RESNETS.RES5_DILATION is {dilation}; {arch.name} takes 1, and a ResNet of"
            " bottleneck blocks 2 as well, for DC5"
        )
    if cfg.MODEL.ROI_HEADS.NAME == "Res5ROIHeads":
        # the same heads, but res5 as the architecture has it
        cfg.MODEL.ROI_HEADS.NAME = RobustRes5ROIHeads.__name__
    if cfg.MODEL.RESNETS.NORM not in NORMS:
        norm = cfg.MODEL.RESNETS.NORM
        raise UserError(f"unknown MODEL.RESNETS.NORM '{norm}'; use {', '.join(NORMS)}")
    if cfg.MODEL.RESNETS.NORM == "SyncBN" and cfg.MODEL.DEVICE == "cpu":
        raise UserError("MODEL.RESNETS.NORM SyncBN trains on GPUs alone; use BN or GN on a CPU")
    if cfg.MODEL.BACKBONE.NAME not in BACKBONE_REGISTRY:
        known = [name for name, _ in BACKBONE_REGISTRY]
        hint = did_you_mean(cfg.MODEL.BACKBONE.NAME, known)
        raise UserError(f"unknown MODEL.BACKBONE.NAME '{cfg.MODEL.BACKBONE.NAME}'{hint}")


def _adopt_data(cfg: CfgNode, given: set[str]) -> None:
    register_custom(cfg.DATASETS.CUSTOM)
    names = [*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]
    if not cfg.DATASETS.TRAIN or not cfg.DATASETS.TEST:
        raise UserError("DATASETS.TRAIN and DATASETS.TEST need at least one data set each")
    for name in names:
        facts = prepare_dataset(name, cfg.DATASETS.LENIENT)
        _check_task(cfg, facts)
        if cfg.MODEL.MASK_ON and facts.masks == "none":
            raise UserError(f"MODEL.MASK_ON needs outlines, and data set '{name}' has boxes alone")
        if cfg.MODEL.MASK_ON and facts.masks == "rle" and cfg.INPUT.MASK_FORMAT != "bitmask":
            raise UserError(
                f"data set '{name}' has run-length encoded masks; set INPUT.MASK_FORMAT to bitmask"
            )
    source = f"data set '{names[0]}'"
    if finds_objects(cfg):
        _adopt_classes(cfg, given, number_of_classes(names), source)
    if finds_stuff(cfg):
        _adopt_stuff_classes(cfg, given, number_of_stuff_classes(names), source)


def _check_task(cfg: CfgNode, facts: DatasetFacts) -> None:
    """Refuse data that do not show what the model learns to find."""
    architecture = cfg.MODEL.META_ARCHITECTURE
    if finds_stuff(cfg) and not facts.stuff:
        raise UserError(
            f"{architecture} needs semantic maps, and data set '{facts.name}' has none; use one of"
            " COCO's panoptic ones, or name your own as PANOPTIC in DATASETS.CUSTOM"
        )
    if finds_objects(cfg) and not facts.classes:
        raise UserError(
            f"{architecture} needs objects, and data set '{facts.name}' has stuff alone; use the"
            " one that ends in _separated, or add JSON to its entry in DATASETS.CUSTOM"
        )
    if finds_objects(cfg) and finds_stuff(cfg) and not cfg.MODEL.MASK_ON:
        raise UserError(f"{architecture} needs the masks of objects; set MODEL.MASK_ON")


def _stuff_classes_in(content: Mapping[str, Any], path: str) -> int:
    """Return how many classes a detector's file gives to pixels."""
    try:
        return int(content["model"]["sem_seg_head.predictor.weight"].shape[0])
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is not of a PanopticFPN; give the config that it was trained with"
        ) from error


def _adopt_stuff_classes(cfg: CfgNode, given: set[str], classes: int, source: str) -> None:
    _adopt(cfg, given, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", classes, source)
    _adopt(cfg, given, "MODEL.SEM_SEG_HEAD.IGNORE_VALUE", IGNORED, source)


def _adopt_classes(cfg: CfgNode, given: set[str], classes: int, source: str) -> None:
    _adopt(cfg, given, "MODEL.ROI_HEADS.NUM_CLASSES", classes, source)
    _adopt(cfg, given, "MODEL.RETINANET.NUM_CLASSES", classes, source)
