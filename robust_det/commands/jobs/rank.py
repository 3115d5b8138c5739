"""Rank backbones for a data set by the features of frozen ones, in minutes on a CPU.

robust-det rank --data PLACE|--config CONFIG --backbones PATTERN [PATTERN ...] --output DIR
                [--size N] [--images N] [--resamples N] [--seed N] [--separate] [--lenient]
                [--reached RUN [RUN ...]] [--device DEVICE]

Nothing is fine-tuned. Of a detection set, the features of its boxes, and of as many boxes of
background, are pooled from two frozen stages; a ridge is to tell the class of each box, without
having seen its image. What is tested on is never looked at.
"""

from __future__ import annotations

import argparse
from typing import Any

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det rank --data cells/ --backbones 'resnet18_l2_eps*' --output output/rank",
    "robust-det rank --config my_data.yaml --backbones a.pth b.pth --output output/rank",
    "robust-det rank --data cells/ --backbones '*.pth' --output ranks --reached output/detection",
)
_LEAST = {"size": 32, "images": 2, "resamples": 40, "seed": 0}


def main(args: argparse.Namespace) -> None:
    """Rank, and say where the files are."""
    _check(args)

    from pathlib import Path

    import robust_det.detection  # noqa: F401
    from robust_det.ranking.backbones import find_backbones
    from robust_det.ranking.rank import Options, rank
    from robust_det.ranking.reached import read_reached
    from robust_det.ranking.record import refuse_others

    options = Options(args.resamples, args.seed, args.separate, args.device)
    options.check()
    # all that may be wrong is found before anything takes time
    refuse_others(Path(args.output))
    reached = read_reached(args.reached) if args.reached else []
    subject = _subject(args)
    files, notes = find_backbones(args.backbones)
    for note in (*subject.notes, *notes):
        print(f"note: {note}")
    record, text = rank(subject, files, args.output, options, reached)
    print(f"\n{text}\n\nranking: {Path(args.output, 'ranking.md')} ({record.wall_time_s:.0f} s)")


def _check(args: argparse.Namespace) -> None:
    """Refuse a wrong command line before anything slow is imported."""
    if bool(args.data) == bool(args.config):
        raise UserError("give the data set as --data or --config, one of the two")
    for option, least in _LEAST.items():
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"--{option} is {value}; it starts from {least}")
    if args.config:
        from robust_det.core.config.reading import find_config

        find_config(args.config)


def _subject(args: argparse.Namespace) -> Any:
    from robust_det.commands.data.given import given_data
    from robust_det.core.config.reading import find_config, load_raw
    from robust_det.ranking.boxes import read_boxes
    from robust_det.ranking.subject import BoxSubject

    lenient = args.lenient
    if args.config:
        path = find_config(args.config)
        data = load_raw(path).get("DATASETS")
        if not isinstance(data, dict):
            raise UserError(
                f"{path} names no DATASETS to train on; give a config of robust-det train, or the"
                " data as --data"
            )
        lenient = lenient or data.get("LENIENT") is True
    given = given_data(args.config or args.data)
    training = {given.sources[role][0]: given.sources[role][1] for role in given.train}
    if not training:
        raise UserError(
            f"{args.config or args.data} has nothing to train on, which backbones are ranked by:"
            f" {', '.join(given.sources) or 'no data sets'}"
        )
    images = 500 if args.images is None else args.images
    return BoxSubject(
        read_boxes(training, images=images, seed=args.seed, lenient=lenient), args.size
    )


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "--data",
        metavar="PLACE",
        help="file or folder of annotated images, in any format that train --data takes",
    )
    parser.add_argument("--config", help="config of robust-det train, for its training data")
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
        help="shorter side in pixels that images are brought to; if not given, their median, from"
        " 64 to 256",
    )
    parser.add_argument(
        "--images", type=int, help="how many images to take, by a draw; 500 if not given"
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
        help="go on without what is unsound in the data, as DATASETS.LENIENT does",
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
