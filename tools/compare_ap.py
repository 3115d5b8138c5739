#!/usr/bin/env python
"""Compare the AP of detection runs, reading their records only.

    python tools/compare_ap.py RUN [RUN ...] --output DIR [--title T]

Prints the table and writes it as Markdown and CSV, with plots and an HTML page, into DIR.
"""

from __future__ import annotations

import argparse
import sys

from robust_det.analysis.compare import DEFAULT_TITLE, compare
from robust_det.cli import run_tool


def main(args: argparse.Namespace) -> None:
    page, text = compare(args.runs, args.output, args.title)
    print(f"\n{text}\n\nreport: {page}")


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(
        description="Compare the AP of detection runs by their records: table, plots, HTML page."
    )
    out.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run's folder or its record.json; pretraining too"
    )
    out.add_argument("--output", required=True, metavar="DIR", help="folder for the report")
    out.add_argument("--title", default=DEFAULT_TITLE, help="heading of the page")
    return out


if __name__ == "__main__":
    sys.exit(run_tool(main, parser()))
