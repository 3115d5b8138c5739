"""From data and a backbone to the config of a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from robust_det.checkpoints.backbone_file import read_card
from robust_det.core.config.reading import flatten, merge_config, overrides_to_dict
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError, did_you_mean_file
from robust_det.core.files import write_atomically
from robust_det.core.folders import backbone_folder
from robust_det.core.seeding import check_seed
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.entries import parse_entry
from robust_det.data.detection.layouts import ALL, TEST, TRAIN, VAL, Layout, recognise
from robust_det.data.detection.source import Reading
from robust_det.data.detection.writing.coco_file import file_of, written_depth
from robust_det.data.detection.writing.splitting import split_images, write_split
from robust_det.detection.config import detection_defaults, load_config
from robust_det.detection.config.folder import folder_of_run
from robust_det.detection.config.solver import check_solver
from robust_det.detection.config.weights import weights_of
from robust_det.detection.datasets import describe_dataset
from robust_det.detection.finetuning.epochs import epochs_of
from robust_det.detection.planning.expected_time import expected_time
from robust_det.detection.planning.plan_file import PLAN_NAME, plan_table, plan_text
from robust_det.detection.planning.rules import Machine, choose, too_few
from robust_det.detection.planning.sizes import Sizes, sizes_of
from robust_det.models import get_architecture
from robust_det.records import RECORD_NAME
from robust_det.training.run_folder import refuse_other_run
from robust_det.zoo.load import path_of

__all__ = ["make_plan"]

logger = logging.getLogger(__name__)

_FRACTION = 0.2  # of the images, held out
# how names of Detectron2's data sets begin
_PUBLISHED = ("ade20k_", "cityscapes_", "coco_20", "keypoints_coco_", "lvis_", "voc_20")
_PRODUCTS = ("last_checkpoint", RECORD_NAME)


def make_plan(
    data: str,
    backbone: str | None,
    overrides: Sequence[str] = (),
    *,
    gpus: int = 0,
    resume: bool = False,
) -> Path:
    """Choose the config of a run, write it as ``plan.yaml`` into the run's folder, and say it.

    Data that are not split are split by a seed, and both parts kept in ``split`` beside the plan.

    Args:
        data: file or folder; see :func:`~robust_det.data.detection.layouts.recognise`.
        backbone: name of the zoo, or a file.
        overrides: ``KEY VALUE`` pairs, which win, and what else is chosen follows from them.
        gpus: processes that share a batch; 0 is one, on a GPU if there is one.
        resume: take the plan that is there, where the run was begun.

    Raises:
        UserError: the data or the backbone are wrong, or the folder holds a run or plan.
    """
    given = _checked(overrides)
    weights = _weights(backbone, given)
    deep = _is_deep(weights)
    layout = recognise(data)
    for note in layout.notes:
        logger.info(f"note: {note}")
    name = _name_of(layout)
    seed = given.get("SEED", 0)
    check_seed(seed)
    folder = Path(given.get("OUTPUT_DIR") or folder_of_run(name, weights, seed))
    plan = folder / PLAN_NAME
    refuse_other_run(folder, _PRODUCTS, resume, resumed_from=_PRODUCTS)
    if resume and plan.is_file() and any((folder / product).exists() for product in _PRODUCTS):
        logger.info(f"{plan} is gone on with, as it stands")
        return plan
    parts, sizes = _parts(layout, folder, given.get("DATASETS.LENIENT", False) is True)
    machine = _machine(given.get("MODEL.DEVICE", "auto"), gpus)
    choice = choose(sizes, machine, given, deep=deep)
    own = overrides_to_dict(overrides)
    fixed: dict[str, Any] = {
        "OUTPUT_DIR": str(folder),
        "MODEL.WEIGHTS": weights,
        "DATASETS.CUSTOM": list(parts.values()),
        "DATASETS.TRAIN": [parts[TRAIN]["NAME"]],
        "DATASETS.TEST": [next(parts[role]["NAME"] for role in (VAL, TEST) if role in parts)],
    }
    heading = (
        f"chosen for {data} ({layout.form}): {sizes.images} images to train on,"
        f" {sizes.objects} objects",
        "edit what you like, SOLVER.STEPS with SOLVER.MAX_ITER, and then:"
        f" robust-det train --config {plan}",
    )
    text = plan_text(heading, choice, fixed, own)
    if plan.is_file() and plan.read_text(encoding="utf-8") != text:
        raise UserError(
            f"{plan} is there, and differs from what would be chosen now; run it with --config"
            f" {plan}, remove it, or choose another OUTPUT_DIR"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(plan, lambda file: file.write(text.encode()))
    try:
        cfg, _ = load_config(str(plan), overrides, by_name=True)
        tested = describe_dataset(cfg.DATASETS.TEST[0])
        expected = expected_time(cfg, tested.images, max(1, gpus))
    except UserError:
        plan.unlink()  # of no use to anybody
        raise
    except torch.cuda.OutOfMemoryError as error:
        plan.unlink()
        raise UserError(
            f"a batch of {cfg.SOLVER.IMS_PER_BATCH} images does not fit into the GPU's memory; give"
            f" SOLVER.IMS_PER_BATCH {max(1, cfg.SOLVER.IMS_PER_BATCH // 2)}, or a smaller"
            " INPUT.MIN_SIZE_TRAIN"
        ) from error
    more = {
        "images": f"{sizes.images} to train on, {tested.images} to test on",
        "epochs": f"{epochs_of(cfg, sizes.images):.3g}",
        "expected time": f"{expected} on {cfg.MODEL.DEVICE}, as busy as it is now",
    }
    table = plan_table(choice, own, more)
    logger.info(f"{layout.form} data in {data}; the config is kept as {plan}\n{table}")
    if doubt := too_few(tested.images, tested.annotations):
        logger.warning(doubt)
    return plan


def _checked(overrides: Sequence[str]) -> dict[str, Any]:
    """Return overrides by dotted key, of a config that takes them.

    Raises:
        UserError: a key or a value is wrong, or contradicts --data.
    """
    own = overrides_to_dict(overrides)
    given, cfg = flatten(own), detection_defaults()
    merge_config(cfg, own)
    check_solver(cfg)
    if cfg.SOLVER.IMS_PER_BATCH < 1:
        raise UserError(f"SOLVER.IMS_PER_BATCH is {cfg.SOLVER.IMS_PER_BATCH}; it starts from 1")
    for key in ("DATASETS.CUSTOM", "DATASETS.TRAIN", "DATASETS.TEST"):
        if key in given:
            raise UserError(f"--data and {key} say the same; leave one of them out")
    return given


def _is_deep(weights: str) -> bool:
    """Return whether a backbone has ResNet-50's bottleneck blocks, or is another than a ResNet."""
    path = path_of(weights)
    if not path.is_file():
        raise UserError(
            f"no backbone at {path}{did_you_mean_file(path)}; robust-det zoo list shows those with"
            " names"
        )
    card = read_card(path)
    if card is None or not card.arch:
        raise UserError(f"{path} does not say what it is; convert it by robust-det convert")
    layout = get_architecture(card.arch).layout
    return layout is None or layout.bottleneck


