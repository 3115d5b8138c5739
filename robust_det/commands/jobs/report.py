"""Write a static site of all runs: overview, comparisons, questions, a page for each run.

robust-det report --runs RUN [RUN ...] --output DIR [--title T]
                  [--annotations FILE] [--images DIR] [--pictures N] [--latex]

Open DIR/index.html in a browser: it needs no server and no network. The first page has a line for
each architecture, eps and task, which can be sorted, filtered and searched; it names what enters no
mean, and why. Of detectors, intervals and kinds of errors are added where the detections are beside
their records and the ground truth is where these say, or named by --annotations. --latex adds the
tables for a paper, tables.tex.
"""

from __future__ import annotations

import argparse

from robust_det.core.cli import Parser

EXAMPLES = (
    "robust-det report --runs output --output site",
    "robust-det report --runs docs/results --output site --images datasets/bccd/JPEGImages",
)


def main(args: argparse.Namespace) -> None:
    """Write it, and say where the first page is."""
    from robust_det.analysis.options import Options
    from robust_det.site.build import build_site

    options = Options(
        annotations=tuple(args.annotations),
        pictures=args.pictures,
        images=tuple(args.images),
        latex=args.latex,
    )
    page, text = build_site(args.runs, args.output, args.title, options)
    print(f"\n{text}\n\nsite: {page}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    from robust_det.commands.jobs.compare import add_shown

    parser.add_argument(
        "--runs",
        nargs="+",
        required=True,
        metavar="RUN",
        help="a run's folder, a folder of such, or a record.json, of any kind",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the site")
    parser.add_argument("--title", help="heading of the first page")
    add_shown(parser)
