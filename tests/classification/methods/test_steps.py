"""Steps of each method and switch, against loops that are written here."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.components import build_plan, build_step
from robust_det.classification.methods import (
    METHODS,
    CleanNorms,
    Inner,
    Method,
    PGDTraining,
    Trained,
)
from robust_det.classification.methods.clean_share import clean_images
from robust_det.classification.methods.free import Free, replayed
from robust_det.classification.methods.keys import settle_method
from robust_det.classification.methods.mart import Mart
from robust_det.classification.methods.trades import Trades
from robust_det.classification.methods.warm_up import strength
from robust_det.classification.settings import pretrain_defaults
from robust_det.core.errors import UserError
from robust_det.data.classification.image_list import Batch
from robust_det.models import Classifier, build_classifier
from robust_det.training.world import World

EPS = 0.05
ATTACK = PGD(make_threat("linf", EPS), 2, EPS / 2)
NO_ATTACK = PGD(make_threat("linf", 0.0), 2, 0.0)


def without_batch_norm() -> Classifier:
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 4))
    return Classifier(body)


def plain_sgd(model: nn.Module, lr: float = 0.05) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=lr)


def batch(n: int = 8, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images that no perturbation leads out of [0, 1]."""
    return torch.rand(n, 3, size, size) * 0.6 + 0.2, torch.arange(n) % 4


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("name", [*METHODS, "apgd"])
def test_at_eps_zero_every_method_is_standard_training_bit_for_bit(name: str) -> None:
    cfg = pretrain_defaults()
    cfg.TRAIN.METHOD, cfg.TRAIN.BATCH_SIZE, cfg.TRAIN.EPOCHS = name, 8, 6
    if name == "apgd":
        cfg.TRAIN.METHOD, cfg.ATTACK.NAME = "pgd", name
    cfg.TRAIN.TRADES_BETA, cfg.TRAIN.MART_LAMBDA, cfg.TRAIN.REPLAYS = 6.0, 5.0, 3
    cfg.TRAIN.AWP_GAMMA, cfg.TRAIN.CLEAN_SHARE, cfg.ATTACK.WARMUP_EPOCHS = 0.01, 0.25, 2.0
    cfg.OPTIM.LABEL_SMOOTHING = 0.1
    model = build_classifier("resnet10_narrow", 4)
    plain = copy.deepcopy(model)
    norms = CleanNorms(model)
    step = build_step(cfg, model, None, World(), clean_norms=norms)
    pixels, targets = batch(size=32)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    plain.train()
    for number in range(3):
        loss, correct = step(pixels.roll(number, 3), targets, strength=0.5)
        optimizer.zero_grad()
        logits = plain(pixels.roll(number, 3))
        expected = F.cross_entropy(logits, targets, label_smoothing=0.1)
        expected.backward()
        optimizer.step()
        assert loss.item() == expected.item()
        assert correct == (logits.argmax(1) == targets).sum()
    assert same(model, plain)
    assert step.cost() == (1, 1)
    plan = build_plan(cfg, 16, 1)
    assert (plan.epochs, plan.steps_per_epoch) == (6, 2)


SWITCHES: list[dict[str, Any]] = [{}, {"clean_share": 0.25}, {"awp_gamma": 0.01}]
BEST = dataclasses.replace(ATTACK, best_iterate=True)
ONE_STEP = PGD(make_threat("linf", EPS), 1, 1.25 * EPS, random_start=True)


@pytest.mark.parametrize("switches", [*SWITCHES, {"clean_share": 0.25, "separate": True}])
@pytest.mark.parametrize(
    "method, attack, expected",
    [
        (PGDTraining(), ATTACK, (3, 3)),
        (PGDTraining(), BEST, (4, 3)),
        (Trades(6.0), ATTACK, (5, 4)),
        (Mart(weight=5.0), ATTACK, (4, 4)),
        (Free(), ATTACK, (1, 1)),
        (PGDTraining(), ONE_STEP, (2, 2)),
    ],
)
def test_a_step_does_the_passes_that_it_says(
    method: Method, attack: PGD, expected: tuple[float, float], switches: dict[str, Any]
) -> None:
    body = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    model = Classifier(body.append(nn.Linear(196, 4)))
    switches = dict(switches)
    if switches.pop("separate", False):
        switches["clean_norms"] = CleanNorms(model)
    counts = {"forward": 0, "backward": 0}

    def count(kind: str, tensor: torch.Tensor) -> None:
        counts[kind] += len(tensor)

    def passed(module: nn.Module, inputs: Any, logits: torch.Tensor) -> None:
        count("forward", logits)
        if logits.requires_grad:
            logits.register_hook(lambda grad: count("backward", grad))

    model.body[-1].register_forward_hook(passed)
    own = copy.deepcopy(method)  # free's carries something from step to step
    step = TrainingStep(model, model, plain_sgd(model), attack, own, **switches)
    cost = step.cost()
    images, targets = batch()
    step(images, targets)
    assert (counts["forward"] / 8, counts["backward"] / 8) == cost
    if not switches:
        assert cost == expected


