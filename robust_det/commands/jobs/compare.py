"""Compare the AP of detection runs, or the accuracy of transfers and classifiers, by their records.

robust-det compare RUN [RUN ...] --output DIR [--title T]
                   [--significance [--resamples N] [--seed N] [--interval KIND]] [--errors]
                   [--annotations FILE] [--images DIR] [--pictures N] [--latex]

Prints the answer and the tables and writes them as Markdown and CSV, with plots and an HTML page,
into DIR. With --significance it adds 95% bootstrap intervals over images and paired differences, on
which a yes or no rests, and with --errors the kinds of errors, from the detections that the runs
have kept. Intervals of single figures are of the basic (reflected percentile) kind, those of
differences the percentiles. Transfers have t intervals over pretraining runs without an option.
--latex adds tables.tex, the tables with booktabs for a paper.
"""

from __future__ import annotations

import argparse

from robust_det.core.cli import Parser

EXAMPLES = (
    "robust-det compare output/detection --output report",
    "robust-det compare output/standard output/robust --output report --significance --errors",
)


def main(args: argparse.Namespace) -> None:
    """Compare, and say where the page is."""
    from robust_det.analysis.compare import compare
    from robust_det.analysis.options import Options
    from robust_det.core.errors import UserError

    of_bootstrap = {
        name: value
        for name in ("resamples", "seed", "interval")
        if (value := getattr(args, name)) is not None
    }
    if of_bootstrap and not args.significance:
        raise UserError(
            f"--{next(iter(of_bootstrap))} is of --significance; add it, or leave it out"
        )
    options = Options(
        args.significance,
        args.errors,
        annotations=tuple(args.annotations),
        pictures=args.pictures,
        images=tuple(args.images),
        latex=args.latex,
        **of_bootstrap,
    )
    page, text = compare(args.runs, args.output, args.title, options)
    print(f"\n{text}\n\nreport: {page}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, a folder of such, or a record.json; transfers' and classifiers' too",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument(
        "--significance",
        action="store_true",
        help="95%% bootstrap intervals over images, and paired differences: what answers rest on",
    )
    parser.add_argument("--resamples", type=int, help="of the bootstrap; 1000 if not given")
    parser.add_argument("--seed", type=int, help="of the bootstrap; 0 if not given")
    parser.add_argument(
        "--interval",
        choices=("basic", "percentile"),
        help="kind of the intervals of single figures: basic (reflected), which turns the"
        " percentiles about the figure and is used if not given, or the percentiles as they are;"
        " those of differences are percentiles",
    )
    parser.add_argument(
        "--errors", action="store_true", help="kinds of errors and what they cost, as TIDE"
    )
    add_shown(parser)


def add_shown(parser: Parser) -> None:
    """Add what says where ground truth and images are, how many are shown, and in what form."""
    parser.add_argument(
        "--annotations",
        action="append",
        default=[],
        metavar="FILE",
        help="ground truth that is no longer where a record says; told by its hash, repeatable",
    )
    parser.add_argument(
        "--images",
        action="append",
        default=[],
        metavar="DIR",
        help="folder of test images that are no longer where a record says; repeatable",
    )
    parser.add_argument(
        "--latex", action="store_true", help="the tables for a paper as well: tables.tex"
    )
    parser.add_argument(
        "--pictures",
        type=int,
        default=6,
        help="how many test images to show with what was found in them; 6 if not given",
    )
