from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.components import build_step
from robust_det.classification.methods import PGDTraining
from robust_det.classification.settings import pretrain_defaults
from robust_det.models import Classifier, build_classifier
from robust_det.models.folding import FoldedNorms
from robust_det.training.world import World

NO_ATTACK = PGD(make_threat("l2", 0.0), 3, 0.0)
ATTACK = PGD(make_threat("l2", 0.5), 2, 1 / 3)


def without_batch_norm() -> Classifier:
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 4))
    return Classifier(body)


def sgd(model: nn.Module, **options: Any) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3, **options)


def batch(n: int = 8, size: int = 16, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(5)
    pixels = torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8)
    return pixels, torch.arange(n) % classes


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


def test_eps_zero_equals_a_plain_loop_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = build_classifier("resnet10_narrow", 4)
    plain = copy.deepcopy(model)
    optimizer = sgd(model)
    step = TrainingStep(model, model, optimizer, NO_ATTACK)
    pixels, targets = batch(size=32)
    results = [step(pixels.roll(i, 3), targets) for i in range(5)]

    plain_optimizer = sgd(plain)
    plain.train()
    for i in range(5):
        plain_optimizer.zero_grad()
        logits = plain(pixels.roll(i, 3).float() / 255)
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        plain_optimizer.step()
        assert results[i][0].item() == loss.item()
        assert results[i][1].item() == int((logits.argmax(1) == targets).sum())
    assert same(model, plain)


def test_adversarial_step_trains_on_the_examples_of_the_attack() -> None:
    torch.manual_seed(0)
    model = build_classifier("resnet10_narrow", 4)
    plain = copy.deepcopy(model)
    pixels, targets = batch(size=32)
    loss, _ = TrainingStep(model, model, sgd(model), ATTACK)(pixels, targets)

    with frozen(plain) as network:
        x = ATTACK(classifier_objective(network, targets), pixels.float() / 255)
    optimizer = sgd(plain)
    by_hand = F.cross_entropy(plain.train()(x), targets)
    by_hand.backward()
    optimizer.step()
    assert loss.item() == by_hand.item()
    assert same(model, plain)


@pytest.mark.parametrize("attack", [NO_ATTACK, ATTACK])
def test_accumulation_equals_the_whole_batch(attack: PGD) -> None:
    torch.manual_seed(0)
    whole = without_batch_norm()
    parts = copy.deepcopy(whole)
    pixels, targets = batch(7)  # 3 + 2 + 2: parts of different sizes must weigh as such
    a = TrainingStep(whole, whole, sgd(whole), attack)(pixels, targets)
    b = TrainingStep(parts, parts, sgd(parts), attack, accumulate=3)(pixels, targets)
    torch.testing.assert_close(a[0], b[0])
    assert a[1] == b[1]
    for x, y in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(x, y, atol=1e-6, rtol=1e-5)


def test_label_smoothing_by_hand() -> None:
    torch.manual_seed(0)
    model = without_batch_norm()
    pixels, targets = batch()
    with torch.no_grad():
        log_p = F.log_softmax(model(pixels.float() / 255), 1)
    expected = -(0.9 * log_p[torch.arange(8), targets] + 0.1 * log_p.mean(1)).mean()
    step = TrainingStep(model, model, sgd(model), NO_ATTACK, PGDTraining(label_smoothing=0.1))
    torch.testing.assert_close(step(pixels, targets)[0], expected)


@pytest.mark.parametrize("clip", [0.01, 1e6])
def test_clipping_by_hand(clip: float) -> None:
    torch.manual_seed(0)
    model = without_batch_norm()
    before = [p.detach().clone() for p in model.parameters()]
    pixels, targets = batch()
    F.cross_entropy(model(pixels.float() / 255), targets).backward()
    grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    norm = torch.stack([g.norm() for g in grads]).norm()
    assert 0.01 < norm < 1e6
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    TrainingStep(model, model, optimizer, NO_ATTACK, clip_norm=clip)(pixels, targets)
    scale = min(1.0, clip / norm.item())
    for p, old, grad in zip(model.parameters(), before, grads, strict=True):
        torch.testing.assert_close(p.detach(), old - scale * grad, atol=1e-6, rtol=1e-4)


