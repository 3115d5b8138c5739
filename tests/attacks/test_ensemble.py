from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from robust_det.attacks import frozen, make_threat
from robust_det.attacks.apgd import APGD
from robust_det.attacks.budgets import BUDGETS, Member, budget
from robust_det.attacks.ensemble import worst_case
from robust_det.attacks.hunt import Hunt
from robust_det.attacks.pgd import PGD
from robust_det.attacks.square import Square
from robust_det.core.errors import UserError

THREAT = make_threat("linf", 0.02)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(75, 24), nn.ReLU(), nn.Linear(24, 10)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(40, 3, 5, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def targets(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        targets: torch.Tensor = network(images).argmax(1)
    targets[:4] = (targets[:4] + 1) % 10  # wrong as they are
    return targets


def small(steps: int = 8) -> list[Member]:
    return [
        Member("apgd-ce", APGD(THREAT, steps), "cross_entropy"),
        Member("apgd-t", APGD(THREAT, steps), "dlr", 3),
        Member("square", Square(THREAT, 40), "margin"),
    ]


def test_the_counts_are_those_of_the_images_found(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> None:
    told: list[tuple[str, int]] = []
    members = [Member("start", PGD(THREAT, 0, 0.0, random_start=True), "margin"), *small(3)]
    found = worst_case(
        network, images, targets, members, after=lambda name, left: told.append((name, left))
    )
    right = network(found.images).argmax(1) == targets
    assert found.clean.tolist() == [False] * 4 + [True] * 36
    assert torch.equal(right & found.clean, found.standing)
    assert 0 < int(found.standing.sum()) < 36
    assert sum(found.felled.values()) == 36 - int(found.standing.sum())
    for number, (name, count) in enumerate(found.felled.items()):
        assert int((found.by == number).sum()) == count
        assert told[number] == (name, 36 - sum(list(found.felled.values())[: number + 1]))
    assert (found.by[found.standing] == -1).all() and (found.by[:4] == -1).all()
    assert THREAT.holds(found.images, images).all()
    untouched = found.standing | ~found.clean
    assert torch.equal(found.images[untouched], images[untouched])


def test_every_attack_meets_only_what_stands(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> None:
    met: list[int] = []

    class Counting(PGD):
        def __call__(self, objective, images, *rest, **options):  # type: ignore
            met.append(len(images))
            return super().__call__(objective, images, *rest, **options)

    attack = Counting(THREAT, 3, 0.01)
    members = [Member("first", attack, "margin"), Member("second", attack, "margin", 2)]
    found = worst_case(network, images, targets, members)
    assert met[0] == 36 and met[1] == 36 - found.felled["first"] >= met[2]
    assert len(met) == 3


def test_a_result_is_a_function_of_the_seed_and_the_image(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> None:
    whole = worst_case(network, images, targets, small(), seed=3)
    order = torch.tensor([30, 5, 17, 9, 33, 2, 21])
    part = worst_case(
        network, images[order], targets[order], small(), seed=3, indices=order.tolist()
    )
    assert torch.equal(part.standing, whole.standing[order])
    assert torch.equal(part.by, whole.by[order])
    torch.testing.assert_close(part.images, whole.images[order])
    # an attack draws the same numbers whatever was run before it
    alone = worst_case(network, images, targets, small()[1:], seed=3)
    both = alone.by.eq(0) & whole.by.eq(1)
    assert both.any()
    torch.testing.assert_close(alone.images[both], whole.images[both])


def test_images_on_the_way_count_though_the_last_one_fails() -> None:
    # over the top of the hill and down again: PGD returns the last iterate
    class Hill(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            far = (x.flatten(1).mean(1) - 0.55).abs()
            return torch.stack([torch.full_like(far, 0.012), 0.02 - far], 1)

    x, y = torch.full((1, 3, 4, 4), 0.5), torch.tensor([0])
    attack = PGD(make_threat("linf", 0.2), 2, 0.05)
    with frozen(Hill()) as network:
        hunt = Hunt(network, x, y, attack.threat, "margin")
        hunt.look(attack(lambda z: z.flatten(1).sum(1) + 0 * hunt(z), x))
        assert hunt.fooled.all()
        torch.testing.assert_close(hunt.found, torch.full_like(x, 0.55))


def test_what_is_out_of_the_ball_or_not_finite_is_no_success() -> None:
    class Brittle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            value = x.flatten(1).mean(1)
            logits = torch.stack([0.6 - value, value - 0.6], 1)
            return torch.where((value < 0.45)[:, None], torch.nan, logits)

    x, y = torch.full((1, 1, 2, 2), 0.5), torch.tensor([0])
    hunt = Hunt(Brittle(), x, y, make_threat("linf", 0.1), "margin")
    assert hunt.success(x + 0.2).all() and not hunt.fooled.any()
    assert not hunt.success(x - 0.1).any() and int(hunt.not_finite) == 1
    hunt(x + 0.1 + 1e-7)
    assert hunt.fooled.all()


def test_what_half_precision_found_counts_only_if_the_network_itself_is_fooled() -> None:
    # the classes differ by less than bf16 tells: there the first of equals is the largest
    class Close(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2, bias=True)
            with torch.no_grad():
                self.layer.weight.copy_(torch.ones(2, 4))
                self.layer.bias.copy_(torch.tensor([0.0, 1e-4]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.flatten(1))

    x, y = torch.full((3, 1, 2, 2), 0.5), torch.ones(3, dtype=torch.long)
    member = Member("pgd", PGD(make_threat("linf", 0.01), 2, 0.01), "margin")
    with torch.autocast("cpu", torch.bfloat16):
        assert (Close()(x).argmax(1) == 0).all()
    found = worst_case(Close(), x, y, [member], amp_dtype=torch.bfloat16)
    assert found.standing.all() and found.felled == {"pgd": 0}


@pytest.mark.parametrize(
    "name, classes, norm, notes",
    [
        ("quick", 12, "linf", []),
        ("standard", 3, "l2", ["aims at 2 classes", "climbs the margin: 3 classes"]),
        ("autoattack", 2, "linf", ["aims at 1 class instead", "climbs the margin: 2 classes"]),
    ],
)
def test_budgets_cost_what_they_say_where_nothing_falls(
    name: str, classes: int, norm: str, notes: list[str]
) -> None:
    passes = [0, 0]

    class Flat(nn.Module):
        """Always the first class, by far, with a gradient."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            passes[0] += 1
            passes[1] += torch.is_grad_enabled()
            step = torch.arange(classes) + 1.0
            return x.flatten(1).mean(1, keepdim=True) * step / 100 - 9.0 * (step > 1)

    plan = budget(name, make_threat(norm, 0.1), classes)
    if name == "autoattack":  # whose Square takes long
        *others, last = plan.members
        assert isinstance(last.attack, Square) and last.attack.queries == 5000
        fewer = dataclasses.replace(last, attack=Square(last.attack.threat, 50))
        plan = dataclasses.replace(plan, members=(*others, fewer))
    told: list[int] = []
    x, y = torch.rand(2, 3, 5, 5), torch.tensor([0, 0])
    worst_case(Flat(), x, y, plan.members, on_pass=told.append)
    assert sum(told) == 2 * sum(member.passes.forward for member in plan.members)
    # nothing was found that would be asked once more
    assert (passes[0] + 1, passes[1]) == plan.passes
    assert len(plan.notes) == len(notes)
    assert all(a.startswith(b) for a, b in zip(plan.notes, notes, strict=True))


def test_the_costs_of_the_documentation() -> None:
    threat = make_threat("linf", 0.1)
    costs = {name: budget(name, threat, 1000).passes for name in BUDGETS}
    assert costs == {"quick": (26, 20), "standard": (1022, 1000), "autoattack": (7833, 1900)}


def test_what_cannot_be_meant_is_refused(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor
) -> None:
    with pytest.raises(UserError, match="unknown budget 'standrad'; did you mean 'standard'"):
        budget("standrad", THREAT, 10)
    with pytest.raises(UserError, match="2 classes or more, not 1"):
        budget("quick", THREAT, 1)
    with pytest.raises(UserError, match="names of their own, not apgd-ce, apgd-ce"):
        worst_case(network, images, targets, [small()[0], small()[0]])
    with pytest.raises(UserError, match="40 images need one index each, not 3"):
        worst_case(network, images, targets, small(), indices=[0, 1, 2])
    with pytest.raises(UserError, match="NaN or Inf for images as they are"):
        worst_case(network, images * torch.nan, targets, small())
