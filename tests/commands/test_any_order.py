"""Runs of all kinds that are stopped, killed, signalled, resumed, started twice and evaluated, in
any order: what is there afterwards holds what it says, and the weights are those of an undisturbed
run.

``ROBUST_DET_ROUNDS=50 pytest tests/commands/test_any_order.py`` plays more of it, from
``ROBUST_DET_FIRST_ROUND`` on.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from robust_det.checkpoints.io import load_checkpoint
from robust_det.core.files import sha256_file
from robust_det.records import read_record
from tests.support import outcome_of, python, start_tool, tiny_detector
from tests.support.tools import Outcome

MORE = "ROBUST_DET_ROUNDS" in os.environ
ROUNDS = int(os.environ.get("ROBUST_DET_ROUNDS", "1"))
FIRST = int(os.environ.get("ROBUST_DET_FIRST_ROUND", "0"))
ACTIONS = 5 if MORE else 3
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
PRETRAIN = """
OUTPUT_DIR: {output}
DEVICE: cpu
MODEL: {{ARCH: resnet10_narrow}}
DATA: {{ROOT: {root}, IMAGE_SIZE: 32, RESIZE: 32, WORKERS: 0}}
ATTACK: {{EPS: 0.25, STEPS: 1, RANDOM_START: true}}
TRAIN: {{EPOCHS: 3, BATCH_SIZE: 6, CHECKPOINT_STEPS: 2}}
OPTIM: {{LR: 0.05, SCHEDULE: cosine, EMA_DECAY: 0.9}}
EVAL: {{STEPS: 1, BATCH_SIZE: 8}}
"""
# facts of a record that no disturbance may change
FACTS = ("arch", "norm", "eps", "seed", "metrics", "schedule", "data", "evaluators")


@dataclass(frozen=True)
class Job:
    """A kind of run.

    Attributes:
        tool, config: what is started.
        workers: the key that says how many processes load.
        last, final, best, log: files of its folder.
        step: the key of a line in the log that counts.
        seconds: what an undisturbed run takes.
        whole: its folder.
    """

    tool: str
    config: Path
    workers: str
    last: Callable[[Path], Path | None]
    final: str
    best: str
    log: str
    step: str
    weights: str
    whole: Path
    seconds: float


@dataclass
class Round:
    """One run, and what is done to it.

    Attributes:
        job: its kind.
        folder: of the run.
        chance: what is done, and when.
        story: what was done, for whoever reads of a failure.
        evaluations: the records of evaluations so far, by path, as they were first seen.
    """

    job: Job
    folder: Path
    chance: random.Random
    story: list[str] = field(default_factory=list)
    evaluations: dict[Path, str] = field(default_factory=dict)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        workers = self.chance.choice((0, 0, 2))
        return start_tool(
            self.job.tool,
            *("--config", self.job.config, *arguments),
            *("OUTPUT_DIR", self.folder, self.job.workers, workers),
            start_new_session=True,
        )

    def end(self, process: subprocess.Popen[str], what: str) -> Outcome:
        """Wait for the end; the exit code of what died of a signal is a shell's."""
        try:
            out, err = process.communicate(timeout=120)
            done = Outcome(process.returncode, out, err)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):  # says where it is, PYTHONFAULTHANDLER is set
                os.kill(json.loads((self.folder / ".lock").read_text())["pid"], signal.SIGABRT)
            print(process.communicate()[1])
            self.story.append(f"{what}: does not end")
            raise
        code = 128 - done.code if done.code < 0 else done.code
        self.story.append(f"{what}: {code} {' '.join(done.err.split())[-300:]}")
        self.check(code, done, training="evaluated" not in what)
        return Outcome(code, done.out, done.err)

    def owner(self, process: subprocess.Popen[str], folder: Path) -> int | None:
        """Wait until the process has the folder; return its id, or None if it has ended."""
        while process.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                pid = int(json.loads((folder / ".lock").read_text())["pid"])
                if _alive(pid):
                    return pid
            time.sleep(0.002)
        return None

    def disturb(self, process: subprocess.Popen[str], folder: Path) -> str:
        """Send signals at any time to any of the processes; return which."""
        kind = self.chance.choice((*SIGNALS, signal.SIGKILL))
        times = self.chance.choice((1, 1, 2, 4)) if kind != signal.SIGINT else 1
        everyone = self.chance.random() < 0.5
        delay = self.chance.uniform(0, self.job.seconds)
        pid = self.owner(process, folder)
        if pid is None:
            return "nothing, it had ended"
        time.sleep(delay)
        for _ in range(times):
            family = [pid, *(_children(pid) if everyone else ())]
            for each in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, kind)
            time.sleep(self.chance.choice((0, 0.01, 0.1)))
        return f"{kind.name} x{times} to {'all' if everyone else 'it'} after {delay:.2f} s"

    # what may be done

    def train(self) -> None:
        assert self.end(self.start("--resume"), "trained").code == 0, self.story

    def interrupt(self) -> None:
        process = self.start("--resume")
        what = self.disturb(process, self.folder)
        code = self.end(process, f"trained, {what}").code
        assert code in (0, 130, 137, 138, 143), self.story

    def start_twice(self) -> None:
        first = self.start("--resume")
        pid = self.owner(first, self.folder)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
            if held := _stopped(pid):
                second = outcome_of(self.start("--resume"), 60)
                self.story.append(f"a second one: {second.code} {second.err!r}")
                assert second.code == 2 and "is at work in" in second.err, self.story
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
            self.story.append(f"started twice ({held})")
        what = self.disturb(first, self.folder)
        assert self.end(first, f"trained, {what}").code in (0, 130, 137, 138, 143), self.story

    def rerun(self) -> None:
        """Without --resume: refused where there is something to resume."""
        there = self.job.last(self.folder) is not None
        process = self.start()
        if there:
            done = self.end(process, "started anew")
            assert done.code == 2 and "pass --resume to go on with it" in done.err, self.story
        else:
            what = self.disturb(process, self.folder)
            assert self.end(process, f"began, {what}").code in (0, 130, 137, 138, 143), self.story

    def evaluate(self) -> None:
        if not (self.folder / self.job.final).exists():
            return
        process = self.start("--eval-only")
        free = next(
            one
            for n in range(1, 99)
            if not (
                (one := self.folder / ("eval" if n == 1 else f"eval-{n}")) / "record.json"
            ).exists()
        )
        what = ""
        if self.chance.random() < 0.5:
            what = self.disturb(process, free)
        done = self.end(process, f"evaluated {what}")
        assert done.code in ((0, 130, 137, 138, 143) if what else (0,)), self.story

    # what has to hold

    def check(self, code: int, done: Outcome, training: bool) -> None:
        folder, job = self.folder, self.job
        # Ctrl-C after all is done, in what Python does at its end, is Python's to tell
        at_end = code == 0 and "KeyboardInterrupt" in done.err
        assert at_end or "Traceback" not in done.err, self.story
        assert code in (0, 2, 130, 137, 138, 143), self.story
        last = job.last(folder)
        if last is not None:
            assert "model" in load_checkpoint(last), self.story
        if code == 0 and training:
            assert (folder / job.final).exists(), self.story
            read_record(folder)
        if code not in (137, 2):
            left = [path.name for path in folder.rglob(".*.tmp")]
            killed = any(": 137" in each for each in self.story)
            assert killed or not left, (left, self.story)
            assert not training or not (folder / ".lock").exists(), self.story
        if (folder / "record.json").exists():
            record: Any = read_record(folder)
            own = record.detector if job.tool == "train_net" else record.weights
            assert own.sha256 == sha256_file(folder / job.final), self.story
        # a line may hold the step's losses, and another one what its evaluation found
        facts = [(line[job.step], key) for line in _lines(folder / job.log) for key in line]
        twice = {fact for fact in facts if fact[1] != job.step and facts.count(fact) > 1}
        assert code == 137 or not twice, (twice, self.story)
        now = {path: path.read_text() for path in folder.glob("eval*/record.json")}
        for path, text in self.evaluations.items():
            assert now.get(path) == text, (path, self.story)
        self.evaluations = now

    def check_end(self) -> None:
        """Check that the run is the undisturbed one."""
        job, whole = self.job, self.job.whole
        for name in (job.final, job.best):
            once, again = load_checkpoint(whole / name), load_checkpoint(self.folder / name)
            for key in ("step", "iteration"):
                assert once.get(key) == again.get(key), (name, self.story)
            one, other = once[job.weights], again[job.weights]
            same = [torch.equal(one[key], other[key]) for key in one]
            assert all(same), (name, same.count(False), len(same), self.story)
        a, b = read_record(whole), read_record(self.folder)
        for key in FACTS:
            assert getattr(a, key, None) == getattr(b, key, None), (key, self.story)
        clocks = ("seconds", "images_per_second", "time", "data_time", "eta_seconds")
        logs = [
            [
                {k: v for k, v in line.items() if k not in clocks and "time" not in k}
                for line in _lines(folder / job.log)
            ]
            for folder in (whole, self.folder)
        ]
        if job.tool == "pretrain":
            assert logs[0] == logs[1], self.story
            scores = [line["adversarial_top1"] for line in logs[1]]
            best = load_checkpoint(self.folder / job.best)["step"]
            assert logs[1][scores.index(max(scores))]["step"] == best, self.story


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError):  # cut off by a kill
            found.append(json.loads(line))
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(e) for e in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def _alive(pid: int) -> bool:
    return _state(pid) not in "XZ"


