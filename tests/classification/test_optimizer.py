"""Optimisers: their updates by hand, their keys, and runs that go on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robust_det.classification.components import build_model, build_step, learning_parts
from robust_det.classification.optimizer import build_optimizer, optimizer_words
from robust_det.classification.settings import explain, pretrain_defaults
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.models.stages import tensor_stages
from robust_det.training.world import World

ORDER = ("stem", "res2", "res3", "res4", "res5", "head")


def config(*pairs: Any) -> CfgNode:
    cfg = pretrain_defaults()
    cfg.merge_from_list(["MODEL.ARCH", "resnet10_narrow", "DATA.IMAGE_SIZE", 32, *pairs])
    return cfg


def test_adamw_is_the_papers_with_two_rates_and_no_decay_of_norms() -> None:
    cfg = config("OPTIM.NAME", "adamw", "OPTIM.LR", 0.01, "OPTIM.WEIGHT_DECAY", 0.3)
    cfg.merge_from_list(["OPTIM.BETAS", [0.8, 0.9], "OPTIM.DECAY_NORMS", False])
    rng = np.random.default_rng(0)
    shapes, factors = [(3, 2), (3,), (2, 3), (2,)], [0.5, 0.5, 1.0, 1.0]
    weights = [rng.normal(size=shape) for shape in shapes]
    found = [torch.nn.Parameter(torch.tensor(w)) for w in weights]
    groups = [{"params": found[:2], "factor": 0.5}, {"params": found[2:], "factor": 1.0}]
    optimizer = build_optimizer(cfg, found, groups)
    first = [np.zeros(shape) for shape in shapes]
    second = [np.zeros(shape) for shape in shapes]
    for step, rate in enumerate((0.01, 0.02, 0.005), start=1):
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        gradients = [rng.normal(size=shape) for shape in shapes]
        for parameter, gradient in zip(found, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        optimizer.step()
        # Loshchilov & Hutter 2019, algorithm 2
        for i, gradient in enumerate(gradients):
            own = rate * factors[i]
            first[i] = 0.8 * first[i] + 0.2 * gradient
            second[i] = 0.9 * second[i] + 0.1 * gradient**2
            mean, square = first[i] / (1 - 0.8**step), second[i] / (1 - 0.9**step)
            decay = 0.3 if weights[i].ndim > 1 else 0.0
            change = mean / (np.sqrt(square) + 1e-8) + decay * weights[i]
            weights[i] = weights[i] - own * change
            np.testing.assert_allclose(found[i].detach().numpy(), weights[i], rtol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_norms_and_biases_do_not_decay_where_that_is_asked_for(name: str) -> None:
    pairs = ("OPTIM.NAME", name, "OPTIM.LR", 0.1, "OPTIM.WEIGHT_DECAY", 0.5)
    for decays in (True, False):
        cfg = config(*pairs, "OPTIM.DECAY_NORMS", decays)
        model, *_ = build_model(cfg, ("a", "b"), torch.device("cpu"))
        optimizer = build_step(cfg, model, None, World()).update.optimizer
        before = {key: value.detach().clone() for key, value in model.named_parameters()}
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        for key, value in model.named_parameters():
            kept = 1 - 0.1 * 0.5 if decays or before[key].dim() > 1 else 1
            assert torch.allclose(value, kept * before[key], rtol=1e-6, atol=0), key
    free = [p for p in model.parameters() if p.dim() == 1]
    every, line = list(model.parameters()), optimizer_words(cfg, optimizer)[0]
    assert line == (
        f"no weight decay on {len(free)} of {len(every)} tensors, norms and biases:"
        f" {sum(p.numel() for p in free)} of {sum(p.numel() for p in every)} weights"
    )


def test_each_stage_has_its_share_of_the_rate() -> None:
    cfg = config("OPTIM.LAYER_DECAY", 0.5, "OPTIM.DECAY_NORMS", False, "MODEL.FREEZE", "res2")
    model, *_ = build_model(cfg, ("a", "b"), torch.device("cpu"))
    groups, still = learning_parts(cfg, model)
    optimizer = build_step(cfg, model, None, World(), groups, still).update.optimizer
    names = {id(p): name for name, p in model.body.named_parameters()}
    stages, seen = tensor_stages("resnet10_narrow"), set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            assert group["factor"] == 0.5 ** (5 - ORDER.index(stages[name])), name
            assert group["weight_decay"] == (1e-4 if parameter.dim() > 1 else 0)
            seen.add(name)
    assert seen == {n for n in names.values() if ORDER.index(stages[n]) > 1}
    assert seen == {n for n, p in model.body.named_parameters() if p.requires_grad}
    # by default all weights are one group, as in the checkpoints of before
    plain = config()
    assert learning_parts(plain, model) == ([], [])
    assert len(build_step(plain, model, None, World()).update.optimizer.param_groups) == 1


def test_adamw_goes_on_to_the_same_bits(
    tmp_path: Path,
    pretrain: Any,
    killed_and_resumed: Callable[..., Any],
    assert_same_tensors: Callable[[Path, Path], None],
) -> None:
    options: tuple[object, ...] = ("OPTIM.NAME", "adamw", "OPTIM.LR", 0.002, "OPTIM.BETAS")
    options += ("[0.9, 0.95]", "OPTIM.DECAY_NORMS", False, "OPTIM.LAYER_DECAY", 0.7)
    options += ("OPTIM.SCHEDULE", "multistep", "OPTIM.MILESTONES", "[1]")
    options += ("TRAIN.CHECKPOINT_STEPS", 1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    outcome = pretrain(*options, "OUTPUT_DIR", whole)
    assert outcome.code == 0, outcome.err
    assert "no weight decay on " in outcome.out
    killed_and_resumed(*options, "OUTPUT_DIR", broken)
    assert_same_tensors(whole / "last.pth", broken / "last.pth")
    state = torch.load(whole / "last.pth", weights_only=True)["optimizer"]["state"]
    assert all(float(each["step"]) == 12 for each in state.values())


MULTISTEP = ["OPTIM.SCHEDULE", "multistep", "OPTIM.MILESTONES"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["OPTIM.NAME", "adam"], "OPTIM.NAME is one of sgd, adamw, not 'adam'; did you mean"),
        (["OPTIM.NAME", "adamw", "OPTIM.MOMENTUM", "0.8"], "no effect without OPTIM.NAME sgd"),
        (["OPTIM.NAME", "adamw", "OPTIM.NESTEROV", "True"], "no effect without OPTIM.NAME sgd"),
        (["OPTIM.BETAS", "[0.9, 0.95]"], "OPTIM.BETAS has no effect without OPTIM.NAME adamw"),
        (["OPTIM.NAME", "adamw", "OPTIM.BETAS", "[0.9, 1]"], "needs two numbers in [0, 1), not"),
        (["OPTIM.NAME", "adamw", "OPTIM.BETAS", "[0.9]"], "needs two numbers in [0, 1), not [0.9]"),
        (
            ["OPTIM.WEIGHT_DECAY", "0", "OPTIM.DECAY_NORMS", "False"],
            "OPTIM.DECAY_NORMS has no effect without OPTIM.WEIGHT_DECAY above 0",
        ),
        (["OPTIM.LAYER_DECAY", "1.5"], "trains lower stages faster than upper ones"),
        (
            ["OPTIM.LAYER_DECAY", "0.5", "MODEL.FREEZE", "res5", "MODEL.INIT", "a.pth"],
            "OPTIM.LAYER_DECAY has no effect without MODEL.FREEZE below res5",
        ),
        (["OPTIM.LAYER_DECAY", "0"], "OPTIM.LAYER_DECAY must be above 0"),
        (["OPTIM.MILESTONES", "[30, 60]"], "no effect without OPTIM.SCHEDULE multistep"),
        ([*MULTISTEP, "[30, 60]", "OPTIM.STEP_EPOCHS", "20"], "without OPTIM.SCHEDULE step"),
        (MULTISTEP[:2], "OPTIM.SCHEDULE multistep needs OPTIM.MILESTONES"),
        ([*MULTISTEP, "[60, 30]"], "needs rising whole numbers of epochs from 1 on"),
        ([*MULTISTEP, "[30, 30]"], "needs rising whole numbers of epochs from 1 on"),
        ([*MULTISTEP, "[0, 30]"], "needs rising whole numbers of epochs from 1 on"),
        ([*MULTISTEP, "[2.5]"], "needs rising whole numbers of epochs from 1 on"),
        ([*MULTISTEP, "30"], "config key 'OPTIM.MILESTONES' needs a list, not 30"),
        ([*MULTISTEP, "[30, 90]"], "must be below TRAIN.EPOCHS 90: a drop at 90 would come after"),
        (["MODEL.FREEZE", "res6"], "MODEL.FREEZE is one of none, stem, res2"),
    ],
)
def test_keys_that_contradict_or_have_no_effect_are_refused(pairs: list[str], message: str) -> None:
    with pytest.raises(UserError) as refused:
        explain("resnet50_l2_eps1.yaml", pairs)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_a_rate_of_sgd_is_told_to_adamw() -> None:
    cfg = config("OPTIM.NAME", "adamw")
    weights = [torch.nn.Parameter(torch.ones(2, 2))]
    high = optimizer_words(cfg, build_optimizer(cfg, weights))
    assert high == ["OPTIM.LR 0.1 is high for adamw, whose usual rates are near 0.001"]
    cfg.OPTIM.LR = 1e-3
    assert optimizer_words(cfg, build_optimizer(cfg, weights)) == []
