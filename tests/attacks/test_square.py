from __future__ import annotations

import pytest
import torch

from robust_det.attacks import make_threat
from robust_det.attacks.square import Square
from robust_det.core.errors import UserError


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(i) for i in range(count)]


def test_the_sides_of_squares_follow_the_published_schedule() -> None:
    # the share is halved after queries 10, 50, 200, 500, ... of 10,000; 0.8 of 100 px to begin with
    linf = Square(make_threat("linf", 0.1))
    sides = [linf.side(query, 10, 10) for query in (0, 10, 11, 51, 201, 501, 1001, 2001, 9000)]
    assert sides == [9, 9, 6, 4, 3, 2, 2, 1, 1]
    l2 = Square(make_threat("l2", 0.1))
    assert [l2.side(query, 10, 10) for query in (0, 11, 51, 201, 9000)] == [9, 7, 5, 3, 3]
    assert l2.side(0, 8, 6) == 6


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("eps", [0.02, 0.5, 4.0])
@pytest.mark.parametrize("size", [(8, 8), (11, 6), (5, 9)])
def test_examples_stay_in_the_ball_and_the_box(
    norm: str, eps: float, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    x = torch.rand(3, 2, *size).mul_(1.6).sub_(0.3).clamp_(0, 1)
    weight = torch.randn(2, *size)
    threat = make_threat(norm, eps)
    out = Square(threat, 30)(lambda z: (z * weight).flatten(1).sum(1), x)
    assert threat.holds(out, x).all() and out.isfinite().all()
    # all of the budget is used, but for what the box takes
    if eps < 1:
        assert (threat.distance(out, x) > 0.5 * eps).all()


@pytest.mark.parametrize("norm, share", [("linf", 0.95), ("l2", 0.5)])
def test_a_linear_objective_is_climbed_without_gradients(norm: str, share: float) -> None:
    torch.manual_seed(0)
    weight = torch.randn(1, 6, 6)
    x = torch.full((2, 1, 6, 6), 0.5)
    attack = Square(make_threat(norm, 0.2), 800)
    with torch.no_grad():
        out = attack(lambda z: (z * weight).flatten(1).sum(1), x, generators(2))
    top = 0.2 * (weight.norm() if norm == "l2" else weight.abs().sum())
    gain = ((out - x) * weight).flatten(1).sum(1)
    assert gain.min() > share * top and gain.max() <= top * (1 + 1e-4)


def test_squares_are_a_function_of_the_image_alone() -> None:
    torch.manual_seed(0)
    x, weight = torch.rand(5, 3, 8, 8), torch.randn(3, 8, 8)
    for norm in ("l2", "linf"):
        attack = Square(make_threat(norm, 0.3), 40)

        def result(rows: list[int], attack: Square = attack) -> torch.Tensor:
            noise = [generators(5)[row] for row in rows]
            return attack(lambda z: (z * weight).flatten(1).sum(1), x[rows], noise)

        whole = result([0, 1, 2, 3, 4])
        torch.testing.assert_close(result([3, 1]), whole[[3, 1]])
        assert not torch.allclose(result([3])[0] - x[3], whole[1] - x[1])


class Leaving:
    """The sum of each image, which leaves out the images above a bar."""

    def __init__(self, images: int, bar: float) -> None:
        self.rows, self.bar, self.asked = torch.arange(images), bar, [0] * images
        self.highest = torch.full((images,), -torch.inf)

    def __call__(self, z: torch.Tensor) -> torch.Tensor:
        value = z.flatten(1).sum(1)
        for row in self.rows.tolist():
            self.asked[row] += 1
        self.highest[self.rows] = torch.maximum(self.highest[self.rows], value)
        return value

    def narrow(self) -> torch.Tensor | None:
        kept = (self.highest[self.rows] < self.bar).nonzero().flatten()
        self.rows = self.rows[kept]
        return kept


def test_images_that_are_done_with_cost_no_more_queries() -> None:
    x = torch.stack([torch.full((1, 6, 6), 0.5), torch.full((1, 6, 6), 0.4)])
    objective = Leaving(2, 36 * 0.58)  # within reach of the first alone
    attack = Square(make_threat("linf", 0.1), 200)
    out = attack(objective, x, generators(2))
    assert objective.asked[0] < 150 and objective.asked[1] == 201 == attack.passes.forward
    assert out[0].sum() >= 36 * 0.58
    alone = attack(lambda z: z.flatten(1).sum(1), x[1:], generators(2)[1:])
    torch.testing.assert_close(out[1:], alone)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="queries >= 1, not 0"):
        Square(make_threat("linf", 0.1), 0)
    with pytest.raises(UserError, match=r"in \(0, 1\], not 2"):
        Square(make_threat("linf", 0.1), 10, 2.0)
    with pytest.raises(UserError, match=r"images \(N, C, H, W\), not \(2, 12\)"):
        Square(make_threat("linf", 0.1), 10)(lambda z: z.sum(1), torch.rand(2, 12))
    with pytest.raises(UserError, match="of 5 pixels or more"):
        Square(make_threat("l2", 0.1), 10)(lambda z: z.sum(1), torch.rand(2, 1, 4, 8))
