"""The front door: ``robust-det``, ``python -m robust_det``, and each script below ``tools/``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from robust_det.commands.index import COMMANDS
from robust_det.core.cli import Parser, run_tool
from robust_det.core.errors import UserError, did_you_mean
from robust_det.core.installation import __version__

__all__ = ["front_parser", "main", "run_command"]

PROGRAM = "robust-det"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sub-command that the first argument names.

    Args:
        argv: arguments without the program's name; those of the process by default.

    Returns:
        The exit code, see :func:`~robust_det.core.cli.run_tool`.
    """
    if argv is None:
        argv = sys.argv[1:]
        # what a record keeps as its command, which follows "python" wherever it is shown
        sys.argv = ["-m", "robust_det", *argv]
    if argv and argv[0] in COMMANDS:
        return run_command(argv[0], argv[1:], f"{PROGRAM} {argv[0]}")
    # what follows an unknown command means nothing
    front = argv if argv and argv[0].startswith("-") else argv[:1]
    parser = front_parser()
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    return run_tool(_front, parser, front)


def run_command(name: str, argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Run a sub-command.

    Args:
        name: of :data:`~robust_det.commands.index.COMMANDS`.
        argv: its arguments; those of the process by default.
        prog: what it is called in ``--help``; the script's name if None.

    Returns:
        The exit code, see :func:`~robust_det.core.cli.run_tool`.
    """
    command = COMMANDS[name]
    return run_tool(command.load().main, command.parser(prog), argv)


def front_parser() -> Parser:
    """Return the parser of what comes before a sub-command; its help lists them all."""
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:{width}}{command.summary}" for name, command in COMMANDS.items()]
    parser = Parser(
        "Do adversarially robust backbones make better detectors?",
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [ARGUMENTS]",
        epilog="\n".join(["commands, each with a --help of its own:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"robust_det {__version__}")
    return parser


def _front(args: argparse.Namespace) -> None:
    if args.command is None:
        front_parser().print_help()
    elif args.command in COMMANDS:
        raise UserError(f"options follow their command; write {PROGRAM} {args.command} first")
    else:
        hint = did_you_mean(args.command, COMMANDS) or f"; {PROGRAM} --help lists them"
        raise UserError(f"unknown command '{args.command}'{hint}")
