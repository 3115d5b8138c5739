"""Compare the AP of detection runs, by their records.

robust-det compare RUN [RUN ...] --output DIR [--title T]
                   [--significance [--resamples N] [--seed N]] [--errors] [--annotations FILE]

Prints the table and writes it as Markdown and CSV, with plots and an HTML page, into DIR. With
--significance it adds 95% intervals over images and paired differences, and with --errors the kinds
of errors, from the detections that the runs have kept.
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
    from robust_det.analysis.compare import DEFAULT_TITLE, compare
    from robust_det.analysis.significance.study import Options

    options = Options(
        args.significance, args.errors, args.resamples, args.seed, tuple(args.annotations)
    )
    title = DEFAULT_TITLE if args.title is None else args.title
    page, text = compare(args.runs, args.output, title, options)
    print(f"\n{text}\n\nreport: {page}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, a folder of such, or a record.json; pretraining too",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument(
        "--significance", action="store_true", help="bootstrap intervals and paired differences"
    )
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument(
        "--errors", action="store_true", help="kinds of errors and what they cost, as TIDE"
    )
    parser.add_argument(
        "--annotations",
        action="append",
        default=[],
        metavar="FILE",
        help="ground truth that is no longer where a record says; told by its hash, repeatable",
    )