def _stopped(pid: int) -> bool:
    while (state := _state(pid)) not in "TXZ":
        time.sleep(0.002)
    return state == "T"


def _whole(tool: str, config: Path, folder: Path) -> float:
    """Do an undisturbed run; return how long it took."""
    python()  # has the server started
    begun = time.perf_counter()
    done = outcome_of(start_tool(tool, "--config", config, "OUTPUT_DIR", folder))
    assert done.code == 0, done.err
    return time.perf_counter() - begun


def _last_of_pretraining(folder: Path) -> Path | None:
    path = folder / "last.pth"
    return path if path.exists() else None


def _last_of_detector(folder: Path) -> Path | None:
    named = folder / "last_checkpoint"
    return folder / named.read_text() if named.exists() else None


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory: pytest.TempPathFactory, image_tree: Path) -> Job:
    folder = tmp_path_factory.mktemp("pretraining")
    config, whole = folder / "tiny.yaml", folder / "whole"
    config.write_text(PRETRAIN.format(output=whole, root=image_tree))
    return Job(
        *("pretrain", config, "DATA.WORKERS", _last_of_pretraining, "final.pth", "best.pth"),
        *("metrics.jsonl", "epoch", "ema", whole, _whole("pretrain", config, whole)),
    )


@pytest.fixture(scope="module")
def finetuning(tmp_path_factory: pytest.TempPathFactory, scenes: Path, backbone_file: Path) -> Job:
    folder = tmp_path_factory.mktemp("finetuning")
    config = tiny_detector(
        folder / "tiny.yaml",
        scenes,
        backbone_file,
        "any_order",
        MODEL={"ROI_HEADS": {"SCORE_THRESH_TEST": 0.0}},
        SOLVER={"MAX_ITER": 8, "STEPS": [6], "IMS_PER_BATCH": 2, "CHECKPOINT_PERIOD": 3},
        TEST={"EVAL_PERIOD": 3, "KEEP_BEST": "bbox/AP", "PICTURES": 0, "DETECTIONS_PER_IMAGE": 20},
    )
    whole = folder / "whole"
    return Job(
        *("train_net", config, "DATALOADER.NUM_WORKERS", _last_of_detector, "model_final.pth"),
        *("model_best.pth", "metrics.json", "iteration", "model", whole),
        _whole("train_net", config, whole),
    )


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Callable[[Job, int], None]]:
    def round_of(job: Job, seed: int) -> None:
        one = Round(job, tmp_path / "run", random.Random(seed))
        actions = [one.interrupt, one.interrupt, one.interrupt, one.start_twice, one.rerun]
        actions += [one.evaluate, one.train]
        for _ in range(ACTIONS):
            one.chance.choice(actions)()
        one.train()
        one.evaluate()
        one.check_end()

    yield round_of
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_pretraining(pretraining: Job, play: Callable[[Job, int], None], seed: int) -> None:
    play(pretraining, seed)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + ROUNDS))
def test_finetuning(finetuning: Job, play: Callable[[Job, int], None], seed: int) -> None:
    play(finetuning, seed)