def test_trades_maximises_the_divergence_from_beside_the_image() -> None:
    model = without_batch_norm()
    plain = copy.deepcopy(model)
    images, targets = batch()
    step = TrainingStep(model, model, plain_sgd(model), ATTACK, Trades(6.0))
    loss, _ = step(images, targets, torch.Generator().manual_seed(7))

    p = plain(images).softmax(1).detach()
    noise = torch.empty_like(images).normal_(generator=torch.Generator().manual_seed(7))
    x = images + 1e-3 * noise
    for _ in range(2):
        x.requires_grad_(True)
        divergence = (p * (p.log() - plain(x).log_softmax(1))).sum()
        (grad,) = torch.autograd.grad(divergence, x)
        x = (x + EPS / 2 * grad.sign()).detach()
        x = images + (x - images).clamp(-EPS, EPS)
    clean, moved = plain(images), plain(x)
    p = clean.softmax(1)
    expected = F.cross_entropy(clean, targets)
    expected = expected + 6 * (p * (p.log() - moved.log_softmax(1))).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("random_start", [False, True])
def test_trades_starts_within_the_threat_model_and_moves(norm: str, random_start: bool) -> None:
    model = without_batch_norm()
    images, targets = torch.rand(4, 3, 16, 16), torch.arange(4)
    tiny = PGD(make_threat(norm, 1e-4), 2, 5e-5, random_start=random_start)
    seen = []

    class Watched(Trades):
        def examples(self, *arguments: Any) -> torch.Tensor:
            seen.append(super().examples(*arguments))
            return seen[-1]

    TrainingStep(model, model, plain_sgd(model), tiny, Watched(6.0, random_start))(images, targets)
    assert tiny.threat.holds(seen[0], images).all()
    assert (tiny.threat.distance(seen[0], images) > 5e-5).all()


def test_fast_is_its_papers_algorithm() -> None:
    cfg = pretrain_defaults()
    cfg.ATTACK.NORM, cfg.ATTACK.EPS, cfg.TRAIN.METHOD = "linf", EPS, "fast"
    cfg.ATTACK.FOLD_NORMS = False
    settle_method(cfg, {})
    model = without_batch_norm()
    plain = copy.deepcopy(model)
    images, targets = batch()
    step = build_step(cfg, model, None, World())
    loss, _ = step(images, targets, torch.Generator().manual_seed(5))

    generator = torch.Generator().manual_seed(5)
    delta = torch.empty_like(images).uniform_(-EPS, EPS, generator=generator)
    delta.requires_grad_(True)
    F.cross_entropy(plain(images + delta), targets).backward()
    delta = (delta.detach() + 1.25 * EPS * delta.grad.sign()).clamp(-EPS, EPS)
    expected = F.cross_entropy(plain(images + delta), targets)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_free_is_its_papers_algorithm() -> None:
    model = without_batch_norm()
    plain = copy.deepcopy(model)
    attack = PGD(make_threat("linf", EPS), 1, EPS)
    step = TrainingStep(model, model, plain_sgd(model), attack, Free(), accumulate=2)
    batches = [batch() for _ in range(2)]
    for images, targets in batches:
        for _ in range(3):
            step(images, targets)

    # algorithm 1: the perturbation is that of the step before, whatever the batch was
    delta = torch.zeros_like(batches[0][0])
    for images, targets in batches:
        for _ in range(3):
            moved = (images + delta).requires_grad_(True)
            plain.zero_grad()
            F.cross_entropy(plain(moved), targets).backward()
            with torch.no_grad():
                for weight in plain.parameters():
                    weight.sub_(0.05 * weight.grad)
            delta = (delta + EPS * moved.grad.sign()).clamp(-EPS, EPS)
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(step.method.state_dict()["perturbation"], delta)


@pytest.mark.parametrize("done", [0, 2])
def test_batches_are_replayed_and_their_corrupt_images_count_once(done: int) -> None:
    made = [Batch(torch.tensor([i]), torch.tensor([i]), torch.tensor([i]), ["x"]) for i in (5, 6)]
    given = list(replayed((one for one in made), 3, done))
    assert [int(one.indices) for one in given] == [5] * (3 - done) + [6] * 3
    assert [len(one.corrupt) for one in given] == [1, 0, 0, 1, 0, 0][done:]


@pytest.mark.parametrize("method", [PGDTraining(), Mart(weight=5.0), Trades(1.0)])
def test_weights_are_perturbed_for_the_loss_and_updated_as_they_were(method: Method) -> None:
    model = without_batch_norm()
    plain = copy.deepcopy(model)
    images, targets = batch()
    generators = [torch.Generator().manual_seed(3) for _ in range(2)]
    step = TrainingStep(model, model, plain_sgd(model), ATTACK, method, awp_gamma=0.1, accumulate=2)
    loss, _ = step(images, targets, generators[0])

    inner = _inner(plain, generators[1])
    parts = zip(images.split(4), targets.split(4), strict=True)
    examples = torch.cat([method.examples(inner, x, y) for x, y in parts])
    weights = [p for p in plain.parameters() if p.dim() > 1]
    before = [p.detach().clone() for p in plain.parameters()]
    grads = torch.autograd.grad(_loss(method, plain, images, examples, targets), weights)
    with torch.no_grad():
        for weight, grad in zip(weights, grads, strict=True):
            weight.add_(0.1 * weight.norm() * grad / grad.norm())
    perturbed = _loss(method, plain, images, examples, targets)
    perturbed.backward()
    assert loss.item() == pytest.approx(perturbed.item(), rel=1e-5)
    for now, old, moved in zip(model.parameters(), before, plain.parameters(), strict=True):
        torch.testing.assert_close(now.detach(), old - 0.05 * moved.grad, atol=1e-6, rtol=1e-4)


