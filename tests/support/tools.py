"""Running a tool as a user does."""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from tests.support.prepared import python

ROOT = Path(__file__).resolve().parents[2]


class Outcome(NamedTuple):
    """How a tool ended: its exit code, and what it wrote to standard output and error."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """What it said after ``error:``, which has to be all that it wrote to standard error."""
        assert self.code != 0
        assert self.err.startswith("error: ") and self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1 and len(self.err) < 1000, self.err
        return self.err.removeprefix("error: ").removesuffix("\n")


def run_tool(name: str, *arguments: object, process: bool = False, **options: Any) -> Outcome:
    """Run ``tools/NAME.py ARGUMENTS`` to its end.

    Args:
        name: without folder and suffix.
        process: in a process of its own, from the repository's folder, which takes seconds to
            import torch; else in this one.
        options: of :func:`start_tool`, for a process.
    """
    if process:
        return outcome_of(start_tool(name, *arguments, **options))
    assert not options, "options are those of a process"
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", [f"{name}.py", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            runpy.run_path(str(ROOT / "tools" / f"{name}.py"), run_name="__main__")
            code: Any = 0
        except SystemExit as end:
            code = end.code or 0
    assert isinstance(code, int), code
    return Outcome(code, out.getvalue(), err.getvalue())


def start_tool(
    name: str,
    *arguments: object,
    launcher: Sequence[str] = (),
    fresh: bool = False,
    environment: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[str]:
    """Start ``tools/NAME.py ARGUMENTS`` in a process of its own.

    Args:
        launcher: what stands between ``python`` and the tool, such as ``-m torch.distributed.run``.
        fresh: import everything anew, see :mod:`tests.support.prepared`.
        environment: variables beside this process's.
        options: of ``subprocess.Popen``; the working folder is the repository's.
    """
    words = [*launcher, ROOT / "tools" / f"{name}.py", *arguments]
    command = [sys.executable, *map(str, words)] if fresh else python(*words)
    return _start(command, environment, **options)


def run_python(
    code: str, *arguments: object, environment: Mapping[str, str] | None = None, **options: Any
) -> Outcome:
    """Run a program in a process of its own, in which torch is imported already.

    Args:
        code: of the program; ``arguments`` are in its ``sys.argv``.
        environment, options: as for :func:`start_tool`.
    """
    return outcome_of(_start(python("-c", code, *arguments), environment, **options))


def _start(
    command: Sequence[str], environment: Mapping[str, str] | None, **options: Any
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        **{
            "cwd": ROOT,
            # several tests run at once, each with as many threads as it was given cores
            "env": {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        },
    )


def outcome_of(process: subprocess.Popen[str], timeout: float = 300) -> Outcome:
    """Wait for a process; one that takes longer than ``timeout`` seconds is killed."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return Outcome(process.returncode, out, err)


def refused(name: str, *arguments: object, untouched: Path | None = None) -> str:
    """Run a tool that has to refuse its arguments; return the line that says why.

    Its exit code is 2, that line is all that it writes to the terminal, and it leaves the folder
    ``untouched``, if one is given, as it was.
    """
    before = None if untouched is None else _content(untouched)
    done = run_tool(name, *arguments)
    assert (done.code, done.out) == (2, ""), done
    assert before is None or (untouched is not None and _content(untouched) == before)
    return done.error


def _content(folder: Path) -> dict[Path, bytes | None]:
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}
