"""Check data sets, print their statistics, and draw samples.

robust-det inspect --data FILE_OR_FOLDER
robust-det inspect --config CONFIG [KEY VALUE ...]
robust-det inspect --json FILE --images FOLDER [--crowd objects]
robust-det inspect --voc FOLDER --split SPLIT [--origin 0]
robust-det inspect --yolo DATA_YAML --split SPLIT
                   [--decode] [--output FOLDER] [--samples N] [--seed N]
"""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path
from typing import Any

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det inspect --data photos-with-annotations",
    "robust-det inspect --json annotations.json --images photos --decode --output look",
    "robust-det inspect --yolo data.yaml --split train",
    "robust-det inspect --config tiny_r18_eps0_bccd.yaml",
)
# options that have a meaning for some forms alone
_OF_FORMS = {
    "images": ("json",),
    "split": ("voc", "yolo"),
    "classes": ("voc", "yolo"),
    "origin": ("voc",),
}


def main(args: argparse.Namespace) -> int:
    """Inspect one data set after the other; 1 if any of them has problems."""
    _check(args)

    import robust_det.detection  # noqa: F401
    from robust_det.commands.data.given import given_data
    from robust_det.core.locks import sole_writer
    from robust_det.detection.config import sources_of_config
    from robust_det.detection.datasets.inspection import inspect_dataset, refuse_others

    if args.config:
        sources = sources_of_config(args.config, args.overrides)
    elif args.data:
        sources = dict(given_data(args.data).sources.values())
    else:
        sources = {_name(args): _of_arguments(args)}
    folders = {name: Path(args.output, name) if args.output else None for name in sources}
    with sole_writer(args.output) if args.output else contextlib.nullcontext():
        for folder in filter(None, folders.values()):
            refuse_others(folder)
        sound = True
        for number, (name, source) in enumerate(sources.items()):
            if number:
                print()
            try:
                sound &= inspect_dataset(
                    name,
                    source,
                    decode=args.decode,
                    folder=folders[name],
                    samples=16 if args.samples is None else args.samples,
                    seed=args.seed or 0,
                )
            except UserError as error:
                if len(sources) == 1:
                    raise
                # the others are worth a look
                print(f"{name}\n\nproblem: {error}")
                sound = False
    return 0 if sound else 1


def _check(args: argparse.Namespace) -> None:
    """Refuse a wrong command line before anything slow is imported."""
    given = [form for form in ("data", "config", "json", "voc", "yolo") if getattr(args, form)]
    if len(given) != 1:
        raise UserError("give one of --config, --json, --voc and --yolo, or --data")
    if args.overrides and given != ["config"]:
        raise UserError(f"KEY VALUE pairs belong to --config; got {' '.join(args.overrides)}")
    for option, least in (("samples", 1), ("seed", 0)):
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"--{option} is {value}; it starts from {least}")
        if value is not None and not args.output:
            raise UserError(f"--{option} is of the sheet; add --output, which keeps it")
    if args.json and not args.images:
        raise UserError("--json needs --images, the folder of its images")
    if args.crowd and not args.json:
        raise UserError("--crowd belongs to --json; of a config, it is DATASETS.CROWD")
    for option, forms in _OF_FORMS.items():
        if getattr(args, option) is not None and given[0] not in forms:
            owners = " and ".join(f"--{form}" for form in forms)
            raise UserError(f"--{option} belongs to {owners}, and has no effect with --{given[0]}")
    if (args.voc or args.yolo) and not args.split:
        raise UserError(f"--{given[0]} needs --split, such as train")
    if args.config:
        from robust_det.core.config.reading import find_config

        find_config(args.config)
    elif not args.data and not os.path.exists(getattr(args, given[0])):
        _of_arguments(args).read(_name(args))  # which says so


def _of_arguments(args: argparse.Namespace) -> Any:
    from robust_det.data.detection.checking.terms import Terms
    from robust_det.data.detection.entries import class_list
    from robust_det.data.detection.readers.coco_json import CocoSource
    from robust_det.data.detection.readers.voc_folder import VocSource
    from robust_det.data.detection.readers.yolo_folder import YoloSource

    if args.json:
        return CocoSource(args.json, args.images, terms=Terms(args.crowd == "objects"))
    classes = class_list(args.classes.split(",") if args.classes else [], "--classes")
    if args.voc:
        origin = 1 if args.origin is None else args.origin
        return VocSource(args.voc, args.split, classes, origin)
    return YoloSource(args.yolo, args.split, classes)


def _name(args: argparse.Namespace) -> str:
    if args.json:
        return Path(args.json).stem
    folder = Path(args.voc or args.yolo).absolute()
    return f"{folder.parent.name if folder.suffix else folder.name}_{args.split}"


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "--data",
        help="file or folder, in any format that train --data takes: what is there is told",
    )
    parser.add_argument("--config", help="config file, or its name below configs/")
    parser.add_argument("--json", help="COCO annotations")
    parser.add_argument("--images", help="of --json: the folder of its images")
    parser.add_argument(
        "--crowd", choices=("ignore", "objects"), help="of --json: what iscrowd 1 means"
    )
    parser.add_argument("--voc", help="folder of annotations in VOC's XML and images")
    parser.add_argument("--yolo", help="data.yaml, obj.data, or a folder in YOLO layout")
    parser.add_argument("--split", help="of --voc and --yolo, such as train")
    parser.add_argument("--classes", help="of --voc and --yolo: names with commas between them")
    parser.add_argument(
        "--origin", type=int, choices=(0, 1), help="of --voc: the first pixel's number, 1 if unset"
    )
    parser.add_argument("--decode", action="store_true", help="find truncated images as well")
    parser.add_argument("--output", help="folder for stats.json, histograms and samples")
    parser.add_argument("--samples", type=int, help="images on the sheet; 16 if unset")
    parser.add_argument("--seed", type=int, help="of the choice of samples; 0 if unset")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
