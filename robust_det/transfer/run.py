"""A transfer, from a config to the folder of a run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from robust_det.checkpoints.model_file import NetworkFile
from robust_det.core.config.reading import CfgNode
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.core.seeding import seed_generators
from robust_det.data.transfer.manifest import read_manifest, write_manifest
from robust_det.data.transfer.metrics import accuracies
from robust_det.records import RECORD_NAME, read_record, write_record
from robust_det.records.later_keys import completed
from robust_det.records.transfer import Selection, TransferRecord
from robust_det.training.engine import LAST
from robust_det.training.run_folder import held_folder, refuse_other_config, refuse_other_run
from robust_det.training.trackers.trackers import require_installed
from robust_det.training.world import joined_world, world_from_environment
from robust_det.transfer.classifier import (
    classifier_of,
    description,
    transferred_card,
    write_classifier,
)
from robust_det.transfer.corruptions import corrupted_accuracy, require_corruptions
from robust_det.transfer.fixed_feature.extracted import extracted
from robust_det.transfer.fixed_feature.find import find_head
from robust_det.transfer.given import Given
from robust_det.transfer.measure import measured, require_agreement
from robust_det.transfer.record import Result, transfer_record
from robust_det.transfer.resolve import resolved
from robust_det.transfer.sets import TransferSet, open_set, refuse_other_images
from robust_det.transfer.settings import SETTINGS, trains_by_sgd
from robust_det.transfer.sgd.train import train_by_sgd

__all__ = ["CLASSIFIER", "MANIFEST", "finished_record", "transfer"]

logger = logging.getLogger(__name__)

CLASSIFIER, MANIFEST = "final.pth", "manifest.csv"
_PRODUCTS = (RECORD_NAME, CLASSIFIER)
# keys that change where or how fast a run goes, but not what comes out
_FREE_KEYS = (
    "OUTPUT_DIR",
    "DEVICE",
    "DATA.ROOT",
    "DATA.MANIFEST",
    "DATA.WORKERS",
    "LOG.WANDB",
    "LOG.MLFLOW",
)


def transfer(
    cfg: CfgNode, name: str, backbone: NetworkFile, resume: bool = False
) -> TransferRecord:
    """Run a config to its end.

    Args:
        cfg: see :func:`.settings.explain`.
        name: of the run, for its record.
        backbone: the file of what is transferred, of any format that :func:`.read_model` reads.
        resume: go on with the run in ``OUTPUT_DIR`` if there is one; a finished one is returned.

    Raises:
        UserError: data, device, backbone or folder do not fit.
        SystemExit: SIGTERM or SIGUSR1, and the state is saved.
        KeyboardInterrupt: Ctrl-C, likewise.
    """
    if trains_by_sgd(cfg):
        require_installed(cfg)
    device = resolve_device(cfg.DEVICE, world_from_environment().local_rank)
    folder = Path(cfg.OUTPUT_DIR)
    with joined_world(device) as world, held_folder(folder, world) as held:
        if world.size > 1 and not trains_by_sgd(cfg):
            raise UserError(
                f"features are extracted by one process, not {world.size}; start one, or train by"
                " SGD"
            )
        resume = resume or held.restarted
        refuse_other_run(folder, _PRODUCTS, resume, _PRODUCTS)
        model, sha256 = backbone.read(), sha256_file(backbone.path)
        cfg, remarks = resolved(cfg, model, str(backbone.path))
        require_corruptions(cfg)
        finished = (folder / RECORD_NAME).exists()
        record = finished_record(folder, cfg, sha256) if finished else None
        data = open_set(cfg)
        if record is not None:
            refuse_other_images(record.data.manifest, data, folder)
            logger.info(f"{folder} is finished already; nothing to do")
            return record
        _refuse_begun_on_others(folder, data)
        if world.is_main:
            for remark in (*model.remarks, *remarks, *data.notes):
                logger.warning(remark)
        held.begin()
        seed_generators(cfg.SEED)
        begun = time.perf_counter()
        given = Given(cfg, model, backbone.path, sha256, data, device, world, resume, name)
        result = _by_sgd(given, folder) if trains_by_sgd(cfg) else _on_features(given)
        record = transfer_record(
            cfg,
            name,
            model,
            backbone.path,
            sha256,
            data,
            result,
            device=str(device),
            processes=world.size,
            seconds=result.seconds or time.perf_counter() - begun,
        )
        if world.is_main:
            for remark in record.selection.remarks:
                logger.warning(remark)
            # not before: a run that is refused leaves nothing
            write_manifest(data.manifest, folder / MANIFEST)
            write_record(folder, record)
        held.end()
    return record


def _refuse_begun_on_others(folder: Path, data: TransferSet) -> None:
    """Refuse to go on with a run of other images, before its manifest is written over."""
    if any(folder.rglob(LAST)) and (folder / MANIFEST).exists():
        refuse_other_images(read_manifest(folder / MANIFEST).digest, data, folder)


def finished_record(folder: Path, cfg: CfgNode, sha256: str) -> TransferRecord:
    """Return the record of a run that is finished.

    Args:
        folder: of the run.
        cfg: what is asked for, see :func:`.resolve.resolved`.
        sha256: of the backbone's file.

    Raises:
        UserError: it is of another config or backbone.
    """
    record = read_record(folder / RECORD_NAME, TransferRecord)
    before = completed(record.config, SETTINGS)
    refuse_other_config(before, cfg, (*_FREE_KEYS, "TRANSFER.BACKBONE"), folder)
    if record.weights.sha256 != sha256:
        raise UserError(
            f"{folder} is of a run with the backbone {record.weights.path}, another file; choose"
            " another OUTPUT_DIR"
        )
    return record


def _on_features(given: Given) -> Result:
    """Find a head on features."""
    cfg, data, device = given.cfg, given.data, given.device
    found = extracted(cfg, given.model, given.sha256, data, device, str(given.path))
    on_device = found.to(device)
    head = find_head(cfg, on_device, len(data.classes), data.facts.headline)
    predicted = head.predict(on_device.test.features).cpu()
    values: Mapping[str, float] = accuracies(predicted.numpy(), found.test.labels.numpy())
    if head.linear is None:
        return Result(head.selection, values, len(found.test.labels), found.skipped, None)
    card = transferred_card(cfg, given.model, data)
    classifier = classifier_of(given.model, head.linear.to(torch.device("cpu")), card)
    path = Path(cfg.OUTPUT_DIR) / CLASSIFIER
    write_classifier(path, classifier, description(cfg, card, data, given.path, given.sha256))
    if cfg.EVAL.EPS > 0:
        attacked = measured(cfg, classifier, data, device, given.world)
        half = cfg.TRAIN.PRECISION != "fp32"
        require_agreement(attacked["top1"], values["top1"], attacked["val_images"], half)
        values = {**attacked, **values}
    if cfg.TRANSFER.CORRUPTIONS:
        values = {**values, **corrupted_accuracy(cfg, classifier, data, device, given.world)}
    return Result(head.selection, values, len(found.test.labels), found.skipped, path)


def _by_sgd(given: Given, folder: Path) -> Result:
    """Train on images."""
    cfg, data, world = given.cfg, given.data, given.world
    outcome = train_by_sgd(given, folder)
    selection = Selection(outcome.on, outcome.chosen, outcome.tried, outcome.remarks)
    values = measured(cfg, outcome.classifier, data, given.device, world)
    tested, skipped = int(values["val_images"]), int(values["corrupt"])
    if cfg.TRANSFER.CORRUPTIONS:
        values |= corrupted_accuracy(cfg, outcome.classifier, data, given.device, world)
    path = folder / CLASSIFIER
    if world.is_main:
        card = outcome.classifier.card
        assert card is not None
        said = description(cfg, card, data, given.path, given.sha256)
        write_classifier(path, outcome.classifier, said)
    world.barrier()  # all read it for the record
    return Result(selection, values, tested, skipped, path, outcome.seconds)
