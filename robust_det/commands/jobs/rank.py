"""Rank backbones for a data set by the features of frozen ones, in minutes on a CPU.

robust-det rank --data PLACE|--config CONFIG --backbones PATTERN [PATTERN ...] --output DIR
                [--size N] [--images N] [--resamples N] [--seed N] [--separate] [--lenient]
                [--reached RUN [RUN ...]] [--device DEVICE]

Nothing is fine-tuned. Of a detection set, the features of its boxes, and of as many boxes of
background, are pooled from two frozen stages; of a classification set, they are those that the last
layer is given. A ridge is to tell classes from them, of boxes and images that it has not seen. Only
training images are looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

if TYPE_CHECKING:
    from robust_det.ranking.subject import Subject
    from robust_det.zoo.backbone_files import BackboneFile

EXAMPLES = (
    "robust-det rank --data cells/ --backbones 'resnet18_l2_eps*' --output output/rank",
    "robust-det rank --config my_data.yaml --backbones a.pth b.pth --output output/rank",
    "robust-det rank --data cells/ --backbones '*.pth' --output ranks --reached output/detection",
)
_BOX_IMAGES = 500  # of detection sets, if nothing says how many
_LEAST = {"size": 32, "images": 2, "resamples": 40, "seed": 0}


def main(args: argparse.Namespace) -> None:
    """Rank, and say where the files are."""
    _check(args)

    import robust_det.detection  # noqa: F401
    from robust_det.ranking.rank import Options, rank
    from robust_det.ranking.reached import read_reached
    from robust_det.ranking.record import refuse_others
    from robust_det.zoo.backbone_files import find_backbones

    options = Options(args.resamples, args.seed, args.separate, args.device)
    options.check()
    # all that may be wrong is found before anything takes time
    refuse_others(Path(args.output))
    reached = read_reached(args.reached) if args.reached else []
    files, notes = find_backbones(args.backbones)
    subject = _subject(args, files)
    for note in (*subject.notes, *notes):
        print(f"note: {note}")
    record, text = rank(subject, files, args.output, options, reached)
    print(f"\n{text}\n\nranking: {Path(args.output, 'ranking.md')} ({record.wall_time_s:.0f} s)")


def _check(args: argparse.Namespace) -> None:
    """Refuse a wrong command line before anything slow is imported."""
    if not args.data and not args.config:
        raise UserError("nothing says which data: give --data PLACE, or --config FILE")
    for option, least in _LEAST.items():
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"--{option} is {value}; it starts from {least}")
    if args.config:
        from robust_det.core.config.reading import find_config

        find_config(args.config)


def _subject(args: argparse.Namespace, files: Sequence[BackboneFile]) -> Subject:
    """Return the data set, of boxes or of images."""
    from robust_det.core.config.reading import find_config, load_raw
    from robust_det.data.detection.layouts import ImagesOfClasses, recognise
    from robust_det.data.detection.layouts.csv_files import TABLES, is_table

    if args.config:
        path = find_config(args.config)
        data = load_raw(path).get("DATASETS")
        if not isinstance(data, Mapping):
            return _of_images(args, files)
        if args.data:
            raise UserError(f"{path} names its data sets; leave --data out")
        return _of_boxes(args, args.lenient or data.get("LENIENT") is True)
    place = Path(args.data)
    if place.suffix.lower() in TABLES and place.is_file() and not is_table(place):
        return _of_images(args, files, "csv")
    if place.is_dir():
        try:
            recognise(place)
        except ImagesOfClasses:
            return _of_images(args, files)
    return _of_boxes(args, args.lenient)


def _of_boxes(args: argparse.Namespace, lenient: bool) -> Subject:
    from robust_det.commands.data.given import given_data
    from robust_det.ranking.box_subject import BoxSubject
    from robust_det.ranking.boxes import read_boxes

    where = args.config or args.data
    given = given_data(where)
    # by name of a config, and by role of a layout
    training = dict(given.sources[each] for each in given.train)
    if not training:
        raise UserError(
            f"{where} has nothing to train on, by which backbones are ranked, but"
            f" {', '.join(given.sources) or 'no data sets'}"
        )
    images = _BOX_IMAGES if args.images is None else args.images
    boxes = read_boxes(training, images=images, seed=args.seed, lenient=lenient)
    return BoxSubject(boxes, args.size)


def _of_images(args: argparse.Namespace, files: Sequence[BackboneFile], name: str = "") -> Subject:
    from robust_det.ranking.image_subject import ImageSubject
    from robust_det.transfer.settings import explain

    pairs = [("DATA.ROOT", args.data), ("DATA.SET", name)]
    cfg, _ = explain(args.config, (), [word for pair in pairs if pair[1] for word in pair])
    return ImageSubject(
        cfg,
        files,
        size=args.size,
        images=args.images,
        seed=args.seed,
        lenient=args.lenient or cfg.DATA.ON_CORRUPT == "skip",
    )


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "--data",
        metavar="PLACE",
        help="annotated images in any format that train --data takes, or folders of classes as"
        " transfer --data takes; with the config of a transfer, its DATA.ROOT",
    )
    parser.add_argument("--config", help="config of robust-det train or transfer, for its data")
    parser.add_argument(
        "--backbones",
        required=True,
        nargs="+",
        metavar="PATTERN",
        help="files, names of the zoo, and patterns of either in quotes, as 'resnet50_l2_eps*'",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the ranking")
    parser.add_argument(
        "--size",
        type=int,
        help="pixels: of boxes, the shorter side that images are brought to, if not given their"
        " median, from 64 to 256; of classes, what networks see, if not given their own size",
    )
    parser.add_argument(
        "--images",
        type=int,
        help="how many to take, by a draw; if not given 500 with boxes, or 1000 of classes (5 of"
        " each at least)",
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the intervals")
    parser.add_argument("--seed", type=int, default=0, help="of all draws")
    parser.add_argument(
        "--separate",
        action="store_true",
        help="a row for each file, also of several with one eps, such as seeds of a pretraining",
    )
    parser.add_argument(
        "--lenient",
        action="store_true",
        help="go on without what is unsound in the data, as DATASETS.LENIENT does, and without"
        " images that cannot be read",
    )
    parser.add_argument(
        "--reached",
        nargs="+",
        default=[],
        metavar="RUN",
        help="finished runs from these backbones: folders or records, whose figures the scores are"
        " correlated with",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
