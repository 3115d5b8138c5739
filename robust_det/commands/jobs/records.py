"""The records of runs: list them, show one, ask by SQL, check and export them.

robust-det records ls DIR [DIR ...] [FILTER ...] [--columns A,B] [--sort A] [--limit N]
robust-det records show RUN [--among DIR]
robust-det records query DIR [DIR ...] SQL
robust-det records check DIR [DIR ...]
robust-det records export DIR [DIR ...] FILE [--where FILTER]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError, counted, did_you_mean_file

if TYPE_CHECKING:
    from robust_det.records.store import Readable

# what matters least stands last, where a narrow terminal has no room
_DEFAULT = "name,arch,norm,eps,seed,task,mode,value,headline,kind,path"
_STYLES = ("table", "csv", "json", "markdown")


def list_records(args: argparse.Namespace) -> int:
    """Print a table of the records that fulfil the filters."""
    from robust_det.records.filters import parse_filter
    from robust_det.records.table import Query, select

    _require(args.words[:1])
    folders = [word for word in args.words if os.path.exists(word)]
    filters = tuple(parse_filter(word) for word in args.words if word not in folders)
    query = Query(
        columns=_names(args.columns or _DEFAULT),
        filters=filters,
        sort=_names(args.sort) if args.sort else (),
        descending=args.descending,
        limit=args.limit,
    )
    records = _readable(folders)
    _print(select(records, query), args.format)
    return 0 if records.complete else 1


def show_record(args: argparse.Namespace) -> None:
    """Print one record, with its lineage among those of --among."""
    from robust_det.analysis.record_text import record_text
    from robust_det.records import read_record
    from robust_det.records.store import find_records, load_readable

    record = read_record(args.run)
    path = Path(args.run)
    path = path / "record.json" if path.is_dir() else path
    folders = args.among or [path.absolute().parent.parent]
    _require(folders)
    found = find_records(folders)
    own = path.resolve()
    # its evaluations lie in its folder
    others = [one for one in (*found.records, *found.deeper) if one.resolve() != own]
    records, unreadable = load_readable(others)
    print(record_text([(path, record), *records], 0, args.with_config, args.all))
    for one in unreadable:
        _say_unreadable(*one)


def query_records(args: argparse.Namespace) -> int:
    """Print what an SQL query finds."""
    from robust_det.records.sql import connect, run_sql

    connect().close()  # refuses where DuckDB is missing, before many records are read
    records = _readable(args.folders)
    _print(run_sql(records, args.sql), args.format)
    return 0 if records.complete else 1


def check_records(args: argparse.Namespace) -> int:
    """Print what would be left out of a mean, and why; 1 if there is anything."""
    from robust_det.analysis.admission import check

    found = check(args.folders)
    for one in found.left_out:
        figure = f" {one.figure}:" if one.figure else ""
        print(f"{one.cause}: {one.path}:{figure} {one.why}")
    for one in found.doubts:
        print(f"in doubt: {one.path}: {one.why}")
    print(
        f"{found.admitted} of {counted(found.records, 'record')} may enter a mean"
        f"{', figures named above aside' if any(one.figure for one in found.left_out) else ''}"
    )
    return 1 if found.left_out else 0


def export_records(args: argparse.Namespace) -> int:
    """Write a table of the records to a file."""
    from robust_det.core.outputs import require_new
    from robust_det.records.export import export, require_format
    from robust_det.records.filters import parse_filter
    from robust_det.records.table import Query, select

    path = Path(args.file)
    require_format(path)
    require_new([path], args.overwrite)
    filters = tuple(map(parse_filter, args.where))
    records = _readable(args.folders)
    table = select(records, Query(columns=_names(args.columns), filters=filters))
    export(table, path, args.overwrite)
    print(f"{counted(len(table.rows), 'row')} of {counted(len(table.columns), 'column')} in {path}")
    return 0 if records.complete else 1


def main(args: argparse.Namespace) -> int | None:
    """Do what the command's own command says."""
    return args.do(args)


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    lister = commands.add_parser(
        "ls",
        help="list the records that fulfil all filters",
        examples=(
            "robust-det records ls output",
            "robust-det records ls output arch=resnet50 norm=l2 task=coco_det --sort eps",
        ),
    )
    lister.add_argument(
        "words",
        nargs="+",
        metavar="DIR|FILTER",
        help="folders of runs, then conditions on columns: = != > >= < <= and ~ for a pattern",
    )
    lister.add_argument("--columns", help="names or patterns, such as name,metrics.*")
    lister.add_argument("--sort", help="columns to sort by, such as eps,seed")
    lister.add_argument("--descending", action="store_true", help="from the highest value on")
    lister.add_argument("--limit", type=int, metavar="N", help="no more than N records")
    lister.set_defaults(do=list_records)

    shower = commands.add_parser(
        "show",
        help="print one record, and where its weights come from and went",
        examples=(
            "robust-det records show output/detection/cells_resnet50_l2_eps3",
            "robust-det records show output/transfer/flowers --among output --with-config",
        ),
    )
    shower.add_argument("run", metavar="RUN", help="a run's folder, or its record.json")
    shower.add_argument(
        "--among",
        action="append",
        metavar="DIR",
        help="folder of the runs to look for its weights in, repeatable; its own folder's if none",
    )
    shower.add_argument("--with-config", action="store_true", help="the complete config as well")
    shower.add_argument("--all", action="store_true", help="all figures, those of classes as well")
    shower.set_defaults(do=show_record)

    asker = commands.add_parser(
        "query",
        help="ask by SQL: tables records, a row a record, and metrics, a row a figure",
        examples=(
            "robust-det records query output 'SELECT arch, eps, value FROM records ORDER BY value'",
            "robust-det records query output 'SELECT name, \"config.SEED\" FROM records'",
        ),
    )
    asker.set_defaults(do=query_records)

    checker = commands.add_parser(
        "check",
        help="say what would be left out of a mean, and why; exit code 1 if there is anything",
        examples=(
            "robust-det records check output",
            "robust-det records check output/detection output/transfer",
        ),
    )
    checker.set_defaults(do=check_records)

    exporter = commands.add_parser(
        "export",
        help="write the records as CSV, Parquet or JSON lines",
        examples=(
            "robust-det records export output runs.csv",
            "robust-det records export output runs.parquet --where kind=transfer --columns '*'",
        ),
    )
    exporter.set_defaults(do=export_records)

    for command in (asker, checker, exporter):
        command.add_argument("folders", nargs="+", metavar="DIR", help="folders of runs")
    asker.add_argument("sql", metavar="SQL", help="one SELECT; names with a dot in double quotes")
    exporter.add_argument("file", metavar="FILE", help="its name ends in .csv, .parquet or .jsonl")
    exporter.add_argument(
        "--columns", default="*", help="names or patterns; * is all, figures and configs included"
    )
    exporter.add_argument(
        "--where", action="append", default=[], metavar="FILTER", help="such as eps>0, repeatable"
    )
    exporter.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    for command in (lister, asker):
        command.add_argument("--format", choices=_STYLES, default="table", help="how it is printed")


