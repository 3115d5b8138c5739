"""Reading a config file and completing it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from robust_det.checkpoints.backbone_file import BackboneCard, card_of
from robust_det.checkpoints.io import peek_checkpoint
from robust_det.core.config.reading import (
    Layer,
    command_line,
    find_config,
    merge_layers,
    read_layers,
)
from robust_det.core.errors import UserError
from robust_det.core.seeding import check_seed
from robust_det.data.detection.checking.terms import Terms
from robust_det.data.detection.entries import located_entries
from robust_det.data.detection.source import Source, with_terms
from robust_det.detection.categories import categories_in, categories_of
from robust_det.detection.checkpointer import FINAL, is_backbone
from robust_det.detection.config.adopt import Origins
from robust_det.detection.config.data import (
    adopt_classes,
    adopt_data,
    adopt_stuff_classes,
    crowds_are_objects,
    stuff_classes_in,
    warn_of_other_places,
)
from robust_det.detection.config.defaults import detection_defaults
from robust_det.detection.config.folder import adopt_folder, folder_of_run, name_of_backbone
from robust_det.detection.config.init_detector import adopt_init_detector
from robust_det.detection.config.keys import check_keys, check_switches
from robust_det.detection.config.solver import (
    adopt_device,
    check_solver,
    scale_learning_rate,
    settle_reference,
)
from robust_det.detection.config.trained import adopt_model
from robust_det.detection.config.weights import (
    adopt_architecture,
    adopt_card,
    adopt_weights,
    is_local,
    keys_of_backbone,
    weights_file,
)
from robust_det.detection.datasets import describe_dataset, register_custom
from robust_det.detection.datasets.class_matching import check_training_classes
from robust_det.detection.datasets.registration import source_of
from robust_det.detection.evaluation.augmented import check_test_time_augmentation
from robust_det.detection.evaluation.metric_names import check_keep_best
from robust_det.detection.mapping.augmentation import check_augmentation
from robust_det.detection.provenance import provenance_in
from robust_det.detection.tasks import finds_objects, finds_stuff
from robust_det.records import RECORD_NAME

__all__ = [
    "CONFIG_NAME",
    "explain",
    "load_config",
    "load_detector_config",
    "load_evaluation_config",
    "run_folder",
    "run_name",
    "sources_of_config",
]

logger = logging.getLogger(__name__)

# of the complete config in a run folder
CONFIG_NAME = "config.yaml"


def load_config(
    name: str,
    overrides: Sequence[str] = (),
    backbone: str | None = None,
    *,
    by_name: bool = False,
) -> tuple[CfgNode, BackboneCard | None]:
    """Read a config file and overrides, complete them from weights and data, and freeze the result.

    A warning is logged of test sets that number their classes otherwise than the detector does.

    Args:
        name: path, or a bare file name below ``configs/``.
        overrides: ``KEY VALUE`` pairs.
        backbone: name of the zoo, or a file, in place of the config's weights; its name is added
            to an ``OUTPUT_DIR`` of the config. Without one, it is
            ``output/detection/CONFIG_BACKBONE``.
        by_name: leave the warning out, as :func:`.build_evaluator` is used, which knows classes by
            their names.

    Returns:
        The config, and the card of the backbone in ``MODEL.WEIGHTS`` if the file has one.

    Raises:
        UserError: a key, a value, the weights or the data are wrong.
    """
    cfg, origins = _of_a_run(name, overrides, backbone)
    start = adopt_init_detector if cfg.MODEL.INIT_DETECTOR else adopt_weights
    card = start(cfg, origins)
    _complete(cfg, origins)
    check_keep_best(cfg)
    if not by_name:
        warn_of_other_places(cfg)
    return cfg, card


def explain(name: str, overrides: Sequence[str] = ()) -> tuple[CfgNode, dict[str, str], list[str]]:
    """Do what :func:`load_config` does as far as it goes without weights and data, if these are not
    there, and say where each key comes from. Nothing is downloaded.

    Args:
        name, overrides: see :func:`load_config`.

    Returns:
        The config; by dotted key where it comes from, defaults left out; and what is open, one
        line each.

    Raises:
        UserError: a key or a value is wrong, or contradicts the weights.
    """
    cfg, origins = _of_a_run(name, overrides, None)
    notes = []
    if cfg.MODEL.INIT_DETECTOR and Path(cfg.MODEL.INIT_DETECTOR).is_file():
        adopt_init_detector(cfg, origins)
        adopt_architecture(cfg, origins)
    elif cfg.MODEL.INIT_DETECTOR:
        notes.append(
            f"MODEL.INIT_DETECTOR {cfg.MODEL.INIT_DETECTOR} is not here, and what it says is left"
            " out"
        )
    elif cfg.MODEL.WEIGHTS and not is_local(cfg.MODEL.WEIGHTS):
        notes.append(f"MODEL.WEIGHTS {cfg.MODEL.WEIGHTS} is not here, and what it says is left out")
    elif not cfg.MODEL.WEIGHTS and not cfg.MODEL.BACKBONE.ARCH:
        notes.append("MODEL.WEIGHTS is not set, and what follows from it is left out")
    else:
        adopt_weights(cfg, origins)
        adopt_architecture(cfg, origins)
    try:
        adopt_data(cfg, origins)
    except UserError as error:
        notes.append(f"what follows from the data is left out: {error}")
    return cfg, origins.given | origins.adopted, notes


def load_evaluation_config(
    name: str,
    overrides: Sequence[str] = (),
    backbone: str | None = None,
    detector: str | Path | None = None,
) -> tuple[CfgNode, BackboneCard | None, Path]:
    """Do what :func:`load_config` does for a trained detector that is to be evaluated.

    Its file says what its backbone's would, where that is not there.

    Args:
        name, overrides, backbone: see :func:`load_config`.
        detector: its file, by default ``OUTPUT_DIR/model_final.pth``.

    Returns:
        The config, the card of the backbone, and the detector's file.

    Raises:
        UserError: as :func:`load_config`, or the file is not there or not a detector.
    """
    cfg, origins = _of_a_run(name, overrides, backbone)
    path, content = _detector_file(cfg, detector)
    _adopt_trained(cfg, origins, path, content)
    card = card_of(content, path)
    if cfg.MODEL.WEIGHTS and card is not None and weights_file(cfg.MODEL.WEIGHTS) is None:
        adopt_card(cfg, origins, card, str(path))
    else:
        card = adopt_weights(cfg, origins)
    _complete(cfg, origins)
    if finds_objects(cfg) and (known := [c["name"] for c in categories_in(content, str(path))]):
        name = cfg.DATASETS.TRAIN[0]
        both = f"{path} and data set '{name}'"
        check_training_classes(both, known, name, describe_dataset(name).classes)
    made = provenance_in(content, path)
    if finds_stuff(cfg) and made is not None and made.stuff:
        name = cfg.DATASETS.TRAIN[0]
        both = f"{path} and the classes of pixels of data set '{name}'"
        check_training_classes(both, made.stuff, name, describe_dataset(name).stuff)
    return cfg, card, path


def load_detector_config(
    name: str,
    overrides: Sequence[str] = (),
    detector: str | Path | None = None,
    backbone: str | None = None,
) -> tuple[CfgNode, Path, list[dict[str, Any]]]:
    """Do what :func:`load_config` does for a trained detector, which knows what its config leaves
    out: neither its backbone's file nor its data need be there.

    Args:
        name, overrides: see :func:`load_config`.
        detector: its file, by default ``OUTPUT_DIR/model_final.pth``.
        backbone: that it was trained from, where that tells ``OUTPUT_DIR``.

    Returns:
        The config, the detector's file, and its classes, see :mod:`~.categories`.

    Raises:
        UserError: a key or a value is wrong, or the file is not there or not a detector.
    """
    cfg, origins = _merged(_with_backbone(_layers(name, overrides), backbone))
    adopt_folder(cfg, origins, name)
    if not finds_objects(cfg):
        raise UserError(
            f"config {name} is of a {cfg.MODEL.META_ARCHITECTURE}, which finds no objects; give one"
            " of a detector"
        )
    path, content = _detector_file(cfg, detector)
    _adopt_trained(cfg, origins, path, content)
    adopt_device(cfg, origins)
    adopt_card(cfg, origins, card_of(content, path), str(path))
    adopt_architecture(cfg, origins)
    categories = categories_in(content, str(path))
    if categories:
        adopt_classes(cfg, origins, len(categories), str(path))
        if finds_stuff(cfg):
            adopt_stuff_classes(cfg, origins, stuff_classes_in(content, str(path)), str(path))
    else:
        # of a version that did not keep them, or of another program
        adopt_data(cfg, origins)
        categories = categories_of(cfg.DATASETS.TRAIN[0])
        logger.warning(
            f"{path} does not name its classes; they are taken to be those of data set"
            f" '{cfg.DATASETS.TRAIN[0]}', in its order"
        )
    check_test_time_augmentation(cfg)
    check_switches(cfg, origins)
    cfg.freeze()
    return cfg, path, categories


def sources_of_config(name: str, overrides: Sequence[str] = ()) -> dict[str, Source]:
    """Return where the data sets of a config come from; its weights need not be there.

    Args:
        name, overrides: see :func:`load_config`.

    Raises:
        UserError: a key or a value is wrong, or there are no data sets.
    """
    cfg, origins = _merged(_layers(name, overrides))
    register_custom(cfg.DATASETS.CUSTOM, origins.folder_of("DATASETS.CUSTOM"))
    own = [entry["NAME"] for entry in cfg.DATASETS.CUSTOM]
    names = list(dict.fromkeys([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST, *own]))
    if not names:
        raise UserError(f"config {name} names no data sets")
    terms = Terms(crowds_are_objects(cfg))
    return {one: with_terms(source_of(one), terms) for one in names}


def run_folder(name: str) -> Path | None:
    """Return the run folder that a config lies in, or None if it is no run's ``config.yaml``."""
    path = find_config(name)
    products = (RECORD_NAME, "last_checkpoint", FINAL)
    kept = path.name == CONFIG_NAME and any((path.parent / file).exists() for file in products)
    return path.parent if kept else None


