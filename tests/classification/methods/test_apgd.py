"""Training by APGD: its step is that of evaluation's attack, and of the formulas of the paper."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from robust_det.attacks import APGD, PGD, classifier_objective, frozen, make_threat
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.attack_settings import train_attack
from robust_det.classification.components import build_step
from robust_det.classification.methods import Inner, Method
from robust_det.classification.methods.free import Free
from robust_det.classification.methods.mart import Mart
from robust_det.classification.methods.trades import Trades
from robust_det.classification.settings import pretrain_defaults
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.models import build_classifier
from robust_det.training.world import World

EPS = 8 / 255


def config(**keys: Any) -> CfgNode:
    cfg = pretrain_defaults()
    cfg.ATTACK.NAME, cfg.ATTACK.NORM, cfg.ATTACK.EPS = "apgd", "linf", EPS
    cfg.ATTACK.STEPS, cfg.ATTACK.FOLD_NORMS, cfg.OPTIM.WEIGHT_DECAY = 2, False, 0.0
    for key, value in keys.items():
        cfg.ATTACK[key] = value
    return cfg


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(8, 3, 32, 32), torch.arange(8) % 4


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_step_is_one_on_the_examples_of_evaluation(norm: str, steps: int) -> None:
    cfg = config(STEPS=steps, NORM=norm, RANDOM_START=True)
    model = build_classifier("resnet10_narrow", 4)
    plain = copy.deepcopy(model)
    images, targets = batch()
    loss, _ = build_step(cfg, model, None, World())(images, targets, torch.Generator())
    with frozen(plain) as network:
        objective = classifier_objective(network, targets)
        examples = APGD(make_threat(norm, EPS), steps)(objective, images, torch.Generator())
    plain.train()
    expected = F.cross_entropy(plain(examples), targets)
    expected.backward()
    torch.optim.SGD(plain.parameters(), cfg.OPTIM.LR, momentum=cfg.OPTIM.MOMENTUM).step()
    assert loss.item() == expected.item()
    for own, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert torch.equal(own, other)


def test_two_steps_from_the_image_are_those_of_the_paper() -> None:
    # algorithm 1 of Croce & Hein 2020, where the first step raises the loss
    model = build_classifier("resnet10_narrow", 4).eval().requires_grad_(False)
    images, targets = batch()

    def at(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.clone().requires_grad_(True)
        losses = F.cross_entropy(model(x), targets, reduction="none")
        return losses.detach(), torch.autograd.grad(losses.sum(), x)[0]

    def inside(x: torch.Tensor) -> torch.Tensor:
        return x.clamp(images - EPS, images + EPS).clamp(0, 1)

    before, slope = at(images)
    first = inside(images + 2 * EPS * slope.sign())
    after, slope = at(first)
    step = inside(first + 2 * EPS * slope.sign()) - first
    second = inside(first + 0.75 * step + 0.25 * (first - images))
    points, losses = torch.stack([images, first, second]), [before, after, at(second)[0]]
    best = points[torch.stack(losses).argmax(0), torch.arange(8)]
    rose = after > before
    out = train_attack(config())(classifier_objective(model, targets), images)
    assert rose.sum() >= 6
    torch.testing.assert_close(out[rose], best[rose], atol=1e-6, rtol=0)
    plain = PGD(make_threat("linf", EPS), 2, 2 * EPS, best_iterate=True)
    assert not torch.allclose(plain(classifier_objective(model, targets), images), out)


@pytest.mark.parametrize("method", [Trades(6.0), Mart(weight=5.0)])
@pytest.mark.parametrize("switches", [{}, {"clean_share": 0.25, "awp_gamma": 0.01}])
def test_other_methods_take_it(method: Method, switches: dict[str, Any]) -> None:
    model = build_classifier("resnet10_narrow", 4)
    optimizer, attack = torch.optim.SGD(model.parameters(), 0.05), train_attack(config())
    step = TrainingStep(model, model, optimizer, attack, method, **switches)
    images, targets = batch()
    losses = [float(step(images, targets, torch.Generator(), strength=0.5)[0]) for _ in range(8)]
    assert losses[-1] < losses[0]
    pgd = TrainingStep(model, model, optimizer, PGD(attack.threat, 2, EPS), method, **switches)
    share = 1 - switches.get("clean_share", 0.0)
    assert step.cost().forward == pytest.approx(pgd.cost().forward + share)
    assert step.cost().backward == pytest.approx(pgd.cost().backward)


def test_trades_climbs_from_beside_the_image() -> None:
    model, (images, targets) = build_classifier("resnet10_narrow", 4), batch()
    inner = Inner(train_attack(config()), lambda: frozen(model), noise=torch.Generator())
    out = Trades(6.0).examples(inner, images, targets)
    assert inner.attack.threat.holds(out, images).all()
    # from the image itself, where the divergence has no slope, none would leave it
    assert (out - images).abs().flatten(1).amax(1).min() > EPS / 2


def test_free_steps_as_pgd_alone() -> None:
    model, (images, targets) = build_classifier("resnet10_narrow", 4), batch()
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    with pytest.raises(UserError, match="free training steps as PGD does"):
        TrainingStep(model, model, optimizer, train_attack(config()), Free())(images, targets)
