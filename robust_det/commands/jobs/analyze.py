"""Answer one of the paper's questions from run records, or from the figures that it reported.

robust-det analyze QUESTION --runs RUN [RUN ...] --output DIR
robust-det analyze QUESTION --reported --output DIR

Writes summary.md, CSV files and plots into DIR, and prints the summary: what holds, how sure that
is, from how many runs, and the commands that make the runs that are missing. The unit of intervals
is the pretraining run. The best eps is never chosen by the figures it is judged by.
"""

from __future__ import annotations

import argparse

from robust_det.core.cli import Parser

EXAMPLES = (
    "robust-det analyze fixed-feature --runs output/transfer --output output/answers/fixed-feature",
    "robust-det analyze full-network --reported --output output/answers/reported",
)
# as robust_det.analysis.questions has them, which is slow to import
NAMES = (
    "fixed-feature",
    "full-network",
    "eps",
    "width",
    "granularity",
    "texture",
    "accuracy-vs-transfer",
)


def main(args: argparse.Namespace) -> None:
    """Answer, and say where the summary is."""
    from robust_det.core.errors import UserError

    if bool(args.runs) == args.reported:
        problem = "contradict" if args.reported else "are both missing: nothing is to be asked"
        raise UserError(f"--runs and --reported {problem}", "give one of them")

    from robust_det.analysis.questions.analyze import analyze

    summary, text = analyze(args.question, args.runs, args.output)
    print(f"\n{text}\n\nsummary: {summary}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "question", choices=NAMES, metavar="QUESTION", help=f"one of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="RUN",
        help="a run's folder, a folder of such, or a record.json; of transfers, detectors, and the"
        " pretraining and evaluation of their backbones",
    )
    parser.add_argument(
        "--reported",
        action="store_true",
        help="ask the tables of the submission of June 2020, which come along",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the answer")
