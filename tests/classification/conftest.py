"""A tiny run, in this process or in one of its own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.classification.pretraining import Pretraining
from robust_det.commands.main import run_command
from robust_det.training.engine import Update
from tests.support import tools

CONFIG = """
OUTPUT_DIR: {output}
DEVICE: cpu
MODEL: {{ARCH: resnet10_narrow}}
DATA: {{ROOT: {root}, IMAGE_SIZE: 32, RESIZE: 32, WORKERS: 0}}
ATTACK: {{EPS: 0.25, STEPS: 1, RANDOM_START: true}}
TRAIN: {{EPOCHS: 2, BATCH_SIZE: 6}}
OPTIM: {{LR: 0.02, SCHEDULE: cosine, EMA_DECAY: 0.9}}
EVAL: {{STEPS: 1, BATCH_SIZE: 8}}
"""


class Outcome(tools.Outcome):
    """How a run of the tool ended, whose log goes to standard error as well."""

    @property
    def error(self) -> str:
        """The one error line; fails if there is another number of them, or a traceback."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        assert self.code != 0
        return lines[0]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Tiny tensors gain nothing from more threads, and sums come in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def no_worker_is_left() -> Iterator[None]:
    """A loader's worker that outlives its run would keep the process from ending."""
    yield
    assert multiprocessing.active_children() == []


@pytest.fixture
def tiny(image_tree: Path, tmp_path: Path) -> Path:
    """A config: 36 images, 2 epochs of 6 steps; output into ``run`` beside it."""
    path = tmp_path / "tiny.yaml"
    path.write_text(CONFIG.format(output=tmp_path / "run", root=image_tree))
    return path


@pytest.fixture
def pretrain(tiny: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run ``tools/pretrain.py --config tiny.yaml ARGUMENTS`` in this process."""

    def run(*arguments: object, config: Path = tiny) -> Outcome:
        capsys.readouterr()
        argv = ["--config", str(config), *map(str, arguments)]
        code = run_command("pretrain", argv)
        text = capsys.readouterr()
        return Outcome(code, text.out, text.err)

    return run


class _Killed(BaseException):
    """What no run catches."""


@pytest.fixture
def killed_and_resumed(
    pretrain: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Run ``pretrain`` until it is killed before its update of step 3, and go on; return how that
    ended, which is well."""

    def run(*arguments: object) -> Outcome:
        update = Pretraining.update

        def killed(self: Pretraining, batch: Any, step: int) -> Update:
            if step == 3:  # of free between two replays
                raise _Killed
            return update(self, batch, step)

        with monkeypatch.context() as patch, pytest.raises(_Killed):
            patch.setattr(Pretraining, "update", killed)
            pretrain(*arguments)
        resumed = pretrain("--resume", *arguments)
        assert resumed.code == 0, resumed.err
        return resumed

    return run


@pytest.fixture
def start(tiny: Path) -> Any:
    """Start the tool in a process of its own; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object, **options: Any) -> Any:
        process = tools.start_tool(
            "pretrain", "--config", tiny, *arguments, fresh=True, start_new_session=True, **options
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.communicate()


@pytest.fixture
def finish() -> Callable[..., Outcome]:
    """Wait for a process of ``start``."""

    def wait(process: subprocess.Popen[str], timeout: float = 120) -> Outcome:
        return Outcome(*tools.outcome_of(process, timeout))

    return wait


@pytest.fixture
def assert_same_tensors() -> Callable[[Path, Path], None]:
    """Compare all of two checkpoints bit by bit, but for clocks, paths and free keys."""

    def compare(a: Any, b: Any, where: str = "") -> None:
        if isinstance(a, torch.Tensor):
            assert a.dtype == b.dtype and torch.equal(a, b), where
        elif isinstance(a, dict):
            assert list(a) == list(b), where
            for key in a:
                if key not in ("config", "seconds"):
                    compare(a[key], b[key], f"{where}/{key}")
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), where
            for i, (x, y) in enumerate(zip(a, b, strict=True)):
                compare(x, y, f"{where}/{i}")
        else:
            assert a == b, where

    def files(a: Path, b: Path) -> None:
        left, right = (torch.load(path, weights_only=True) for path in (a, b))
        assert left["optimizer"]["state"] and left["ema"]
        compare(left, right)

    return files