def _weights(backbone: str | None, given: Mapping[str, Any]) -> str:
    """Return ``MODEL.WEIGHTS``.

    Raises:
        UserError: nothing says which backbone, or two things do.
    """
    own = given.get("MODEL.WEIGHTS")
    if backbone and own:
        raise UserError("--backbone and MODEL.WEIGHTS say the same; leave one of them out")
    if not backbone and not own:
        here = sorted(file.stem for file in backbone_folder().glob("*.pth"))
        yours = f"your conversions {', '.join(here[:8])}" if here else "your conversions (none yet)"
        raise UserError(
            "--data needs --backbone: a file, a published one such as resnet18_l2_eps0 and"
            f" resnet18_l2_eps1 (robust-det zoo list), or one of {yours}"
        )
    if own:
        return str(own)
    assert backbone
    return weights_of(backbone)


def _name_of(layout: Layout) -> str:
    """Return what data are called: as their parts, without the role."""
    role, entry = next(iter(layout.entries.items()))
    return _free(str(entry["NAME"])).removesuffix(f"_{role}")


def _free(name: str) -> str:
    """Return a name for a data set that none of Detectron2's own has."""
    return f"own_{name}" if name.startswith(_PUBLISHED) else name


def _parts(layout: Layout, folder: Path, lenient: bool) -> tuple[dict[str, dict[str, Any]], Sizes]:
    """Return the entries of what is trained and tested on, and the sizes of the former."""
    entries = {
        role: _of_objects({**entry, "NAME": _free(entry["NAME"])})
        for role, entry in layout.entries.items()
    }
    if ALL in entries or {*entries} == {TRAIN}:
        return _split(next(iter(entries.values())), folder, lenient)
    if TRAIN not in entries:
        raise UserError(
            f"{layout.place} has {' and '.join(entries)} alone, and nothing to train on; give the"
            " folder or file that has, or name the parts in DATASETS.CUSTOM of a config"
        )
    if VAL in entries and TEST in entries:
        logger.info("val is what is tested on; test is kept in the config, for later")
    return entries, sizes_of(_sound(entries[TRAIN], lenient))


def _of_objects(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry whose objects a detector learns."""
    if "PANOPTIC" not in entry:
        return dict(entry)
    if "JSON" not in entry:
        raise UserError(
            "--data trains detectors of objects, and these are panoptic annotations without them;"
            " start from a copy of coco_panoptic_fpn_1x.yaml (robust-det configs copy)"
        )
    logger.info("the objects of panoptic annotations are learnt, and not their stuff")
    return {key: entry[key] for key in ("NAME", "JSON", "IMAGES")}


def _sound(entry: Mapping[str, Any], lenient: bool, depth: Depth | None = None) -> Reading:
    name, source = parse_entry(entry)
    reading = source.read(name, depth)
    report = reading.report
    if report.problems and (not lenient or report.hopeless):
        raise UserError(report.complaint(bool(reading.images.objects)))
    if not reading.images.objects:
        raise UserError(f"data set '{name}' has no objects; there is nothing to learn from")
    return reading


def _split(
    entry: Mapping[str, Any], folder: Path, lenient: bool
) -> tuple[dict[str, dict[str, Any]], Sizes]:
    reading, place = _sound(entry, lenient, written_depth(lenient)), folder / "split"
    split = split_images(reading, _FRACTION)
    for role in (TRAIN, VAL):  # of a plan that came to nothing; the seed gives the same again
        (place / file_of(role)).unlink(missing_ok=True)
    parts, said = write_split(entry["NAME"], reading, split, place)
    listing = "\n".join(said)
    held = f"{_FRACTION:.0%} of the images are held out by seed 0"
    logger.info(f"nothing is split: {held}, in {place}\n{listing}")
    return parts, sizes_of(reading, split.train)


def _machine(device: str, gpus: int) -> Machine:
    kind = resolve_device(device).type
    if kind == "cpu":
        supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
        return Machine("cpu", bf16=bool(supported()))
    gib = torch.cuda.get_device_properties(0).total_memory / 2**30
    return Machine("cuda", max(1, gpus), gib, torch.cuda.get_device_capability()[0] >= 8)