def _names(text: str) -> tuple[str, ...]:
    """The parts of a list such as ``eps,seed``."""
    names = tuple(part.strip() for part in text.split(","))
    if not all(names):
        raise UserError(f"'{text}' has an empty name; write such as eps,seed")
    return names


def _require(folders: Sequence[str | Path]) -> None:
    for folder in folders:
        if not os.path.exists(folder):
            raise _not_there(folder)


def _not_there(folder: str | Path) -> UserError:
    return UserError(f"no folder {folder}{did_you_mean_file(folder)}", "give the folder of runs")


def _readable(folders: Sequence[str | Path]) -> Readable:
    """Return the records below folders; those that cannot be read are said when it is tried."""
    from robust_det.records.store import Readable, find_records

    _require(folders)
    found = find_records(folders)
    if not found.records:
        raise UserError(
            f"no run record below {', '.join(map(str, folders))}; a run writes it when it ends"
        )
    return Readable(found.records, _say_unreadable)


def _say_unreadable(path: Path, error: UserError) -> None:
    """Say it beside the result, which may be read by a program."""
    sys.stderr.write(f"left out: {error}\n")


def _print(table: Any, style: str) -> None:
    from robust_det.analysis.listing import listing

    terminal = sys.stdout.isatty() or "COLUMNS" in os.environ
    width = shutil.get_terminal_size().columns if terminal else None
    print(listing(table, style, width))
