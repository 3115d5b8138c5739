"""The command line of the converter, and files it can or cannot use."""

from __future__ import annotations

import runpy
import sys

import pytest
import torch

from robust_det.models import build_classifier

from .tool import ARCH, TOOL


@pytest.fixture
def network(randomise):
    torch.manual_seed(0)
    return randomise(build_classifier(ARCH, 10)).body


@pytest.fixture
def state(network):
    return network.state_dict()


@pytest.fixture
def source(tmp_path, state):
    """A file that can be converted."""
    torch.save(state, tmp_path / "good.pth")
    return tmp_path / "good.pth"


@pytest.fixture
def tool(capsys, monkeypatch):
    """The command line without a new process, which would take seconds to import torch."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(str(TOOL), run_name="__main__")
        return left.value.code, *capsys.readouterr()

    return run


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def refused(tool, tmp_path):
    """Return a function that expects a refusal and returns its line."""

    def run(*arguments):
        before = files(tmp_path)
        code, out, err = tool(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
        assert len(err) < 1000
        assert files(tmp_path) == before
        return err.removeprefix("error: ").removesuffix("\n")

    return run
