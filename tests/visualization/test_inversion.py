"""Inversion against the formulas of the `robustness` library, written once more here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import densenet121, mobilenet_v2

from robust_det.attacks import frozen
from robust_det.checkpoints.model_file import read_model
from robust_det.transfer.features.network import feature_network
from robust_det.visualization.ascent import l2_search, noise
from robust_det.visualization.intervals import means_over_images
from robust_det.visualization.inversion import inversion_error, inversion_objective
from robust_det.visualization.straight import StraightLastReLU


class FakeReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0]


def plain_representation(body: Any, x: torch.Tensor, mean: Any, std: Any) -> torch.Tensor:
    """A ResNet's representation, whose very last ReLU passes the gradient as it comes."""
    x = (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    x = body.maxpool(torch.relu(body.bn1(body.conv1(x))))
    blocks = [block for n in range(1, 5) for block in getattr(body, f"layer{n}")]
    for block in blocks:
        out = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
        out = out + (x if block.downsample is None else block.downsample(x))
        x = FakeReLU.apply(out) if block is blocks[-1] else torch.relu(out)
    return x.mean((2, 3))


def test_steps_are_those_of_the_library(networks: list[Path]) -> None:
    model = read_model(networks[0])
    network = feature_network(model, "it").module
    body = model.body().requires_grad_(False)
    images, seeds = torch.rand(3, 3, 48, 48), noise(3, 48, 7, torch.device("cpu"))
    with torch.no_grad():
        wanted = network(images)

    x = seeds
    for _ in range(6):
        x = x.clone().detach().requires_grad_(True)
        rep = plain_representation(body, x, model.mean, model.std)
        losses = torch.div(torch.norm(rep - wanted, dim=1), torch.norm(wanted, dim=1))
        (grad,) = torch.autograd.grad(-losses.mean(), [x])
        with torch.no_grad():
            norms = grad.view(3, -1).norm(dim=1).view(-1, 1, 1, 1)
            x = x + grad / (norms + 1e-10) * 1.0
            x = torch.clamp(seeds + (x - seeds).renorm(p=2, dim=0, maxnorm=1000), 0, 1)
    expected = x.detach()

    with frozen(network):
        straight = StraightLastReLU(network, images[:1])
        assert straight.passes
        found = l2_search(1000.0, 1.0, 6)(inversion_objective(straight, wanted), seeds)
    # the library's loss is a mean over the batch, which a normalised step does not see
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert float((expected - seeds).norm()) > 3
    with torch.no_grad():
        before, after = (inversion_error(network(each), wanted) for each in (seeds, found))
    assert (after < 0.8 * before).all()


def test_the_gradient_of_a_unit_that_is_off_passes() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 1), nn.ReLU(inplace=True))
    linear: Any = network[1]
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[2.0, -3.0]]))
        linear.bias.fill_(-1.0)
    x = torch.zeros(1, 2, requires_grad=True)
    assert torch.equal(torch.autograd.grad(network(x).sum(), x)[0], torch.zeros(1, 2))
    straight = StraightLastReLU(network, x.detach())
    y = straight(x)
    assert float(y.detach()) == 0  # the value is the ReLU's
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.tensor([[2.0, -3.0]]))


@pytest.mark.parametrize(
    "build, norm", [(densenet121, "features.norm5"), (mobilenet_v2, "features.18.1")]
)
def test_the_last_relu_is_found_as_a_function_and_with_a_bound(build: Any, norm: str) -> None:
    body = build(num_classes=2).eval().requires_grad_(False)
    body.classifier = nn.Identity()
    x = torch.rand(1, 3, 32, 32)
    straight = StraightLastReLU(body, x)
    assert straight.passes
    with torch.no_grad():
        assert torch.equal(straight(x), body(x))
    before: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        before.append(output)
        return output.clone()  # the ReLU works in place

    body.get_submodule(norm).register_forward_hook(keep)
    x.requires_grad_(True)
    # at 32 px there is one position to pool: the gradient is 1 in every unit, on or off
    (own,) = torch.autograd.grad(body(x).sum(), before[0])
    assert 0 < float(own.mean()) < 1
    (passed,) = torch.autograd.grad(straight(x).sum(), before[1])
    assert torch.equal(passed, torch.ones_like(passed))


def test_networks_without_a_last_relu_keep_their_gradients() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4), nn.GELU())
    x = torch.rand(1, 3, 2, 2)
    straight = StraightLastReLU(body, x)
    assert not straight.passes
    x.requires_grad_(True)
    own, its = (torch.autograd.grad(f(x)[0, 0], x)[0] for f in (body, straight))
    assert torch.equal(own, its)


def test_noise_has_the_deviation_of_the_paper_and_its_own_seed() -> None:
    device = torch.device("cpu")
    drawn = noise(4, 64, 3, device)
    assert abs(float(drawn.mean()) - 0.5) < 1e-3
    assert abs(float(drawn.std()) - 0.05) < 5e-4
    assert torch.equal(drawn[:2], noise(2, 64, 3, device))
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn, noise(4, 64, 4, device))


def test_means_have_intervals_and_paired_differences() -> None:
    rng = torch.Generator().manual_seed(0)
    base = torch.rand(40, generator=rng) * 10
    values = {"a": base.tolist(), "b": (base - 1).tolist()}
    one, two, gap = means_over_images(values, "error")
    assert (one.network, two.network, gap.network, gap.minus) == ("a", "b", "b", "a")
    error = float(base.std()) / 40**0.5
    assert one.interval.value == pytest.approx(float(base.mean()))
    assert one.interval.high - one.interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    # image by image nothing varies
    assert gap.interval.low == pytest.approx(-1) and gap.interval.high == pytest.approx(-1)
    (single,) = means_over_images({"a": [2.0]}, "error")
    assert single.interval.value == 2 and single.interval.low != single.interval.low
