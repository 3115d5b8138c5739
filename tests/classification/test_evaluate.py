from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from robust_det.attacks import PGD, make_threat
from robust_det.classification.evaluate import evaluate
from robust_det.classification.per_class.tally import ClassTally
from robust_det.core.errors import UserError
from robust_det.data.classification.image_list import Batch
from robust_det.models import build_classifier
from robust_det.training.world import World

CPU = torch.device("cpu")


class ByRedness(nn.Module):
    """The mean of red decides: the further from class k's value k / 10, the smaller logit k."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        red = x[:, 0].mean((1, 2), keepdim=False)
        return -((red[:, None] - torch.arange(6) / 10) ** 2)


def batches(values: list[float], targets: list[int], size: int) -> list[Batch]:
    pixels = torch.tensor(values).mul(255).round().to(torch.uint8).view(-1, 1, 1, 1)
    pixels = pixels.expand(-1, 3, 4, 4)
    y = torch.tensor(targets)
    where = torch.arange(len(values)).split(size)
    return [Batch(pixels[i], y[i], i, []) for i in where]


def test_top1_and_top5_by_hand() -> None:
    # redness 0: the classes rank 0, 1, 2, 3, 4, 5
    result = evaluate(
        ByRedness(),
        batches([0.0] * 4, [0, 1, 4, 5], 3),
        PGD(make_threat("l2", 0.0), 1, 0.0),
        world=World(),
        device=CPU,
        length=4,
    )
    assert result == {
        "clean_top1": 25.0,
        "clean_top5": 75.0,
        "corrupt": 0.0,
        "val_images": 4,
        "attacked_images": 0,
        "not_finite": 0,
    }


def test_adversarial_accuracy_by_hand() -> None:
    # the loss rises towards the middle of the classes, 0.25: 0.1 and 0.4 cross a border at 0.05
    attack = PGD(make_threat("linf", 0.07), 3, 0.07)
    result = evaluate(
        ByRedness(),
        batches([0.1, 0.8, 0.4], [1, 5, 4], 2),
        attack,
        world=World(),
        device=CPU,
        length=3,
    )
    assert result["clean_top1"] == pytest.approx(100)
    assert result["adversarial_top1"] == pytest.approx(100 / 3)


class Half(World):
    """One of two processes, the first of which only notes what it would share."""

    noted: ClassVar[list[torch.Tensor]] = []

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        if self.rank == 0:
            self.noted.append(values.clone())
            return values
        return values + self.noted.pop(0)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_means_over_classes_are_scikit_learns_balanced_accuracies() -> None:
    # five of six classes occur, in numbers of their own
    rng = np.random.default_rng(0)
    targets = rng.choice([0, 1, 2, 3, 5], 40, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    redness = np.clip(targets / 10 + rng.normal(0, 0.08, 40), 0, 1)
    attack = PGD(make_threat("linf", 0.02), 3, 0.01)
    model = ByRedness()

    def result(images: list[int], world: World) -> dict[str, float]:
        return evaluate(
            model,
            batches(redness[images].tolist(), targets[images].tolist(), 7),
            attack,
            world=world,
            device=CPU,
            length=40,
            tally=ClassTally(6, CPU),
        )

    found = result(list(range(40)), World())
    (pixels,) = batches(redness.tolist(), targets.tolist(), 40)
    clean = model(pixels.images.float() / 255).argmax(1).numpy()
    expected = 100 * balanced_accuracy_score(targets, clean)
    assert found["mean_per_class"] == pytest.approx(expected)
    assert abs(found["mean_per_class"] - found["clean_top1"]) > 1

    # what the attack does is known: it goes to that end of its radius which has the larger loss
    x = pixels.images.float() / 255
    towards = torch.stack([model((x + e).clamp(0, 1)) for e in (-0.02, 0.02)])
    losses = nn.functional.cross_entropy(
        towards.flatten(0, 1), torch.from_numpy(targets).repeat(2), reduction="none"
    ).view(2, -1)
    worst = towards[losses.argmax(0), torch.arange(40)].argmax(1).numpy()
    expected = 100 * balanced_accuracy_score(targets, worst)
    assert found["adversarial_mean_per_class"] == pytest.approx(expected)
    assert abs(found["adversarial_mean_per_class"] - found["mean_per_class"]) > 1

    Half.noted.clear()
    result(list(range(0, 40, 2)), Half(0, 1))
    assert result(list(range(1, 40, 2)), Half(1, 1)) == found and not Half.noted


def test_images_are_counted_while_they_are_attacked() -> None:
    told: list[int] = []
    evaluate(
        ByRedness(),
        batches([0.1] * 20, [1] * 20, 16),
        PGD(make_threat("linf", 0.07), 7, 0.07, restarts=2),
        world=World(),
        device=CPU,
        length=20,
        passes=14,
        on_images=told.append,
    )
    assert sum(told) == 20 and min(told) >= 0
    # after each pass of each of the two batches, the one that compares restarts included
    assert len(told) == 2 * (14 + 2 + 1) and max(told) <= 3


@pytest.mark.parametrize("wanted, hit", [(0, 10), (3, 3), (5, 5), (7, 7), (50, 10)])
def test_the_attacked_images_are_as_many_as_asked(wanted: int, hit: int) -> None:
    seen: list[int] = []

    class Counting(ByRedness):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.requires_grad:
                seen.append(len(x))
            return super().forward(x)

    evaluate(
        Counting(),
        batches([0.1] * 10, [1] * 10, 4),
        PGD(make_threat("l2", 0.1), 1, 0.1),
        world=World(),
        device=CPU,
        length=10,
        adversarial_images=wanted,
    )
    assert sum(seen) == hit


def test_the_result_does_not_depend_on_how_images_are_batched() -> None:
    torch.manual_seed(0)
    model = build_classifier("resnet10_narrow", 3)
    pixels = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8)
    targets = torch.arange(12) % 3
    attack = PGD(make_threat("l2", 1.0), 2, 0.5, random_start=True)

    def result(size: int) -> dict[str, float]:
        where = torch.randperm(12).split(size)
        shuffled = [Batch(pixels[i], targets[i], i, []) for i in where]
        return evaluate(
            model,
            shuffled,
            attack,
            world=World(),
            device=CPU,
            length=12,
            adversarial_images=8,
            seed=4,
        )

    assert result(12) == result(5) == result(1)


def test_corrupt_images_are_counted_and_left_out() -> None:
    empty = Batch(
        torch.empty(0, 3, 1, 1).byte(), torch.empty(0).long(), torch.empty(0).long(), ["x"]
    )
    some = batches([0.1, 0.1], [1, 0], 2)
    some[0].corrupt.append("y")
    result = evaluate(
        ByRedness(),
        [empty, *some],
        PGD(make_threat("l2", 0.0), 1, 0.0),
        world=World(),
        device=CPU,
        length=4,
    )
    assert result["corrupt"] == 2 and result["clean_top1"] == 50


@pytest.mark.parametrize("eps, lost", [(0.0, 2), (0.05, 3)])
def test_logits_that_are_nan_have_no_accuracy(eps: float, lost: int) -> None:
    class Overflowing(ByRedness):
        """Bright images are too much for it."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).masked_fill(x.mean((1, 2, 3))[:, None] > 0.71, torch.nan)

    # the attack takes the third one there
    attack = PGD(make_threat("linf", eps), 1, eps)
    data = batches([0.1, 0.8, 0.7, 0.9], [1, 5, 5, 5], 4)
    with pytest.raises(UserError, match=rf"NaN or Inf among the logits of {lost + (eps > 0)}"):
        evaluate(Overflowing(), data, attack, world=World(), device=CPU, length=4)


def test_an_attack_that_meets_nan_on_its_way_is_counted() -> None:
    class Spot(ByRedness):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = super().forward(x)
            bright = float(x.detach()[:, 0].mean()) > 0.41
            return logits * torch.nan if x.requires_grad and bright else logits

    attack = PGD(make_threat("linf", 0.07), 3, 0.02)
    data = batches([0.4], [1], 1)
    result = evaluate(Spot(), data, attack, world=World(), device=CPU, length=1)
    assert result["not_finite"] == 2 and result["attacked_images"] == 1
