"""The command, run in this process."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from robust_det.commands.main import main
from tests.support import Outcome


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Return a function that runs ``robust-det ARGUMENTS`` in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            code = main([*map(str, arguments)])
        except SystemExit as stopped:  # after --help and --version
            code = int(stopped.code or 0)
        return Outcome(code, *capsys.readouterr())

    return run
