from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from robust_det.core.cli import Parser, exit_code_of, run_tool
from robust_det.core.errors import UserError, did_you_mean
from robust_det.core.signals import Terminated


def run(error: BaseException | None, *argv: str) -> int:
    def main(args: argparse.Namespace) -> None:
        logging.getLogger("robust_det.some.module").info("at work")
        if error is not None:
            raise error

    return run_tool(main, Parser(prog="tool"), argv)


def test_success_logs_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert run(None) == 0
    out, err = capsys.readouterr()
    assert out.count("at work") == 2 and err == ""


@pytest.mark.parametrize(
    "error, code, line",
    [
        (UserError("wrong\nthing"), 2, "error: wrong thing"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
        (KeyError("k"), 1, "error: unexpected KeyError: 'k' (--debug shows the traceback)"),
        (OSError(28, "No space left on device", "/x"), 1, "error: No space left on device: /x"),
    ],
)
def test_errors_are_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(error) == code
    assert capsys.readouterr().err == line + "\n"
    assert run(error, "--debug") == code
    err = capsys.readouterr().err
    assert "Traceback" in err and err.endswith(line + "\n")


@pytest.mark.parametrize("lines", [1, 100_000], ids=["kept until the end", "written at once"])
def test_a_reader_that_has_enough_is_no_error(lines: int) -> None:
    code = (
        "import sys; from robust_det.core.cli import Parser, run_tool\n"
        f"def main(args):\n    for _ in range({lines}): print('line')\n"
        "sys.stdin.read()\n"  # until the reader is gone
        "sys.exit(run_tool(main, Parser(), []))"
    )
    pipe, command = subprocess.PIPE, [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as tool:
        assert tool.stdin and tool.stdout and tool.stderr
        tool.stdout.close()
        tool.stdin.close()
        assert tool.stderr.read() == b""
    assert tool.returncode == 141


def test_a_closed_output_is_no_error() -> None:
    code = (
        "import sys; from robust_det.core.cli import Parser, run_tool\n"
        "sys.exit(run_tool(lambda args: None, Parser(), []))"
    )
    done = subprocess.run(["sh", "-c", f'{sys.executable} -c "{code}" >&-'], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_to_another_program_breaks_aloud(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(BrokenPipeError(32, "Broken pipe")) == 1
    assert capfd.readouterr().err == "error: Broken pipe\n"


def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    code = (
        "import sys, time; from robust_det.core.cli import Parser, run_tool\n"
        "from robust_det.core.files import write_atomically\n"
        "def write(file):\n    file.write(b'half'); print('there', flush=True); time.sleep(60)\n"
        "def main(args): write_atomically('target', write)\n"
        "sys.exit(run_tool(main, Parser(), []))"
    )
    pipe, command = subprocess.PIPE, [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True) as tool:
        assert tool.stdout and tool.stderr
        assert tool.stdout.readline() == "there\n" and len(list(tmp_path.iterdir())) == 1
        tool.terminate()
        assert tool.stderr.read() == "error: terminated\n"
    assert tool.returncode == 143 and list(tmp_path.iterdir()) == []


def test_wrong_arguments_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, "--unknown") == 2
    err = capsys.readouterr().err
    assert err == "error: unrecognized arguments: --unknown (--help lists the arguments)\n"


def test_overrides_may_stand_anywhere() -> None:
    parser, got = Parser(), []
    parser.add_argument("--config", required=True)
    parser.add_argument("overrides", nargs="*")
    argv = ["A", "1", "--config", "x.yaml", "B", "2", "--debug", "C", "3"]
    assert run_tool(lambda args: got.append((args.config, args.overrides)), parser, argv) == 0
    assert got == [("x.yaml", ["A", "1", "B", "2", "C", "3"])]


def test_very_long_errors_are_cut(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(RuntimeError("x " * 5000)) == 1
    assert len(capsys.readouterr().err) < 1100


def test_processes_of_torchrun_say_who_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    run(UserError("wrong"))
    out, err = capsys.readouterr()
    assert err == "error: [process 1] wrong\n" and out == ""  # only process 0 logs


def test_suggestions_ignore_case() -> None:
    assert did_you_mean("optim.lr", ["OPTIM.LR", "SEED"]) == "; did you mean 'OPTIM.LR'?"
    assert did_you_mean("zzz", ["OPTIM.LR"]) == ""


@pytest.mark.parametrize(
    "name, expected",
    [
        ("resnet10", "resnet10_narrow"),
        ("ResNet10", "resnet10_narrow"),
        ("wide_resnet50", "wide_resnet50_2"),
        ("resnet5", "resnet50"),
        ("resnt18", "resnet18"),
    ],
)
def test_a_name_that_goes_on_is_nearer_than_another_number(name: str, expected: str) -> None:
    known = ["resnet18", "resnet101", "resnet50", "resnet10_narrow", "wide_resnet50_2"]
    assert did_you_mean(name, known) == f"; did you mean '{expected}'?"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_that_the_terminal_cannot_show_is_no_error(encoding: str) -> None:
    code = (
        "import sys; from robust_det.core.cli import Parser, run_tool\n"
        "def main(args): print('wrote \\u00e9 \\udcff \\u4e2d')\n"
        "sys.exit(run_tool(main, Parser(), []))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    shown = {"ascii": b"\\xe9 \\udcff \\u4e2d", "utf-8": b"\xc3\xa9 \\udcff \xe4\xb8\xad"}
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"wrote " + shown[encoding] + b"\n"


@pytest.mark.parametrize("error, code", [(Terminated(), 143), (KeyboardInterrupt(), 130)])
def test_a_signal_counts_whose_cleaning_up_fails(error: BaseException, code: int) -> None:
    """As where a library's own lock is being made when the signal comes."""

    def work() -> int:
        try:
            raise error
        finally:
            raise AttributeError("_lock")

    assert exit_code_of(work, lambda: False) == code
