"""The engine on a task of its own: rates of groups, patience, runs without validation."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from robust_det.training.engine import Engine, Plan, Update
from robust_det.training.schedule import LearningRate
from robust_det.training.state import Progress, TrainingState
from robust_det.training.step import OptimizerStep
from robust_det.training.world import World

STEPS = 3  # an epoch


class Scripted:
    """Moves two numbers by their rates, and has the scores of a list."""

    images, classes = 12, 2
    products: Sequence[str] = ("record.json",)
    shown: Sequence[str] = ()

    def __init__(self, scores: Sequence[float], stop_at: int = -1) -> None:
        self.network = nn.ParameterDict({"slow": nn.Parameter(torch.zeros(1))})
        self.network["fast"] = nn.Parameter(torch.zeros(1))
        groups: list[dict[str, Any]] = [
            {"params": [self.network["slow"]], "factor": 0.25},
            {"params": [self.network["fast"]]},
        ]
        self.step = OptimizerStep(self.network, torch.optim.SGD(groups, 123.0))
        self.scores, self.stop_at = scores, stop_at
        self.seen: list[int] = []
        self.watched: list[tuple[int, float, int]] = []
        self.validated = 0

    def begin(self, folder: Path, step: int) -> None:
        pass

    def batches(self, start_step: int) -> Generator[int, None, None]:
        yield from range(start_step, 1000)

    def update(self, batch: int, step: int) -> Update:
        assert batch == step
        self.seen.append(step)
        if step == self.stop_at:
            raise KeyboardInterrupt

        def losses(_: int) -> dict[str, torch.Tensor]:
            return {"loss": self.network["slow"].sum() + self.network["fast"].sum()}

        self.step(1, losses)
        return Update(torch.tensor(1.0), torch.tensor(2), 4)

    def validate(self, stop: Callable[[], bool]) -> dict[str, float]:
        self.validated += 1
        return {}

    def score(self, values: Mapping[str, float]) -> float:
        return self.scores[int(values["epoch"]) - 1]

    def watch(
        self, values: Mapping[str, float], best: float, best_epoch: int, weights: Path
    ) -> None:
        self.watched.append((int(values["epoch"]), best, best_epoch))

    def description(self) -> dict[str, Any]:
        return {}

    def check(self, content: Mapping[str, Any], path: Path) -> None:
        pass

    def conclude(self, weights: Path, values: Mapping[str, Any], seconds: float) -> None:
        (weights.parent / "record.json").write_text(json.dumps(values["epoch"]))


def engine(task: Scripted, folder: Path, epochs: int = 9, **plan: Any) -> Engine:
    folder.mkdir(exist_ok=True)
    rate = LearningRate("step", 0.5, epochs, STEPS, drop_epochs=2, gamma=0.5)
    settings = {"checkpoint_steps": 1, "eval_epochs": 1, **plan}
    return Engine(
        task,
        Plan(epochs, STEPS, 4, learning_rate=rate, **settings),
        TrainingState(task.network, task.step, None, Progress()),
        folder,
        "scripted",
        torch.device("cpu"),
        World(),
    )


def steps_in(path: Path) -> int:
    return int(torch.load(path, weights_only=True)["step"])


def test_a_group_learns_by_its_factor_of_the_rate(tmp_path: Path) -> None:
    task = Scripted([0] * 4)
    engine(task, tmp_path, epochs=4).run()
    travelled = 0.5 * STEPS * 2 + 0.25 * STEPS * 2  # a gradient of one, by two rates
    assert task.network["fast"].item() == pytest.approx(-travelled)
    assert task.network["slow"].item() == pytest.approx(-travelled / 4)


@pytest.mark.parametrize(
    "scores, eval_epochs, patience, epochs, best",
    [
        ([3, 4, 4, 3, 9], 1, 2, 4, 2),  # an equal one is not better
        ([3, 4, 4, 5, 4, 4, 9], 1, 2, 6, 4),
        ([0, 5, 0, 4, 0, 4, 0, 9, 0], 2, 2, 6, 2),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 1, 1, 9, 9),
        ([9, 1, 1, 1, 1, 1, 1, 1, 1], 1, 0, 9, 1),
        ([9, 1, 1, 1, 1, 1, 1, 1, 1], 1, 8, 9, 1),
    ],
)
def test_patience_ends_a_run_after_validations_without_a_better_one(
    scores: list[float], eval_epochs: int, patience: int, epochs: int, best: int, tmp_path: Path
) -> None:
    task = Scripted(scores)
    run = engine(task, tmp_path, eval_epochs=eval_epochs, patience=patience)
    run.run()
    assert task.seen == list(range(epochs * STEPS))
    assert steps_in(tmp_path / "final.pth") == steps_in(tmp_path / "last.pth") == epochs * STEPS
    assert steps_in(tmp_path / "best.pth") == run.state.progress.best_step == best * STEPS
    assert run.state.progress.latest == scores[epochs - 1]
    assert json.loads((tmp_path / "record.json").read_text()) == epochs


@pytest.mark.parametrize("at", [1, 2, 4, 8, 11])
def test_a_run_that_was_killed_ends_where_it_would_have(at: int, tmp_path: Path) -> None:
    scores = [3, 4, 4, 3, 9, 9, 9, 9, 9]
    with pytest.raises(KeyboardInterrupt):
        engine(Scripted(scores, at), tmp_path, patience=2).run()
    assert not (tmp_path / "final.pth").exists()
    task = Scripted(scores)
    engine(task, tmp_path, patience=2).run()
    assert task.seen == list(range(at, 4 * STEPS))
    whole = Scripted(scores)
    engine(whole, tmp_path / "whole", patience=2).run()
    assert torch.equal(task.network["slow"], whole.network["slow"])


def test_a_run_that_patience_ended_is_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    engine(Scripted([3, 2, 2]), tmp_path, patience=2).run()
    assert "scripted ends here: 2 validations were not better than that of epoch 1" in caplog.text
    for gone in ([], ["final.pth"], ["record.json", "final.pth"]):
        for name in gone:
            (tmp_path / name).unlink()
        task = Scripted([])
        engine(task, tmp_path, patience=2).run()
        assert not task.seen and not task.validated
        assert steps_in(tmp_path / "final.pth") == 3 * STEPS
        assert json.loads((tmp_path / "record.json").read_text()) == 3
    assert "is finished already" in caplog.text


def test_a_run_may_go_without_validation(tmp_path: Path) -> None:
    task = Scripted([])
    engine(task, tmp_path, epochs=2, eval_epochs=0).run()
    assert not task.validated and not (tmp_path / "best.pth").exists()
    assert steps_in(tmp_path / "final.pth") == 2 * STEPS
    assert json.loads((tmp_path / "record.json").read_text()) == 2
