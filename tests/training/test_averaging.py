"""The moving average of weights, against its formula and against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from robust_det.training.averaging import WeightAverage


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def move(model: nn.Module, number: int) -> None:
    """Change parameters, statistics and counters as a step would."""
    torch.manual_seed(number)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    model.train()(torch.randn(5, 3, 4, 4))


def test_without_warm_up_it_is_torchs_own() -> None:
    model = network()
    mine = WeightAverage(model, 0.9)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for number in range(4):
        move(model, number)
        mine.update()
        theirs.update_parameters(model)
        if number == 0:  # the first weights are taken over as they are
            assert torch.equal(mine.values["0.weight"], model.state_dict()["0.weight"])
    for name, value in theirs.module.state_dict().items():
        assert torch.equal(mine.network.state_dict()[name], value), name
    assert mine.updates == int(theirs.n_averaged) == 4


def test_with_warm_up_the_decay_of_step_n_is_at_most_1_plus_n_by_10_plus_n() -> None:
    model = network()
    average = WeightAverage(model, 0.25, warm_up=True)
    by_hand = {n: v.clone() for n, v in model.state_dict().items() if v.is_floating_point()}
    for step in range(1, 6):
        move(model, step)
        average.update()
        decay = min(0.25, (1 + step) / (10 + step))
        for name, value in by_hand.items():
            value.mul_(decay).add_(model.state_dict()[name], alpha=1 - decay)
    assert average.updates == 5 and 2 / 11 < 0.25 < 6 / 15  # both limits were reached
    for name, value in by_hand.items():
        torch.testing.assert_close(average.values[name], value)
    # a counter is no quantity to average
    assert int(average.network.state_dict()["1.num_batches_tracked"]) == 5


@pytest.mark.parametrize("warm_up", [False, True])
def test_a_resumed_average_goes_on_as_if_it_had_not_stopped(warm_up: bool) -> None:
    model = network()
    whole = WeightAverage(model, 0.9, warm_up)
    for number in range(3):
        move(model, number)
        whole.update()
    resumed = WeightAverage(copy.deepcopy(model), 0.9, warm_up)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    assert resumed.updates == 3
    resumed._model = model
    move(model, 3)
    whole.update()
    resumed.update()
    for name, value in whole.values.items():
        assert torch.equal(resumed.values[name], value), name


def test_begun_anew_it_is_the_network_again_and_trains_nothing() -> None:
    model = network()
    average = WeightAverage(model, 0.9, warm_up=True)
    move(model, 1)
    average.restart()
    assert average.updates == 0 and not average.network.training
    for name, value in model.state_dict().items():
        assert torch.equal(average.network.state_dict()[name], value), name
    assert not any(p.requires_grad for p in average.network.parameters())
    assert all(p.requires_grad for p in model.parameters())
