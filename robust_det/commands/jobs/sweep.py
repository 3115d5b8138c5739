"""Do a list of fine-tuning runs or transfers: learning-rate and seed grids, backbones, data sets.

robust-det sweep --runs RUNS.txt --output DIR [--jobs N] [--dry-run] [KEY VALUE ...]
robust-det sweep --run '--config tiny_r18_eps{0,0.25}_bccd.yaml SEED {0..2}' --output DIR

A line of RUNS.txt is the arguments of robust-det train, or after the word transfer those of
robust-det transfer; {a,b}, {0..2} and the files that --backbone dir/*.pth matches stand for one run
each, and all their combinations. Each run gets a folder in DIR, named after its arguments; the same
command again does what is missing. KEY VALUE pairs at the end are for all runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.cli import Parser

if TYPE_CHECKING:
    from robust_det.launch.sweep import Check

RESULTS_NAME = "results.md"


EXAMPLES = (
    "robust-det sweep --run '--config tiny_r18_eps{0,0.25}_bccd.yaml SEED {0..2}' --output seeds",
    "robust-det sweep --run 'transfer --config transfer_dtd.yaml --backbone eps*.pth' --output dtd",
    "robust-det sweep --runs runs.txt --output output/sweep --jobs 4 --dry-run",
)


def main(args: argparse.Namespace) -> int:
    """Check all runs, do what is missing, and say what came out."""
    from robust_det.analysis.sweep_table import results_table
    from robust_det.core.errors import UserError
    from robust_det.core.files import write_atomically
    from robust_det.core.locks import sole_writer
    from robust_det.launch.notation import parse_sweep
    from robust_det.launch.processes import default_jobs
    from robust_det.launch.sweep import plan, shown, sweep

    if args.runs:
        try:
            lines = Path(args.runs).read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{args.runs} cannot be read: {error}") from error
        entries = parse_sweep(lines, args.runs)
    else:
        entries = parse_sweep(args.run, "--run")
    jobs = default_jobs() if args.jobs is None else args.jobs
    if jobs < 1:
        raise UserError("--jobs starts from 1")
    folder = Path(args.output)
    runs = plan(entries, folder, _checks({entry.job for entry in entries}), args.overrides)
    if args.dry_run:
        for run in runs:
            print(f"{'finished' if run.finished else 'to do':8}  {shown(run)}")
        return 0
    with sole_writer(folder):
        failures = sweep(runs, jobs)
        # what differs in SEED alone is one mean
        found = [(folder / entry.name, entry.group) for entry in entries]
        print(f"\n{results_table(found)}\n")
        table = results_table(found, "pipe") + "\n"
        write_atomically(folder / RESULTS_NAME, lambda file: file.write(table.encode()))
    for line in failures:
        print(f"failed: {line}", file=sys.stderr)
    if failures:
        raise UserError(
            f"{len(failures)} of {len(runs)} runs failed; the same command does them again"
        )
    return 0


def _checks(jobs: Collection[str]) -> dict[str, Check]:
    """Return what reads the configs of the jobs; a transfer needs no Detectron2."""
    checks: dict[str, Check] = {}
    if "train" in jobs:
        from robust_det.detection.finetuning.jobs import planned_length

        checks["train"] = planned_length
    if "transfer" in jobs:
        from robust_det.transfer.planning import TransferCheck
        from robust_det.zoo.load import path_of

        checks["transfer"] = TransferCheck(path_of)
    return checks


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--runs", metavar="FILE", help="one run, or grid of runs, a line")
    source.add_argument("--run", action="append", metavar="LINE", help="such a line; repeatable")
    parser.add_argument(
        "--output", required=True, metavar="DIR", help="folder of the runs' folders"
    )
    parser.add_argument(
        "--jobs", type=int, help="runs at once; one a GPU, or one on the CPU, if unset"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the commands and their state")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config keys of all runs")
