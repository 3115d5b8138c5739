"""Copies of a backbone, as averaging makes them, and pickled ones are what they were made from."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from robust_det.backbones.builders import build_backbone, build_res5

COPIES = {
    "average": lambda module: AveragedModel(module).module,  # of a deep copy
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
}


def facts(module: Any) -> Any:
    modes = {name: child.training for name, child in module.named_modules()}
    return modes, {name: p.requires_grad for name, p in module.named_parameters()}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("how", COPIES)
# the graph of the last is deeper than Python's recursion limit
@pytest.mark.parametrize("arch", ["resnet10_narrow", "mobilenet_v2", "shufflenet_v2_x1_0"])
def test_a_copy_is_the_backbone(arch: str, how: Any, training: bool) -> None:
    backbone = build_backbone(arch, norm="BN", freeze_at=2).train(training)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
    drawn = torch.random.get_rng_state()
    twin = COPIES[how](backbone)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert facts(twin) == facts(backbone)
    own, theirs = backbone.state_dict(), twin.state_dict()
    assert list(own) == list(theirs)
    assert all(torch.equal(own[n], theirs[n]) for n in own)
    assert not {t.data_ptr() for t in own.values()} & {t.data_ptr() for t in theirs.values()}
    before = {name: tensor.clone() for name, tensor in theirs.items()}
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected, features = backbone(images), twin(images)
    assert all(torch.equal(features[name], expected[name]) for name in expected)
    moved = {name for name in before if not torch.equal(twin.state_dict()[name], before[name])}
    # neither the statistics of evaluation nor those of frozen stages
    assert bool(moved) is training and all("running" in n or "num_batches" in n for n in moved)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_c4_head(how: Any) -> None:
    head = build_res5("mobilenet_v2", norm="BN").eval()
    twin = COPIES[how](head)
    features = torch.rand(2, 96, 14, 14)
    with torch.no_grad():
        assert torch.equal(twin(features), head(features))
    assert facts(twin) == facts(head)
    # both have a graph of their own for training
    with torch.no_grad():
        assert torch.equal(twin.train()(features), head.train()(features))


@pytest.mark.parametrize("arch", ["densenet161", "convnext_small"])
def test_deep_networks_are_pickled(arch: str) -> None:
    with torch.device("meta"):
        backbone = build_backbone(arch)
    backbone = backbone.to_empty(device="cpu")
    for tensor in backbone.state_dict().values():
        tensor.fill_(0.5)
    twin = COPIES["pickle"](backbone.eval())
    own, theirs = backbone.state_dict(), twin.state_dict()
    assert list(own) == list(theirs) and all(torch.equal(own[n], theirs[n]) for n in own)


def test_a_copy_of_a_detector_s_part_shares_what_was_shared() -> None:
    backbone = build_backbone("mobilenet_v2", norm="BN", out_features=["res2"])
    both = nn.ModuleList([backbone, backbone])
    twins = copy.deepcopy(both)
    assert twins[0] is twins[1] is not backbone
