"""What every command shares: ``--debug``, exit codes, one-line errors, logging."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import select
import shlex
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from robust_det.core.errors import UserError, reason_of
from robust_det.core.files import expanded
from robust_det.core.signals import INTERRUPTED, Terminated, ignore_from_now, raise_on_signals

__all__ = ["Parser", "exit_code_of", "resuming_command", "run_tool", "setup_logging"]


class _Help(argparse.RawDescriptionHelpFormatter):
    """Says what an option is that is not given, and leaves lines of examples as they are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default, text = action.default, action.help or ""
        # a text of its own says what follows from nothing, or that a flag is off
        plain = default is None or default == [] or default is argparse.SUPPRESS
        return text if plain or action.nargs == 0 else f"{text} (default: %(default)s)"


class _Commands(argparse._SubParsersAction):
    """Lets a command's own help begin with what the list of commands says of it."""

    def add_parser(self, name: str, **more: Any) -> Any:
        summary = more["help"]
        described = {"description": f"{summary[0].upper()}{summary[1:]}.", **more}
        return super().add_parser(name, **described)


_OF_SIGNALS = tuple(128 + n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1))


class Parser(argparse.ArgumentParser):
    """The command line of a tool, with ``--debug``; a mistake is a :class:`UserError`.

    Args:
        text: describes the tool, in its first line.
        examples: whole command lines, shown by ``--help``.
    """

    def __init__(self, text: str | None = None, examples: Sequence[str] = (), **more: Any) -> None:
        if text:
            more["description"] = text.splitlines()[0]
        if examples:
            more["epilog"] = "\n".join(["examples:", *(f"  {line}" for line in examples)])
        super().__init__(**{"formatter_class": _Help, **more})
        self.register("action", "parsers", _Commands)
        # no default, which a command's parser would set after its tool's
        self.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print the traceback of an error",
        )

    def parse(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """Parse arguments that may come in any order, overrides before and after options.

        A shell leaves ``~`` as it is within ``--output=~/runs``, and in what a program starts.
        """
        # with sub-commands, whose arguments follow them
        read = self.parse_args if self._subparsers is not None else self.parse_intermixed_args
        args = read(argv)
        for name, value in vars(args).items():
            setattr(args, name, expanded(value))
        return args

    def error(self, message: str) -> NoReturn:
        """Raise it, instead of printing the usage as well."""
        raise UserError(f"{message} (--help lists the arguments)")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write help or version; argparse's says nothing where that fails."""
        (file or sys.stderr).write(message)


class _BesideBars(logging.Handler):
    """Writes to whatever standard output is now, above a progress bar that is being shown."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm  # here: --help starts without it

        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


def setup_logging() -> None:
    """Send the package's log lines to standard output, once, however often it is called."""
    logger = logging.getLogger("robust_det")
    # others may have put handlers of theirs there
    if not any(isinstance(handler, _BesideBars) for handler in logger.handlers):
        handler = _BesideBars()
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    # of several processes under torchrun, the first one speaks
    logger.setLevel(logging.INFO if os.environ.get("RANK", "0") == "0" else logging.WARNING)
    logger.propagate = False


@contextlib.contextmanager
def _logging_left_as_it_was() -> Iterator[None]:
    """Leave every logger as it was; else one command's log would get the lines of later ones."""

    def loggers() -> list[logging.Logger]:
        known = [logging.root, *logging.root.manager.loggerDict.values()]
        return [each for each in known if isinstance(each, logging.Logger)]

    logging.getLogger("robust_det")  # is one of them
    before = {each: (list(each.handlers), each.level, each.propagate) for each in loggers()}
    try:
        yield
    finally:
        for each in loggers():
            handlers, level, propagate = before.get(each, ([], each.level, each.propagate))
            for handler in each.handlers:
                handler.flush()
            each.handlers[:] = handlers
            each.setLevel(level)
            each.propagate = propagate


def resuming_command() -> str:
    """Return what to type to go on with what this process was started for, by ``--resume``."""
    words = sys.argv if "--resume" in sys.argv else [*sys.argv, "--resume"]
    launcher = "torchrun ... " if "TORCHELASTIC_RUN_ID" in os.environ else "python "
    is_python = words[0] == "-m" or words[0].endswith(".py")
    return f"{launcher if is_python else ''}{shlex.join(words)}"


def run_tool(
    main: Callable[[argparse.Namespace], int | None],
    parser: Parser,
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the command line, run ``main`` and turn errors into one line and an exit code.

    Args:
        main: receives the parsed arguments; returns an exit code, or None for success.
        parser: the tool's.
        argv: arguments without the program name; ``sys.argv[1:]`` by default.

    Returns:
        0 on success, 2 for a :class:`UserError` or a wrong command line, 130 for Ctrl-C, 143 for
        SIGTERM, 138 for SIGUSR1, 141 if nobody reads the output any more, 1 for anything
        unexpected.
    """
    debug = False

    def work() -> int | None:
        nonlocal debug
        args = parser.parse(argv)
        debug = "debug" in args
        with _logging_left_as_it_was():
            setup_logging()
            return main(args)

    return exit_code_of(work, lambda: debug)


def exit_code_of(work: Callable[[], int | None], debug: Callable[[], bool]) -> int:
    """Do something, with errors as one line.

    Args:
        work: returns an exit code, or None for success.
        debug: whether to print the traceback of an error.

    Returns:
        See :func:`run_tool`.
    """
    _show_any_name()
    caught: BaseException
    code: Any = 0
    outermost = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    restore = raise_on_signals()
    try:
        try:
            with _interruptions_unmasked():
                code = work() or 0
        except SystemExit as error:  # after help, or of a run that has saved
            if isinstance(error.code, str):  # which the interpreter prints
                raise
            code = error.code or 0
        if sys.stdout and code == 0:
            sys.stdout.flush()
        return int(code)
    except UserError as error:
        caught, message, code = error, str(error), 2
    except KeyboardInterrupt as error:
        caught, message, code = error, "interrupted", INTERRUPTED
    except Terminated as error:
        caught, message, code = error, "terminated", error.code
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            code = 128 + signal.SIGPIPE
            return int(code)
        caught = error
        where = f": {error.filename}" if error.filename else ""
        message, code = f"{error.strerror or reason_of(error)}{where}", 1
    except Exception as error:
        caught, kind = error, type(error).__name__
        message = f"unexpected {kind}: {reason_of(error)} (--debug shows the traceback)"
        code = 1
    finally:
        if outermost and code in _OF_SIGNALS:
            ignore_from_now()  # else one more of them would end the process by another code
        else:
            restore()
        if code != 0:
            _drop_what_cannot_be_written()
    if debug():
        traceback.print_exception(caught)
    # it refers to this frame: a cycle would keep all that the tool made alive until the very end
    del caught
    if "RANK" in os.environ:
        message = f"[process {os.environ['RANK']}] {message}"
    # one write, so that the lines of several processes do not mix
    sys.stderr.write(f"error: {message}\n")
    sys.stderr.flush()
    return int(code)


@contextlib.contextmanager
def _interruptions_unmasked() -> Iterator[None]:
    """Raise the signal's own exception where what it cut off failed in its cleaning up."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        cause = error.__context__
        while cause is not None and not isinstance(cause, (Terminated, KeyboardInterrupt)):
            cause = cause.__context__
        if cause is None:
            raise
        raise cause from None


def _show_any_name() -> None:
    """Let standard output show names that its encoding does not have, by their numbers."""
    for stream in (sys.stdout, sys.stderr):
        # some streams cannot be told; nor can what is closed
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")


def _nobody_reads() -> bool:
    """Whether standard output is a pipe whose reader, such as head, has enough."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors are reported always
    return bool(poll.poll(0))


def _drop_what_cannot_be_written() -> None:
    """Drop what standard output does not take: at its end the interpreter would complain of it, and
    exit by a code of its own."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):  # a stream without a file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (AttributeError, ValueError):  # closed
        pass
