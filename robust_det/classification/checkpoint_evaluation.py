"""Validation of a checkpoint of any origin, as it was trained: what ``--eval-only`` does."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from robust_det.checkpoints.model import Model
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.attack_settings import attack_doubts, eval_attack_words
from robust_det.classification.class_order import class_indices, class_names, class_notes
from robust_det.classification.image_sets import require_room, validation_set
from robust_det.classification.own_validation import own_validation_notes
from robust_det.classification.per_class.table import CLASSES_NAME
from robust_det.classification.pretrain_record import write_evaluation_record
from robust_det.classification.settings import check_config, idle_remarks, memory_layout
from robust_det.classification.validation_report import ValidationReport
from robust_det.core.config.reading import COMMAND_LINE, CfgNode, flatten
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError
from robust_det.data.classification.image_list import ImageList
from robust_det.records import RECORD_NAME
from robust_det.training.run_folder import held_evaluation
from robust_det.training.world import joined_world, world_from_environment

__all__ = ["as_trained", "evaluate_checkpoint"]

logger = logging.getLogger(__name__)

_ROUNDING = 1e-4
_SIZE = "DATA.IMAGE_SIZE"


def evaluate_checkpoint(
    cfg: CfgNode,
    weights: NetworkFile,
    origins: Mapping[str, str] | None = None,
    name: str = "eval",
) -> dict[str, float]:
    """Validate a checkpoint on the config's data, and write a record of it.

    Args:
        cfg: a checked pretraining config.
        weights: of any format that :func:`.read_model` reads.
        origins: where each key that was set comes from, see
            :func:`~robust_det.classification.settings.explain`.
        name: of the evaluation, for its record in ``OUTPUT_DIR/eval``, or ``eval-2`` and so on.

    Returns:
        See :func:`robust_det.classification.evaluate.evaluate`.

    Raises:
        UserError: no checkpoint, one of other classes than the data's, or one that a key of the
            command line contradicts.
    """
    device = resolve_device(cfg.DEVICE, world_from_environment().local_rank)
    with joined_world(device) as world:
        path, model = weights.path, _read(cfg, weights, origins or {})
        cfg, remarks = as_trained(cfg, model, path, origins or {})
        classifier = model.classifier()
        data, held_out = validation_set(cfg)
        indices = class_indices(data.classes, model, data.folder)
        data.targets = np.array(indices)[data.targets]
        if world.is_main:
            for line in _description(cfg, model, path, data):
                logger.info(line)
            if held_out is not None:
                logger.info(held_out.words(data))
            own = own_validation_notes(model, data, held_out)
            notes = (*remarks, *class_notes(model, indices, data.folder), *data.notes, *own)
            doubts = (*attack_doubts(cfg, ("EVAL",)), *idle_remarks(cfg, origins or {}))
            for remark in (*notes, *model.remarks, *doubts):
                logger.warning(remark)
        require_room(cfg, world.size, training=0, validation=len(data))
        classifier.to(device).to(memory_format=memory_layout(cfg))
        begun = time.perf_counter()
        with held_evaluation(Path(cfg.OUTPUT_DIR), RECORD_NAME, world) as (folder, _):
            names = class_names(model, data.classes, indices)
            shown = ValidationReport(cfg, names, data, device)
            values = shown.validate(classifier, world)
            if world.is_main:
                shown.write_classes(folder / CLASSES_NAME)
                shown.conclude(folder, path.name)
                record = write_evaluation_record(
                    folder,
                    name=name,
                    cfg=cfg,
                    weights=path,
                    card=model.card,
                    classes=len(data.classes),
                    held_out=held_out,
                    values=values,
                    device=str(device),
                    processes=world.size,
                    seconds=time.perf_counter() - begun,
                )
                logger.info(f"record: {record}")
        return values


def _read(cfg: CfgNode, weights: NetworkFile, origins: Mapping[str, str]) -> Model:
    """Read a model, with the config's normalisation if it says one and the file says none."""
    own = {"MODEL.MEAN", "MODEL.STD"} <= set(origins)
    model = weights.read(any_range=own)
    if not (own and model.assumed):
        return model
    notes = tuple(note for note in model.notes if note != model.assumed)
    return replace(
        model, mean=tuple(cfg.MODEL.MEAN), std=tuple(cfg.MODEL.STD), notes=notes, assumed=""
    )