def run_name(cfg: CfgNode, config: str, backbone: str | None = None) -> str:
    """Return what a run is called: as its config, or as its folder, where that says more.

    Args:
        cfg: complete.
        config, backbone: what it was made from, see :func:`load_config`.
    """
    folder, stem = Path(cfg.OUTPUT_DIR), Path(config).stem
    # the backbone is in its name, or it holds its config, whose own name is that of all such files
    says_more = (
        backbone
        or run_folder(config)
        or str(folder) == folder_of_run(stem, cfg.MODEL.WEIGHTS, cfg.SEED, cfg.MODEL.INIT_DETECTOR)
        or find_config(config).absolute().parent == folder.absolute()
    )
    return folder.absolute().name if says_more else stem


def _layers(name: str, overrides: Sequence[str]) -> list[Layer]:
    """Read a config file; that of a run means its folder, wherever that is now."""
    layers, folder = read_layers(find_config(name)), run_folder(name)
    if folder is not None:
        layers.append(Layer({"OUTPUT_DIR": str(folder)}, layers[-1].source))
    return [*layers, command_line(overrides)]


def _with_backbone(layers: list[Layer], backbone: str | None) -> list[Layer]:
    if backbone is None:
        return layers
    return [*layers, Layer(keys_of_backbone(backbone, layers), "--backbone")]


