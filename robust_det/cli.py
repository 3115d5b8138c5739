"""What every script under ``tools/`` shares: ``--debug``, exit codes, one-line errors, logging."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Callable, Sequence

from robust_det.errors import UserError

__all__ = ["run_tool", "setup_logging"]


def setup_logging() -> None:
    """Send the package's log lines to standard output, once, however often it is called."""
    logger = logging.getLogger("robust_det")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def run_tool(
    main: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the command line, run ``main`` and turn errors into one line and an exit code.

    Args:
        main: receives the parsed arguments; returns an exit code, or None for success.
        parser: the tool's parser; ``--debug`` is added to it.
        argv: arguments without the program name; ``sys.argv[1:]`` by default.

    Returns:
        0 on success, 2 for a :class:`UserError`, 130 for Ctrl-C, 1 for anything unexpected.
    """
    parser.add_argument("--debug", action="store_true", help="print the traceback of an error")
    args = parser.parse_args(argv)
    setup_logging()
    try:
        return main(args) or 0
    except UserError as error:
        message, code = str(error), 2
    except KeyboardInterrupt:
        message, code = "interrupted", 130
    except Exception as error:
        text = " ".join(str(error).split())
        message = f"unexpected {type(error).__name__}: {text} (--debug shows the traceback)"
        code = 1
    if args.debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return code
