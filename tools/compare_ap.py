#!/usr/bin/env python
"""Compare the AP of detection runs, by their records.

    python tools/compare_ap.py RUN [RUN ...] --output DIR [--title T]
                               [--significance [--resamples N] [--seed N]] [--errors]
                               [--annotations FILE]

Prints the table and writes it as Markdown and CSV, with plots and an HTML page, into DIR. With
--significance it adds 95% intervals over images and paired differences, and with --errors the kinds
of errors, from the detections that the runs have kept.
"""

from __future__ import annotations

import argparse
import sys

from robust_det.analysis.compare import DEFAULT_TITLE, compare
from robust_det.analysis.significance.study import Options
from robust_det.core.cli import Parser, run_tool


def main(args: argparse.Namespace) -> None:
    options = Options(
        args.significance, args.errors, args.resamples, args.seed, tuple(args.annotations)
    )
    page, text = compare(args.runs, args.output, args.title, options)
    print(f"\n{text}\n\nreport: {page}")


def parser() -> Parser:
    out = Parser("Compare the AP of detection runs by their records: table, plots, HTML page.")
    out.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a run's folder, a folder of such, or a record.json; pretraining too",
    )
    out.add_argument("--output", required=True, metavar="DIR", help="folder for the report")
    out.add_argument("--title", default=DEFAULT_TITLE, help="heading of the page")
    out.add_argument(
        "--significance", action="store_true", help="bootstrap intervals and paired differences"
    )
    out.add_argument("--resamples", type=int, default=1000, help="of the bootstrap")
    out.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    out.add_argument(
        "--errors", action="store_true", help="kinds of errors and what they cost, as TIDE"
    )
    out.add_argument(
        "--annotations",
        action="append",
        default=[],
        metavar="FILE",
        help="ground truth that is no longer where a record says; told by its hash, repeatable",
    )
    return out


if __name__ == "__main__":
    sys.exit(run_tool(main, parser()))
