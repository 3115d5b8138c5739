"""Norms folded into convolutions: the same function but for rounding, the network left alone."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm
from torchvision.ops import FrozenBatchNorm2d

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.core.errors import UserError
from robust_det.models import ARCHITECTURES, Classifier, build_classifier
from robust_det.models.folding import FoldedNorms

Randomise = Callable[..., Classifier]

# of those whose norms do not all follow a convolution
SOME = {"densenet161": (79, 161), "convnext_tiny": (0, 0)}
# the wide and the deep ones fold like their smaller siblings
TRIED = [
    "resnet10_narrow",
    "resnet50",
    "resnext50_32x4d",
    "vgg16_bn",
    "densenet161",
    "mobilenet_v2",
    "mnasnet1_0",
    "shufflenet_v2_x1_0",
    "convnext_tiny",
]


def batch_norms(model: nn.Module) -> list[str]:
    return [n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)]


def input_gradient(network: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_(True)
    out = network(x)
    return out.detach(), torch.autograd.grad(out.square().sum(), x)[0]


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("arch", TRIED)
def test_every_kind_of_network_is_the_same_function(arch: str, randomise: Randomise) -> None:
    model = randomise(build_classifier(arch, 5)).double()
    folding = FoldedNorms(model)
    known = SOME.get(arch, (len(batch_norms(model)),) * 2)
    assert (len(folding.folded), len(batch_norms(model))) == known
    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    with folding() as network:
        folded = input_gradient(network, x)
        remain = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        assert len(remain) == known[1] - known[0]
    with frozen(model):
        plain = input_gradient(model, x)
    for a, b in zip(folded, plain, strict=True):
        assert relative(a, b) < 1e-9


def test_all_architectures_are_tried_or_siblings_of_one() -> None:
    families = ("resnet", "wide_resnet50", "convnext")
    rest = [name for name in ARCHITECTURES if name not in TRIED]
    assert all(name.startswith(families) for name in rest), rest


def test_the_values_of_the_moment_are_folded(randomise: Randomise) -> None:
    model = randomise(build_classifier("resnet10_narrow", 5))
    folding = FoldedNorms(model)
    x = torch.rand(2, 3, 32, 32)
    results = []
    for change in (lambda: None, model.train, lambda: randomise(model, 7), model.half, model.float):
        change()
        model(x.to(next(model.parameters()).dtype))  # in training mode the statistics move
        with folding() as network:
            results.append(network(x.to(next(model.parameters()).dtype)).float())
        with frozen(model), torch.no_grad():
            expected = model(x.to(next(model.parameters()).dtype)).float()
        assert relative(results[-1], expected) < (2e-2 if change == model.half else 1e-5)
    assert relative(results[2], results[0]) > 0.1


@pytest.mark.parametrize("fail", [True, False])
def test_the_network_is_left_alone(fail: bool, randomise: Randomise) -> None:
    model = randomise(build_classifier("resnet10_narrow", 5)).train()
    model.body.bn1.eval()
    model.body.conv1.weight.requires_grad_(False)
    head = model.get_parameter("body.fc.weight")
    head.grad = torch.ones_like(head)
    seen: list[str] = []
    hook = model.body.layer2.register_forward_hook(lambda m, i, o: seen.append("layer2"))

    def facts() -> list[object]:
        modules = [
            {k: dict(v) if isinstance(v, dict) else v for k, v in vars(m).items()}
            for m in model.modules()
        ]
        tensors = [
            (id(t), t.data_ptr(), t.requires_grad)
            for t in model.state_dict(keep_vars=True).values()
        ]
        return [modules, tensors]

    before, values = facts(), copy.deepcopy(model.state_dict())
    folding = FoldedNorms(model)
    seen.clear()  # tracing calls hooks too

    def attack() -> None:
        with folding() as network:
            y = torch.tensor([0, 9 if fail else 1])
            objective = classifier_objective(network, y)
            PGD(make_threat("l2", 0.5), 2, 0.3)(objective, torch.rand(2, 3, 32, 32))

    if fail:
        with pytest.raises(IndexError):
            attack()
    else:
        attack()
    assert facts() == before
    assert all(torch.equal(v, values[k]) for k, v in model.state_dict().items())
    assert (model.body.fc.weight.grad == 1).all()
    assert all(p.grad is None for n, p in model.named_parameters() if n != "body.fc.weight")
    assert seen == ["layer2"] * (1 if fail else 2)
    # the twin holds no folded weights between calls
    weights = dict(folding.network.named_parameters())
    assert "body.layer2.0.conv1.weight" not in weights and "body.fc.weight" in weights
    hook.remove()
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert all(torch.equal(v, values[k]) for k, v in copied.state_dict().items())


class Corners(nn.Module):
    """Pairs that look alike; only ``good`` and the last two can be folded."""

    def __init__(self) -> None:
        super().__init__()

        def conv() -> nn.Conv2d:
            return nn.Conv2d(4, 4, 1, bias=True)

        self.good, self.good_norm = conv(), nn.BatchNorm2d(4)
        self.shared, self.shared_norm = conv(), nn.BatchNorm2d(4)
        self.twice, self.twice_norm = conv(), nn.BatchNorm2d(4)
        self.read, self.read_norm = conv(), nn.BatchNorm2d(4)
        self.hooked, self.hooked_norm = conv(), nn.BatchNorm2d(4)
        self.hooked.register_forward_hook(lambda module, args, out: out + 1)
        self.batch, self.batch_norm = conv(), nn.BatchNorm2d(4, track_running_stats=False)
        self.derived, self.derived_norm = weight_norm(conv()), nn.BatchNorm2d(4)
        self.plain, self.plain_norm = conv(), nn.BatchNorm2d(4, affine=False)
        self.frozen, self.frozen_norm = conv(), FrozenBatchNorm2d(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.good_norm(self.good(x))
        shared = self.shared(x)
        x = self.shared_norm(shared) + shared
        x = self.twice_norm(self.twice(self.twice(x)))
        x = self.read_norm(self.read(x)) + F.conv2d(x, self.read.weight)
        x = self.hooked_norm(self.hooked(x))
        x = self.batch_norm(self.batch(x))
        x = self.derived_norm(self.derived(x))
        x = self.plain_norm(self.plain(x))
        return self.frozen_norm(self.frozen(x))


def test_only_what_can_be_folded_is(randomise: Randomise) -> None:
    model = Corners()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    model.frozen_norm.running_var.uniform_(0.5, 2)
    folding = FoldedNorms(model)
    assert folding.folded == ("good_norm", "plain_norm", "frozen_norm")
    x = torch.rand(3, 4, 5, 5)
    with folding() as network:
        folded = input_gradient(network, x)
    with frozen(model):
        plain = input_gradient(model, x)
    for a, b in zip(folded, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_what_cannot_be_traced_is_refused() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm: nn.Module = nn.BatchNorm2d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(x) if x.sum() > 0 else -x

    with pytest.raises(UserError, match=r"Branching cannot be folded \(ATTACK.FOLD_NORMS\)"):
        FoldedNorms(Branching())
    branching = Branching()
    branching.norm = nn.Identity()
    assert FoldedNorms(branching).folded == ()  # there is nothing that could be


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_attack_reaches_the_same_loss(
    dtype: torch.dtype | None, layout: torch.memory_format
) -> None:
    """On a network that has learned something, to 1e-3 relative in float32."""
    model = build_classifier("resnet10_narrow", 4).to(memory_format=layout).train()
    y = torch.arange(32) % 4
    x = torch.rand(32, 3, 32, 32) * 0.4
    x[torch.arange(32), y % 3, :16] += 0.2 + 0.2 * (y // 3)[:, None, None]
    x = x.contiguous(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(15):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    attack = PGD(make_threat("l2", 0.5), 3, 1 / 3)
    losses, clean = [], 0.0
    for attacked in (FoldedNorms(model), lambda: frozen(model)):
        with attacked() as network:
            weight = network.body.layer1[0].conv1.weight
            assert weight.is_contiguous(memory_format=layout)
            out = attack(classifier_objective(network, y, amp_dtype=dtype), x)
        with frozen(model), torch.no_grad():
            losses.append(F.cross_entropy(model(out), y).item())
            clean = F.cross_entropy(model(x), y).item()
    assert clean < 1.0 and losses[1] > 1.2 * clean
    assert losses[0] == pytest.approx(losses[1], rel=1e-3 if dtype is None else 2e-2)
