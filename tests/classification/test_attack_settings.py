"""From a config to its attacks."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robust_det.attacks import PGD, classifier_objective, frozen
from robust_det.classification.attack_settings import eval_attack, train_attack
from robust_det.classification.settings import pretrain_defaults
from robust_det.core.config.reading import CfgNode

SPACING = {"fp32": 0.0, "bf16": 2.0**-7, "fp16": 2.0**-10}


def config(precision: str, eps: float = 0.01 / 255) -> CfgNode:
    cfg = pretrain_defaults()
    cfg.ATTACK.NORM, cfg.ATTACK.EPS, cfg.ATTACK.ITERATE = "linf", eps, "best"
    cfg.TRAIN.PRECISION = precision
    return cfg


@pytest.mark.parametrize("precision", SPACING)
def test_both_attacks_know_what_their_precision_cannot_tell(precision: str) -> None:
    for build in (train_attack, eval_attack):
        attack = build(config(precision))
        assert isinstance(attack, PGD)
        assert attack.best_iterate
        assert attack.resolution == 16 * SPACING[precision]


def test_at_a_tiny_eps_the_best_iterate_in_bf16_is_as_strong_as_the_last() -> None:
    # of a network that is sure: its losses are small, and their noise is that of large logits
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 256), nn.ReLU(), nn.Linear(256, 10))
    with torch.no_grad():
        network[3].weight.mul_(60)
    x = torch.rand(128, 3, 8, 8)
    y = network(x).argmax(1)
    exact = copy.deepcopy(network).double()

    def gain(attack: PGD) -> float:
        with frozen(network):
            objective = classifier_objective(network, y, amp_dtype=torch.bfloat16)
            out = attack(objective, x, torch.Generator().manual_seed(1))
        with torch.no_grad():
            before, after = (F.cross_entropy(exact(z.double()), y) for z in (x, out))
        return float(after - before)

    own = eval_attack(config("bf16"))
    last = gain(replace(own, best_iterate=False))
    assert gain(replace(own, resolution=0.0)) < 0.9 * last
    assert gain(own) > 0.97 * last
