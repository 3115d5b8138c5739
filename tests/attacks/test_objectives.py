from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from robust_det.attacks import OBJECTIVES, PGD, classifier_objective, frozen, make_threat
from robust_det.core.errors import UserError
from robust_det.models import Classifier, build_classifier

LOGITS = torch.tensor([[3.0, 1.0, 0.5, -1.0], [0.0, 2.0, 4.0, 1.0]])
TRUE = torch.tensor([0, 1])  # right, and wrong already
WANTED = torch.tensor([2, 3])


def value(name: str, towards: torch.Tensor | None = None) -> list[float]:
    return classifier_objective(nn.Identity(), TRUE, name, towards=towards)(LOGITS).tolist()


def test_margin_by_hand() -> None:
    assert value("margin") == [1.0 - 3.0, 4.0 - 2.0]
    assert value("margin", WANTED) == [0.5 - 3.0, 1.0 - 4.0]


def test_dlr_by_hand() -> None:
    # sorted: 3, 1, 0.5, -1 and 4, 2, 1, 0
    assert value("dlr") == pytest.approx([(1.0 - 3.0) / (3.0 - 0.5), (4.0 - 2.0) / (4.0 - 1.0)])
    targeted = [(0.5 - 3.0) / (3.0 - (0.5 - 1.0) / 2), (1.0 - 2.0) / (4.0 - (1.0 + 0.0) / 2)]
    assert value("dlr", WANTED) == pytest.approx(targeted)


def test_cross_entropy_by_hand() -> None:
    shares = LOGITS.double().softmax(1)
    rows = torch.arange(2)
    assert value("cross_entropy") == pytest.approx((-shares[rows, TRUE].log()).tolist())
    assert value("cross_entropy", WANTED) == pytest.approx(shares[rows, WANTED].log().tolist())


def test_dlr_does_not_change_with_the_scale_of_logits() -> None:
    def gradient(name: str, scale: float) -> torch.Tensor:
        logits = (scale * LOGITS).requires_grad_(True)
        losses = OBJECTIVES[name](logits, TRUE, None)
        return torch.autograd.grad(losses.sum(), logits)[0] * scale

    torch.testing.assert_close(gradient("dlr", 100.0), gradient("dlr", 1.0))
    # where the cross-entropy of an image classified right has no gradient left
    assert gradient("cross_entropy", 100.0)[0].abs().max() == 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_climbed_targeted_and_not(
    name: str, randomise: Callable[..., Classifier]
) -> None:
    model = randomise(build_classifier("resnet10_narrow", 5))
    x = torch.rand(6, 3, 32, 32)
    # all are classified right to begin with: an objective may be flat where they are not
    y = model(x).argmax(1)
    towards = (y + 1) % 5
    attack = PGD(make_threat("l2", 2.0), 5, 0.8, best_iterate=True)
    for aim in (None, towards):
        with frozen(model) as network:
            objective = classifier_objective(network, y, name, towards=aim)
            out = attack(objective, x)
            with torch.no_grad():
                before, after = objective(x), objective(out)
                share = network(out).softmax(1)[torch.arange(6), towards]
                share_before = network(x).softmax(1)[torch.arange(6), towards]
        assert (after > before).all()
        if aim is not None:
            assert (share > share_before).all()


def test_fp16_scales_losses_by_a_constant_that_saves_small_gradients() -> None:
    x = torch.rand(3, 4)
    y = torch.tensor([0, 1, 2])
    plain = classifier_objective(nn.Identity(), y)(x)
    scaled = classifier_objective(nn.Identity(), y, amp_dtype=torch.float16)(x)
    torch.testing.assert_close(scaled, 1024 * plain)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UserError, match="unknown objective 'dlrr'; did you mean 'dlr'"):
        classifier_objective(nn.Identity(), TRUE, "dlrr")
    with pytest.raises(UserError, match="classes other than the true ones"):
        classifier_objective(nn.Identity(), TRUE, towards=torch.tensor([2, 1]))
    with pytest.raises(UserError, match="needs 3 classes, not 2; use margin"):
        classifier_objective(nn.Identity(), TRUE, "dlr")(LOGITS[:, :2])
    with pytest.raises(UserError, match="needs 4 classes if targeted, not 3"):
        objective = classifier_objective(nn.Identity(), TRUE, "dlr", towards=TRUE + 1)
        objective(LOGITS[:, :3])