def _of_a_run(name: str, overrides: Sequence[str], backbone: str | None) -> tuple[CfgNode, Origins]:
    """Return the config of a run, and its origins, without what follows from weights and data."""
    cfg, origins = _merged(_with_backbone(_layers(name, overrides), backbone))
    check_seed(cfg.SEED)
    adopt_folder(cfg, origins, name)
    adopt_device(cfg, origins)
    check_solver(cfg)
    scale_learning_rate(cfg, origins)
    return cfg, origins


def _complete(cfg: CfgNode, origins: Origins) -> None:
    """Do the rest for a config that knows its weights, and freeze it."""
    adopt_architecture(cfg, origins)
    adopt_data(cfg, origins)
    check_augmentation(cfg)
    check_test_time_augmentation(cfg)
    check_switches(cfg, origins)
    if Path(cfg.OUTPUT_DIR).is_file():
        raise UserError(f"OUTPUT_DIR {cfg.OUTPUT_DIR} is a file; give a folder")
    cfg.freeze()


def _detector_file(cfg: CfgNode, detector: str | Path | None) -> tuple[Path, dict[str, Any]]:
    """Return a trained detector's file and its content without the tensors."""
    path = Path(detector or Path(cfg.OUTPUT_DIR) / FINAL)
    if not path.is_file():
        raise UserError(f"no detector at {path}; {_other_detectors(cfg)}")
    content = peek_checkpoint(path)
    if is_backbone(content):
        raise UserError(f"{path} is a backbone; give the detector that was trained from it")
    return path, content


def _adopt_trained(cfg: CfgNode, origins: Origins, path: Path, content: Mapping[str, Any]) -> None:
    """Take the model that a detector's file says it is, if it does."""
    made = provenance_in(content, path)
    if made is not None:
        adopt_model(cfg, origins, made.config, str(path))


def _other_detectors(cfg: CfgNode) -> str:
    """Say which trained detectors there are of a config, or else what to do."""
    folder = Path(cfg.OUTPUT_DIR)
    stem = folder.name.removesuffix(f"_{name_of_backbone(cfg.MODEL.WEIGHTS)}")
    runs = [found.parent.name for found in sorted(folder.parent.glob(f"{stem}_*/{FINAL}"))]
    if runs:
        return f"say by --backbone which of {', '.join(runs)} is meant, or give --weights FILE"
    return "train it first, or give --weights FILE"


def _merged(layers: Sequence[Layer]) -> tuple[CfgNode, Origins]:
    """Lay configs over the defaults; return the result, and the origins of the keys they set."""
    cfg, origins = detection_defaults(), Origins()
    for layer in layers:
        layer.keys.pop("VERSION", None)
        settle_reference(layer.keys)
    origins.given |= merge_layers(cfg, layers)
    beside = origins.folder_of("DATASETS.CUSTOM")
    cfg.DATASETS.CUSTOM = located_entries(cfg.DATASETS.CUSTOM, beside)
    check_keys(cfg)
    return cfg, origins