def as_trained(
    cfg: CfgNode, model: Model, path: Path, origins: Mapping[str, str]
) -> tuple[CfgNode, list[str]]:
    """Return a config with what a file says of its network, and which of its keys were others.

    Architecture, normalisation, size of images and threat model are the file's, but for a size on
    the command line. ``EVAL.*`` is what is asked of it, and stays.

    Raises:
        UserError: the command line says something else of the network than the file, or nothing
            says what an attack's norm is.
    """
    own, asked = cfg.clone(), flatten(cfg)
    own.defrost()
    said, refused = [], []
    for key, known in _facts(model):
        if not _differs(asked[key], known):
            continue
        difference = f"{key} {_shown(known)}, not {_shown(asked[key])}"
        source = origins.get(key, "")
        if source == COMMAND_LINE and key == _SIZE:  # networks take images of any size
            said.append(f"{path} has {_SIZE} {known}; {asked[key]} of the command line counts")
            continue
        if source == COMMAND_LINE:
            refused.append(difference)
        elif source:
            said.append(f"{path} has {difference} of {source}, and counts")
        own.merge_from_list([key, known])
    if refused:
        keys = ", ".join(each.partition(" ")[0] for each in refused)
        other = "; EVAL.NORM and EVAL.EPS ask for another attack" if "ATTACK" in keys else ""
        raise UserError(f"{path} has {'; '.join(refused)}", f"leave {keys} out{other}")
    if not model.described and _SIZE not in origins:
        own.DATA.IMAGE_SIZE = model.image_size
    if model.eps is None:
        said.append(_unknown_threat(own, path, origins))
    elif own.EVAL.EPS > 0 and not (own.EVAL.NORM or model.norm or "ATTACK.NORM" in origins):
        raise _without_norm(own)
    if origins.get("DATA.RESIZE") != COMMAND_LINE:
        own.DATA.RESIZE = round(cfg.DATA.RESIZE * own.DATA.IMAGE_SIZE / cfg.DATA.IMAGE_SIZE)
    check_config(own)
    own.freeze()
    return own, said


def _facts(model: Model) -> Iterator[tuple[str, Any]]:
    yield "MODEL.ARCH", model.arch
    yield "MODEL.MEAN", list(model.mean)
    yield "MODEL.STD", list(model.std)
    if model.described:
        yield _SIZE, model.image_size
    if model.eps is not None:
        if model.norm and model.eps > 0:  # of eps 0 any norm is the same
            yield "ATTACK.NORM", model.norm
        yield "ATTACK.EPS", float(model.eps)


def _unknown_threat(cfg: CfgNode, path: Path, origins: Mapping[str, str]) -> str:
    """Settle the threat model of a file that does not say it; return what was assumed."""
    if "ATTACK.EPS" in origins and cfg.EVAL.EPS < 0:
        return f"{path} does not say its threat model; that of ATTACK.NORM and ATTACK.EPS is taken"
    if "ATTACK.EPS" not in origins:
        cfg.ATTACK.EPS = 0.0
    if cfg.EVAL.EPS <= 0:
        return (
            f"{path} does not say its threat model: there is no attack; EVAL.NORM and EVAL.EPS ask"
            " for one"
        )
    if not (cfg.EVAL.NORM or "ATTACK.NORM" in origins):
        raise _without_norm(cfg)
    return f"{path} does not say its threat model; the attack is that of EVAL"


def _without_norm(cfg: CfgNode) -> UserError:
    return UserError(f"EVAL.EPS {cfg.EVAL.EPS:g} needs EVAL.NORM, l2 or linf")


def _differs(asked: Any, known: Any) -> bool:
    if isinstance(known, str):
        return bool(asked != known)
    return not np.allclose(asked, known, rtol=_ROUNDING, atol=1e-6)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _description(cfg: CfgNode, model: Model, path: Path, data: ImageList) -> Iterator[str]:
    """Say what is evaluated, and by which attack."""
    trained = "an unknown threat model"
    if model.eps is not None:
        trained = f"{model.norm} eps {model.eps:.6g}" if model.eps else "standard training (eps 0)"
    yield (
        f"evaluating {path} ({model.format}): {model.arch}, {trained}, images of"
        f" {cfg.DATA.IMAGE_SIZE} px out of {cfg.DATA.RESIZE}, mean {_shown(cfg.MODEL.MEAN)}, std"
        f" {_shown(cfg.MODEL.STD)}"
    )
    words = eval_attack_words(cfg, len(data))
    yield (
        f"attack: {words}"
        if words
        else (f"no attack (eps 0), {len(data)} images; EVAL.EPS asks for one")
    )
