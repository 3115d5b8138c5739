"""Steps of each method of adversarial training by one process or by several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from robust_det.attacks import PGD, Noise, ThreatModel, make_threat
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.methods import CleanNorms, Method, PGDTraining
from robust_det.classification.methods.free import Free
from robust_det.classification.methods.mart import Mart
from robust_det.classification.methods.trades import Trades
from robust_det.models import Classifier, build_classifier
from robust_det.training.world import World, joined_world

__all__ = ["CASES", "states_after_steps", "write_states"]


class FromTheSamePoint(Trades):
    """Starts where no process draws a number of its own."""

    def start(self, threat: ThreatModel, x: torch.Tensor, noise: Noise) -> torch.Tensor:
        return threat.project(x + 1e-3 * torch.sin(1e4 * x), x)


CASES: dict[str, tuple[Method, dict[str, Any]]] = {
    "pgd": (PGDTraining(), {"awp_gamma": 0.05, "clean_share": 0.4}),
    "trades": (FromTheSamePoint(6.0), {"awp_gamma": 0.05}),
    "mart": (Mart(weight=5.0), {"clean_share": 0.4}),
    "free": (Free(), {}),
    "separate": (FromTheSamePoint(6.0), {}),
}


def states_after_steps(world: World) -> dict[str, dict[str, torch.Tensor]]:
    """Return the weights after three steps of each case, in which each process has its share."""
    states = {}
    for name, (method, switches) in CASES.items():
        torch.manual_seed(0)
        options = dict(switches)
        if name == "separate":
            model = build_classifier("resnet10_narrow", 4)
            options["clean_norms"] = CleanNorms(model)
            model.add_module("clean_norms", options["clean_norms"])
        else:  # with the statistics of half a batch, processes learn otherwise than one does
            body = nn.Sequential(nn.Conv2d(3, 8, 3, 4), nn.ReLU(), nn.Flatten())
            model = Classifier(body.append(nn.Linear(512, 4)))
        step = TrainingStep(
            model,
            world.wrap(model),
            torch.optim.SGD(model.parameters(), 0.05, momentum=0.9),
            PGD(make_threat("l2", 0.5), 2, 0.3),
            method,
            world=world,
            **options,
        )
        images, targets = torch.rand(12, 3, 32, 32), torch.arange(12) % 4
        for _ in range(3):
            step(images[world.rank :: world.size], targets[world.rank :: world.size])
        states[name] = model.state_dict()
    return states


def write_states(folder: str) -> None:
    """Do the same in each of several processes, and write what it comes to."""
    torch.set_num_threads(1)
    with joined_world(torch.device("cpu")) as world:
        torch.save(states_after_steps(world), Path(folder) / f"{world.rank}.pth")
