"""What follows from the data, and whether they suit the model.

Paths in ``DATASETS.CUSTOM`` are looked for beside the config file that has the key, in the working
directory, and below ``$DETECTRON2_DATASETS``: see :mod:`robust_det.data.places`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from detectron2.config import CfgNode
from detectron2.utils import comm

from robust_det.core.errors import UserError
from robust_det.data.detection.segments import IGNORED
from robust_det.detection.config.adopt import Origins, adopt
from robust_det.detection.config.defaults import SETTINGS
from robust_det.detection.datasets import (
    DatasetFacts,
    number_of_classes,
    number_of_stuff_classes,
    prepare_dataset,
    register_custom,
)
from robust_det.detection.evaluation.by_name import renumbering
from robust_det.detection.tasks import finds_objects, finds_stuff

__all__ = [
    "adopt_classes",
    "adopt_data",
    "adopt_stuff_classes",
    "crowds_are_objects",
    "stuff_classes_in",
    "warn_of_other_places",
]

logger = logging.getLogger(__name__)


_BUILDER = "robust_det.detection.evaluation.build_evaluator"
_AS_OBJECTS = "if they are single objects, set DATASETS.CROWD objects"


def adopt_data(cfg: CfgNode, origins: Origins) -> None:
    """Prepare the data sets, refuse those that do not suit the model, and take their classes."""
    register_custom(cfg.DATASETS.CUSTOM, origins.folder_of("DATASETS.CUSTOM"))
    names = [*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST]
    if not cfg.DATASETS.TRAIN or not cfg.DATASETS.TEST:
        raise UserError("DATASETS.TRAIN and DATASETS.TEST need at least one data set each")
    as_objects, taken = crowds_are_objects(cfg), 0
    for name in names:
        facts = prepare_dataset(name, cfg.DATASETS.LENIENT, as_objects, cfg.MODEL.MASK_ON)
        taken += facts.taken_crowds
        if facts.crowds_alone and name in cfg.DATASETS.TEST:
            raise UserError(
                f"all objects of data set '{name}' are crowds (iscrowd 1), and nothing is left to"
                f" score; {_AS_OBJECTS}"
            )
        _check_task(cfg, facts)
        if cfg.MODEL.MASK_ON:
            _check_masks(cfg, facts)
    if as_objects and not taken:
        raise UserError(
            "DATASETS.CROWD objects has no effect, as none of the data sets has crowds but"
            " Detectron2's own, which stay as they were published; leave it out"
        )
    source, training = f"data set '{names[0]}'", len(cfg.DATASETS.TRAIN)
    if finds_objects(cfg):
        adopt_classes(cfg, origins, number_of_classes(names, training), source)
    if finds_stuff(cfg):
        adopt_stuff_classes(cfg, origins, number_of_stuff_classes(names, training), source)


def crowds_are_objects(cfg: CfgNode) -> bool:
    """Return what ``DATASETS.CROWD`` says."""
    SETTINGS["DATASETS.CROWD"].check("DATASETS.CROWD", cfg.DATASETS.CROWD)
    return bool(cfg.DATASETS.CROWD == "objects")


def warn_of_other_places(cfg: CfgNode) -> None:
    """Log a warning of test sets that number their classes otherwise than the detector does.

    Detectron2's own evaluators know classes by their places alone, and would score them wrongly.

    Args:
        cfg: a complete config.
    """
    names = cfg.DATASETS.TEST if comm.is_main_process() else ()
    if others := [f"'{name}'" for name in names if renumbering(cfg, name) is not None]:
        sets = "test sets" if len(others) > 1 else "test set"
        logger.warning(
            f"the classes of {sets} {', '.join(others)} stand at other places than the detector's,"
            f" and Detectron2's evaluators know places alone: use {_BUILDER}(cfg, name), which goes"
            " by names"
        )


def _check_masks(cfg: CfgNode, facts: DatasetFacts) -> None:
    """Refuse data whose masks cannot all be learnt and scored."""
    name = facts.name
    if facts.bare_objects:
        raise UserError(
            f"MODEL.MASK_ON needs outlines, and {facts.bare_objects} of {facts.annotations} objects"
            f" of data set '{name}' have none",
            "robust-det inspect shows the first; give them some, leave the objects out by"
            " DATASETS.LENIENT True, or set MODEL.MASK_ON False",
        )
    if facts.masks == "none":
        raise UserError(f"MODEL.MASK_ON needs outlines, and data set '{name}' has boxes alone")
    if facts.bare_crowds:
        raise UserError(
            f"MODEL.MASK_ON needs outlines, and {facts.bare_crowds} crowds (iscrowd 1) of data set"
            f" '{name}' have none",
            "give them some, such as their boxes as polygons, leave the crowds out by"
            " DATASETS.LENIENT True, or set MODEL.MASK_ON False",
        )
    if facts.masks_elsewhere * 2 > facts.annotations:
        raise UserError(
            f"MODEL.MASK_ON needs outlines, and those of {facts.masks_elsewhere} of"
            f" {facts.annotations} objects of data set '{name}' do not touch their boxes",
            "robust-det inspect shows the first; mend them, or set MODEL.MASK_ON False",
        )
    if facts.masks == "rle" and cfg.INPUT.MASK_FORMAT != "bitmask":
        raise UserError(
            f"data set '{name}' has run-length encoded masks; set INPUT.MASK_FORMAT to bitmask"
        )


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


def stuff_classes_in(content: Mapping[str, Any], path: str) -> int:
    """Return how many classes a detector's file gives to pixels."""
    try:
        return int(content["model"]["sem_seg_head.predictor.weight"].shape[0])
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(
            f"{path} is not of a PanopticFPN; give the config that it was trained with"
        ) from error


def adopt_stuff_classes(cfg: CfgNode, origins: Origins, classes: int, source: str) -> None:
    """Take the number of classes of pixels, and the label of those that do not count."""
    adopt(cfg, origins, "MODEL.SEM_SEG_HEAD.NUM_CLASSES", classes, source)
    adopt(cfg, origins, "MODEL.SEM_SEG_HEAD.IGNORE_VALUE", IGNORED, source)


def adopt_classes(cfg: CfgNode, origins: Origins, classes: int, source: str) -> None:
    """Take the number of classes of objects."""
    adopt(cfg, origins, "MODEL.ROI_HEADS.NUM_CLASSES", classes, source)
    adopt(cfg, origins, "MODEL.RETINANET.NUM_CLASSES", classes, source)
