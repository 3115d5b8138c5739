"""What follows from the weights: architecture, mean, std and channel order."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.utils.file_io import PathManager

from robust_det.backbones.norms import NORMS
from robust_det.checkpoints.backbone_file import BackboneCard, card_of, pixel_settings
from robust_det.checkpoints.first_look import first_look
from robust_det.checkpoints.io import peek_checkpoint
from robust_det.core.config.reading import Layer, flatten
from robust_det.core.errors import FileError, UserError, did_you_mean
from robust_det.core.folders import backbone_folder
from robust_det.detection.checkpointer import is_backbone
from robust_det.detection.config.adopt import Origins, adopt
from robust_det.detection.config.features import check_features, check_operators
from robust_det.detection.config.folder import name_of_backbone
from robust_det.detection.roi_heads import RobustRes5ROIHeads
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, get_architecture
from robust_det.zoo.locate import PREFIX, find_here, is_name

__all__ = [
    "adopt_architecture",
    "adopt_card",
    "adopt_weights",
    "is_local",
    "keys_of_backbone",
    "weights_file",
    "weights_of",
]

# Detectron2's own builders, and ours that take any architecture
_FOR_RESNETS = {
    "build_resnet_backbone": "build_robust_backbone",
    "build_resnet_fpn_backbone": "build_robust_fpn_backbone",
    "build_retinanet_resnet_fpn_backbone": "build_robust_retinanet_fpn_backbone",
}


def keys_of_backbone(backbone: str, layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the keys that a backbone sets, over a config's files and its command line."""
    *files, line = layers
    given = flatten(line.keys)
    if "MODEL.WEIGHTS" in given:
        raise UserError("--backbone and MODEL.WEIGHTS say the same; leave one of them out")
    weights = weights_of(backbone)
    keys: dict[str, Any] = {"MODEL": {"WEIGHTS": weights}}
    folder = next((f.keys["OUTPUT_DIR"] for f in files[::-1] if "OUTPUT_DIR" in f.keys), None)
    if "OUTPUT_DIR" not in given and folder:
        keys["OUTPUT_DIR"] = f"{folder}_{name_of_backbone(weights)}"
    return keys


def weights_of(backbone: str) -> str:
    """Return the ``MODEL.WEIGHTS`` that a ``--backbone`` means: a file, or ``robust://NAME``."""
    bare = is_name(backbone) and not backbone.startswith(PREFIX)
    return PREFIX + backbone if bare else backbone


def weights_file(weights: str) -> Path | None:
    """Return the file of ``MODEL.WEIGHTS``, or None if there is none or it cannot be had."""
    try:
        path = Path(PathManager.get_local_path(weights))
    except UserError:
        return None
    return path if path.is_file() else None


def is_local(weights: str) -> bool:
    """Whether the file of ``MODEL.WEIGHTS`` is on this machine; no download."""
    if weights.startswith(PREFIX):
        return find_here(weights) is not None
    return Path(weights).is_file()


def _converted(path: str) -> str:
    """Return a file for the conversion of one, where ``robust://NAME`` looks for backbones."""
    target = backbone_folder() / f"{name_of_backbone(path)}.pth"
    same = target.absolute() == Path(path).absolute()
    return str(target.with_stem(f"{target.stem}_converted") if same else target)


def adopt_weights(cfg: CfgNode, origins: Origins) -> BackboneCard | None:
    """Take what the card of ``MODEL.WEIGHTS`` says; return it, or None without weights."""
    weights, card = cfg.MODEL.WEIGHTS, None
    if weights:
        path = PathManager.get_local_path(weights)
        command = shlex.join(["robust-det", "convert", path, _converted(path)])
        first_look(path)
        if not path.endswith(".pth"):
            raise UserError(f"MODEL.WEIGHTS {weights} is not a .pth file; convert it: {command}")
        try:
            content = peek_checkpoint(path)
        except FileError as error:  # such as objects, which convert leaves out
            error.advice = error.advice or f"convert it: {command}"
            raise
        card = card_of(content, f"MODEL.WEIGHTS {weights}")
        if card is None:
            raise UserError(
                f"MODEL.WEIGHTS {weights} does not say what it is; convert it: {command}"
            )
        if not is_backbone(content):
            # its trained heads would make the result look like that of a better backbone
            raise UserError(
                f"MODEL.WEIGHTS {weights} is a trained detector; give it as --detector to evaluate"
                f" it; to start from its backbone, convert it: {command}"
            )
    adopt_card(cfg, origins, card, weights)
    return card


