"""``robust-det``: what it lists, what it refuses, and that it starts without anything heavy."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robust_det import __version__
from robust_det.commands.index import COMMANDS

TOOLS = Path(__file__).parents[2] / "tools"
OF_TOOLS = {
    path: found[1]
    for path in sorted(TOOLS.glob("*.py"))
    if (found := re.search(r'run_command\("([\w-]+)"\)', path.read_text()))
}


def test_every_command_is_listed_with_a_line(command: Any) -> None:
    for arguments in ([], ["--help"]):
        done = command(*arguments)
        assert done.code == 0 and not done.err
        for name, known in COMMANDS.items():
            assert re.search(rf"^  {name} +{re.escape(known.summary)}$", done.out, re.MULTILINE)


def test_each_has_a_help_of_its_own(command: Any) -> None:
    for name, known in COMMANDS.items():
        done = command(name, "--help")
        assert done.code == 0 and f"usage: robust-det {name} " in done.out
        assert known.summary in " ".join(done.out.split())


def test_version(command: Any) -> None:
    assert command("--version") == (0, f"robust_det {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'?"),
        (["trian", "--config", "x.yaml"], "unknown command 'trian'; did you mean 'train'?"),
        (["Convert"], "unknown command 'Convert'; did you mean 'convert'?"),
        (["zzz"], "unknown command 'zzz'; robust-det --help lists them"),
        (["--resume", "train"], "unrecognized arguments: --resume (--help lists the arguments)"),
        (["train"], "give --data FOLDER_OR_FILE, for which a config is chosen, or --config FILE"),
        (["export"], "the following arguments are required: --output"),
        (["zoo", "lst"], "argument COMMAND: invalid choice: 'lst'"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], message: str, command: Any) -> None:
    done = command(*arguments)
    assert done.code == 2 and not done.out
    assert done.err.startswith(f"error: {message}") and done.err.count("\n") == 1


def test_an_option_before_its_command_is_said_to_be_there(command: Any) -> None:
    done = command("--debug", "train")
    assert done.code == 2
    assert done.err.endswith("error: options follow their command; write robust-det train first\n")


def test_help_imports_nothing_heavy_and_no_other_command() -> None:
    code = """
import contextlib, io, json, sys
from robust_det.commands.main import main
from robust_det.commands.index import COMMANDS
before = [name for name in sys.modules if name.startswith("robust_det.commands.")]
loaded = {}
for name in COMMANDS:
    here = set(sys.modules)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        main([name, "--help"])
    loaded[name] = sorted(m for m in set(sys.modules) - here if m.startswith("robust_det.comm"))
print(json.dumps([before, loaded, sorted(sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, loaded, modules = json.loads(done.stdout)
    assert set(before) == {"robust_det.commands.main", "robust_det.commands.index"}
    for name, command in COMMANDS.items():
        own = f"robust_det.commands.{command.module}"
        assert own in loaded[name]
        packages = {f"robust_det.commands.{room}" for room in ("data", "jobs", "setup")}
        assert set(loaded[name]) <= {own, *packages}
    heavy = {"cv2", "detectron2", "fvcore", "matplotlib", "numpy", "torch", "tqdm", "yaml"}
    assert not heavy & set(modules)


@pytest.mark.parametrize("tool", OF_TOOLS, ids=lambda path: path.stem)
def test_a_tool_is_its_command(
    tool: Path, command: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_command = command(OF_TOOLS[tool], "--help").out
    monkeypatch.setattr(sys, "argv", [str(tool), "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(tool), run_name="__main__")
    assert not stopped.value.code
    of_tool = capsys.readouterr().out

    def described(text: str) -> str:
        """The help without its usage, which wraps after the name."""
        return text.partition("\n\n")[2]

    assert described(of_tool) == described(of_command)
    assert of_tool.startswith(f"usage: {tool.name} ")


def test_every_job_has_a_tool() -> None:
    jobs = {name for name, known in COMMANDS.items() if known.module.startswith("jobs.")}
    assert jobs <= set(OF_TOOLS.values())
    others = {path.name for path in TOOLS.glob("*.py")} - {path.name for path in OF_TOOLS}
    assert others == {"make_configs.py"}


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "robust_det", "tain"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: unknown command 'tain'; did you mean 'train'?\n"
