"""Folded frozen norms: the same function, the same gradients, the same names, always up to date."""

import copy
import pickle
from typing import Any

import pytest
import torch
from detectron2.layers import FrozenBatchNorm2d

from robust_det.backbones.builders import build_backbone, build_res5
from robust_det.backbones.frozen_folding import fold_frozen_norms

# the blocks of Detectron2's ResNet; torchvision's groups of modules, and graphs of single ones
ARCHS = ["resnet10_narrow", "mobilenet_v2", "shufflenet_v2_x1_0"]


def drawn(network: Any, seed: Any = 0) -> Any:
    """Give the frozen norms of a network something to do."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.bias.normal_(0, 0.3, generator=generator)
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    return network


def folded(network: Any) -> Any:
    twin = copy.deepcopy(network)
    return twin, fold_frozen_norms(twin)


def features_and_gradients(network: Any, images: Any) -> Any:
    network.zero_grad()
    features = network(images)
    sum((f * f).mean() for f in features.values()).backward()
    return features, {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


def assert_near(ours: Any, theirs: Any) -> None:
    assert ours.keys() == theirs.keys() and theirs
    for name, value in theirs.items():
        assert (ours[name] - value).norm() <= 1e-4 * value.norm(), name


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("freeze_at", [0, 2])
def test_features_and_gradients_are_the_same_up_to_rounding(arch: Any, freeze_at: Any) -> None:
    plain = drawn(build_backbone(arch, freeze_at=freeze_at))
    ours, count = folded(plain)
    assert count == sum(isinstance(m, FrozenBatchNorm2d) for m in plain.modules())
    assert list(ours.state_dict()) == list(plain.state_dict())
    images = torch.rand(2, 3, 96, 96)
    expected, found = (features_and_gradients(network, images) for network in (plain, ours))
    for mine, theirs in zip(found, expected, strict=True):
        assert_near(mine, theirs)
    # it is another computation, so other bits
    assert any(not torch.equal(found[0][n], f) for n, f in expected[0].items())


@pytest.mark.parametrize("arch", ARCHS)
def test_evaluation_keeps_its_bits(arch: Any) -> None:
    plain = drawn(build_backbone(arch)).eval()
    ours, _ = folded(plain)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = plain(images), ours(images)
    assert all(torch.equal(found[name], f) for name, f in expected.items())


@pytest.mark.parametrize("arch", ARCHS)
def test_values_that_come_later_are_seen(arch: Any) -> None:
    plain = build_backbone(arch)
    ours, _ = folded(plain)
    images = torch.rand(1, 3, 96, 96)
    ours(images)
    drawn(plain, 1)
    ours.load_state_dict(plain.state_dict())
    assert_near(ours(images), plain(images))
    with torch.no_grad():
        for one, other in zip(plain.parameters(), ours.parameters(), strict=True):
            one.mul_(1.1)
            other.mul_(1.1)
    assert_near(ours(images), plain(images))


@pytest.mark.parametrize("how", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@pytest.mark.parametrize("arch", ARCHS)
def test_a_copy_is_folded_and_has_its_own_norms(arch: Any, how: Any) -> None:
    ours, _ = folded(drawn(build_backbone(arch)))
    twin = how(ours)
    images = torch.rand(1, 3, 96, 96)
    expected, found = ours(images), twin(images)
    assert all(torch.equal(found[name], f) for name, f in expected.items())
    assert fold_frozen_norms(twin) == 0
    drawn(twin, 1)
    assert all(torch.equal(ours(images)[name], f) for name, f in expected.items())
    assert not any(torch.equal(twin(images)[name], f) for name, f in expected.items())


def test_more_weights_than_features_are_not_scaled() -> None:
    plain = drawn(build_res5("resnet10_narrow"))
    ours, count = folded(plain)
    assert count == 3
    few, many = torch.rand(1, 64, 8, 8), torch.rand(64, 64, 8, 8)
    assert torch.equal(ours(few), plain(few))
    assert not torch.equal(ours(many), plain(many))
    torch.testing.assert_close(ours(many), plain(many), rtol=1e-4, atol=1e-4)


def test_norms_that_learn_or_come_first_are_left_alone() -> None:
    assert fold_frozen_norms(build_backbone("resnet10_narrow", norm="BN")) == 0
    # the second of the two norms of a layer follows a convolution
    dense = build_backbone("densenet161", out_features=["res2"])
    norms = [n for n, m in dense.named_modules() if isinstance(m, FrozenBatchNorm2d)]
    assert 0 < fold_frozen_norms(dense) < len(norms)