def adopt_card(cfg: CfgNode, origins: Origins, card: BackboneCard | None, weights: str) -> None:
    """Take architecture and pixel settings from the card of the weights."""
    if card is not None:
        mean, std, order = card.pixel_mean, card.pixel_std, card.input_format
        adopt(cfg, origins, "MODEL.BACKBONE.ARCH", card.arch, weights)
    else:
        mean, std, order = pixel_settings(IMAGENET_MEAN, IMAGENET_STD)
        if not cfg.MODEL.BACKBONE.ARCH:
            raise UserError("give MODEL.WEIGHTS, or MODEL.BACKBONE.ARCH to train from scratch")
    source = weights or "the project's convention"
    adopt(cfg, origins, "MODEL.PIXEL_MEAN", list(mean), source)
    adopt(cfg, origins, "MODEL.PIXEL_STD", list(std), source)
    adopt(cfg, origins, "INPUT.FORMAT", order, source)


def _refuse_layout(cfg: CfgNode, arch: str) -> None:
    """Refuse keys of a residual network's layout, which a network of another kind does not read."""
    usual = get_cfg().MODEL.RESNETS
    for key in ("DEPTH", "NUM_GROUPS", "RES2_OUT_CHANNELS", "STEM_OUT_CHANNELS", "WIDTH_PER_GROUP"):
        if cfg.MODEL.RESNETS[key] != usual[key]:
            raise UserError(f"MODEL.RESNETS.{key} is of ResNets, and {arch} is none; leave it out")


def adopt_architecture(cfg: CfgNode, origins: Origins) -> None:
    """Let ``MODEL.RESNETS`` say what is built, and refuse a config that asks for something else."""
    arch = get_architecture(cfg.MODEL.BACKBONE.ARCH)
    if arch.layout is None:
        _refuse_layout(cfg, arch.name)
    if (layout := arch.layout) is not None:
        for key, value in {
            "DEPTH": (3 if layout.bottleneck else 2) * sum(layout.blocks) + 2,
            "STEM_OUT_CHANNELS": layout.stem_channels,
            "RES2_OUT_CHANNELS": layout.res2_channels,
            "WIDTH_PER_GROUP": layout.inner_channels // layout.groups,
            "NUM_GROUPS": layout.groups,
            "STRIDE_IN_1X1": False,
        }.items():
            adopt(cfg, origins, f"MODEL.RESNETS.{key}", value, arch.name)
    if any(cfg.MODEL.RESNETS.DEFORM_ON_PER_STAGE):
        raise UserError(
            f"MODEL.RESNETS.DEFORM_ON_PER_STAGE is not supported with {arch.name}, whose weights"
            " are those of plain convolutions; leave the key out"
        )
    dilation = cfg.MODEL.RESNETS.RES5_DILATION
    if dilation not in (1, 2) or (dilation == 2 and not (layout and layout.bottleneck)):
        raise UserError(
            f"MODEL.RESNETS.RES5_DILATION is {dilation}; {arch.name} takes 1, and a ResNet of"
            " bottleneck blocks 2 as well, for DC5"
        )
    if cfg.MODEL.ROI_HEADS.NAME == "Res5ROIHeads":
        # the same heads, but res5 as the architecture has it
        cfg.MODEL.ROI_HEADS.NAME = RobustRes5ROIHeads.__name__
        origins.adopted["MODEL.ROI_HEADS.NAME"] = arch.name
    if cfg.MODEL.RESNETS.NORM not in NORMS:
        norm = cfg.MODEL.RESNETS.NORM
        raise UserError(f"unknown MODEL.RESNETS.NORM '{norm}'; use {', '.join(NORMS)}")
    if cfg.MODEL.RESNETS.NORM == "SyncBN" and cfg.MODEL.DEVICE == "cpu":
        raise UserError("MODEL.RESNETS.NORM SyncBN trains on GPUs alone; use BN or GN on a CPU")
    name = cfg.MODEL.BACKBONE.NAME
    if name not in BACKBONE_REGISTRY:
        hint = did_you_mean(name, [known for known, _ in BACKBONE_REGISTRY])
        raise UserError(f"unknown MODEL.BACKBONE.NAME '{name}'{hint}")
    if layout is None and name in _FOR_RESNETS:
        raise UserError(
            f"MODEL.BACKBONE.NAME {name} builds Detectron2's own ResNet, and {arch.name} is none;"
            f" use {_FOR_RESNETS[name]}"
        )
    check_operators(cfg)
    check_features(cfg)