def _inner(model: nn.Module, noise: torch.Generator) -> Inner:
    return Inner(ATTACK, lambda: frozen(model), noise=noise)


def _loss(method: Method, model: nn.Module, *batch: torch.Tensor) -> torch.Tensor:
    return method.loss(Trained(model), *batch)[0]


def test_perturbed_weights_are_put_back_bit_for_bit_and_leave_no_statistics() -> None:
    model: Any = build_classifier("resnet10_narrow", 4)
    before = copy.deepcopy(model)
    images, targets = batch(size=32)
    step = TrainingStep(model, model, plain_sgd(model, 0.0), ATTACK, awp_gamma=0.5)
    step(images, targets)
    assert step.perturbed is not None
    for a, b in zip(model.parameters(), before.parameters(), strict=True):
        assert torch.equal(a, b)
    assert model.body.bn1.num_batches_tracked == 1
    with (
        pytest.raises(RuntimeError, match="no update"),
        step.perturbed(1, lambda _: model(images).sum()),
    ):
        assert not torch.equal(model.body.conv1.weight, before.body.conv1.weight)
        raise RuntimeError("no update")
    assert torch.equal(model.body.conv1.weight, before.body.conv1.weight)


def test_a_clean_share_is_trained_on_beside_the_examples() -> None:
    model = build_classifier("resnet10_narrow", 4)
    plain = copy.deepcopy(model)
    images, targets = batch(size=32)
    step = TrainingStep(model, model, plain_sgd(model), ATTACK, clean_share=0.25)
    loss, _ = step(images, targets)
    with frozen(plain) as network:
        attacked = ATTACK(classifier_objective(network, targets[2:]), images[2:])
    expected = F.cross_entropy(plain.train()(torch.cat([images[:2], attacked])), targets)
    assert loss.item() == expected.item()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.77])
def test_processes_leave_as_many_images_clean_as_one_would(share: float) -> None:
    for size in (1, 2, 3, 4):
        ours = [clean_images(share, 12 // size, World(rank, size)) for rank in range(size)]
        assert sum(ours) == clean_images(share, 12, World())
        assert max(ours) - min(ours) <= 1


def test_separate_norms_see_their_own_images_alone() -> None:
    model: Any = build_classifier("resnet10_narrow", 4)
    main, twin = copy.deepcopy(model), copy.deepcopy(model)
    images, targets = batch(size=32)
    norms = CleanNorms(model)
    model.add_module("clean_norms", norms)
    step = TrainingStep(model, model, plain_sgd(model), ATTACK, clean_share=0.5, clean_norms=norms)
    loss, _ = step(images, targets)

    with frozen(main) as network:
        attacked = ATTACK(classifier_objective(network, targets[4:]), images[4:])
    logits = torch.cat([twin.train()(images[:4]), main.train()(attacked)])
    expected = F.cross_entropy(logits, targets)
    expected.backward()
    assert loss.item() == expected.item()
    first: Any = norms.norms[0]
    for own, other in ((model.body.bn1, main.body.bn1), (first, twin.body.bn1)):
        assert torch.equal(own.running_mean, other.running_mean)
        assert torch.equal(own.running_var, other.running_var) and own.num_batches_tracked == 1
        torch.testing.assert_close(own.weight, other.weight - 0.05 * other.weight.grad)
    assert not torch.equal(first.weight, model.body.bn1.weight)
    # what is shared learns from both
    both = main.body.conv1.weight.grad + twin.body.conv1.weight.grad
    torch.testing.assert_close(model.body.conv1.weight, main.body.conv1.weight - 0.05 * both)
    assert list(model.body.state_dict()) == list(main.body.state_dict())


def test_a_network_without_batch_norms_has_none_to_separate() -> None:
    with pytest.raises(UserError, match=r"no batch norm that MODEL\.SEPARATE_NORMS could"):
        CleanNorms(without_batch_norm())


def test_eps_rises_over_the_warm_up_and_the_steps_with_it() -> None:
    shares = [strength(step, 4, 1.5) for step in range(8)]
    assert shares == pytest.approx([(step + 0.5) / 6 for step in range(6)] + [1, 1])
    assert strength(0, 4, 0) == 1
    model = without_batch_norm()
    plain = copy.deepcopy(model)
    images, targets = batch()
    loss, _ = TrainingStep(model, model, plain_sgd(model), ATTACK)(images, targets, strength=0.25)
    weaker = PGD(make_threat("linf", EPS / 4), 2, EPS / 8)
    assert loss == TrainingStep(plain, plain, plain_sgd(plain), weaker)(images, targets)[0]
