"""Batch norms over all processes: what is converted, and where that is refused."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from robust_det.core.errors import UserError
from robust_det.models import build_classifier
from robust_det.models.folding import FoldedNorms
from robust_det.models.stages import empty_network
from robust_det.training.world import World


def norms_of(network: nn.Module) -> dict[str, type]:
    modules = network.named_modules()
    return {name: type(m) for name, m in modules if isinstance(m, nn.modules.batchnorm._BatchNorm)}


def test_every_norm_is_converted_and_keeps_its_names(caplog: pytest.LogCaptureFixture) -> None:
    # without values, and so not on the CPU
    network = empty_network("resnet10_narrow", 3)
    before, names = norms_of(network), list(network.state_dict())
    with caplog.at_level(logging.WARNING):
        World().synchronise_norms(network)
    assert "no effect on one process" in caplog.text and norms_of(network) == before
    World(size=2).synchronise_norms(network)
    assert norms_of(network) == dict.fromkeys(before, nn.SyncBatchNorm)
    assert list(network.state_dict()) == names


def test_it_is_refused_on_the_cpu_and_without_norms() -> None:
    with pytest.raises(UserError, match=r"MODEL\.SYNC_NORMS needs GPUs"):
        World(size=2).synchronise_norms(build_classifier("resnet10_narrow", 3))
    with pytest.raises(UserError, match="has no batch norm"):
        World(size=2).synchronise_norms(empty_network("convnext_tiny", 3))


def test_the_attack_sees_the_same_network() -> None:
    torch.manual_seed(0)
    model, images = build_classifier("resnet10_narrow", 3).train(), torch.rand(4, 3, 32, 32)
    model(images)  # statistics of its own
    plain = model.eval()(images)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    with FoldedNorms(converted)() as network:
        torch.testing.assert_close(network(images), plain, rtol=1e-5, atol=1e-5)
    assert torch.equal(converted(images), plain)