def test_average_of_weights_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for weight in (1.0, 2.0, 4.0):
        model.weight.data.fill_(weight)
        ema.update_parameters(model)
    # starts at the first weights: 0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 4
    assert ema.module.weight.item() == pytest.approx(1.39)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_autocast_is_used_in_every_pass_and_only_when_asked(dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    model = build_classifier("resnet10_narrow", 4)
    seen: list[tuple[bool, torch.dtype]] = []
    model.body.layer4.register_forward_hook(lambda m, i, o: seen.append((m.training, o.dtype)))
    attack = PGD(make_threat("l2", 0.5), 2, 0.3, best_iterate=True)
    step = TrainingStep(model, model, sgd(model), attack, amp_dtype=dtype)
    loss, _ = step(*batch(size=32))
    assert seen == [(False, dtype or torch.float32)] * 3 + [(True, dtype or torch.float32)]
    assert loss.dtype == torch.float32
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_fp16_scales_the_loss() -> None:
    torch.manual_seed(0)
    model = without_batch_norm()
    attack = PGD(make_threat("l2", 0.5), 1, 0.3)
    step = TrainingStep(model, model, sgd(model), attack, amp_dtype=torch.float16)
    before = copy.deepcopy(model)
    assert step.update.scaler.is_enabled() and step.update.scaler.get_scale() == 65536
    loss, _ = step(*batch())
    assert loss.isfinite() and not same(model, before)


def test_channels_last_gives_the_same_step() -> None:
    torch.manual_seed(0)
    plain = build_classifier("resnet10_narrow", 4)
    other = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    pixels, targets = batch(size=32)
    a, _ = TrainingStep(plain, plain, sgd(plain), ATTACK)(pixels, targets)
    b, _ = TrainingStep(other, other, sgd(other), ATTACK, channels_last=True)(pixels, targets)
    assert other.body.conv1.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    for x, y in zip(plain.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(x, y, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("objective", ["cross_entropy", "margin"])
def test_a_step_with_folded_norms_is_the_same_but_for_rounding(objective: str) -> None:
    torch.manual_seed(0)
    plain = build_classifier("resnet10_narrow", 4)
    other = copy.deepcopy(plain)
    pixels, targets = batch(size=32)
    steps = [
        TrainingStep(plain, plain, sgd(plain), ATTACK, PGDTraining(objective)),
        TrainingStep(
            other, other, sgd(other), ATTACK, PGDTraining(objective), attacked=FoldedNorms(other)
        ),
    ]
    for i in range(2):
        a, b = (step(pixels.roll(i, 3), targets)[0] for step in steps)
        assert b.item() == pytest.approx(a.item(), rel=1e-3)
    assert all(p.grad is not None and p.requires_grad for p in other.parameters())
    assert all(module.training for module in other.modules())


@pytest.mark.parametrize("fold, eps", [(True, 0.5), (False, 0.5), (True, 0.0)])
def test_the_config_says_whether_norms_are_folded(fold: bool, eps: float) -> None:
    cfg = pretrain_defaults()
    cfg.ATTACK.FOLD_NORMS, cfg.ATTACK.EPS, cfg.ATTACK.OBJECTIVE = fold, eps, "dlr"
    model = build_classifier("resnet10_narrow", 4)
    step = build_step(cfg, model, None, World())
    assert isinstance(step.attacked, FoldedNorms) == (fold and eps > 0)
    assert step.method == PGDTraining("dlr" if eps > 0 else "cross_entropy")


def test_passes_of_the_attack_without_finite_logits_are_counted() -> None:
    class Overflowing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3 * 8 * 8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = self.linear(x.flatten(1))
            # images that are attacked, of which the first overflows
            lost = torch.tensor([x.requires_grad, False])[:, None]
            return logits.masked_fill(lost, torch.inf)

    model = Overflowing()
    attack = PGD(make_threat("l2", 0.5), 3, 0.2)
    step = TrainingStep(model, model, torch.optim.SGD(model.parameters(), 0.1), attack)
    loss, _ = step(torch.rand(2, 3, 8, 8), torch.tensor([0, 1]))
    assert loss.isfinite() and step.overflows == 3


def test_still_modules_are_in_eval_mode_and_all_others_in_training_mode() -> None:
    model = build_classifier("resnet10_narrow", 3)
    before = {k: v.clone() for k, v in model.state_dict().items() if "running" in k}
    still = [module for name, module in model.named_modules() if ".layer2" in name]
    step = TrainingStep(model, model, sgd(model), ATTACK, still=still)
    step(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 0]))
    kept = {k for k, v in model.state_dict().items() if k in before and torch.equal(v, before[k])}
    assert kept == {name for name in before if ".layer2." in name}
    assert all(module.training == (module not in still) for module in model.modules())
