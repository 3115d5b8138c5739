"""L2-regularised multinomial logistic regression at many strengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from robust_det.core.errors import UserError
from robust_det.probes.checking import check_strengths, check_training
from robust_det.probes.cross_entropy import Point, curvature, evaluate
from robust_det.probes.head import LinearHead
from robust_det.probes.lbfgs import Memory
from robust_det.probes.preconditioner import Preconditioner, images_of_a_block
from robust_det.probes.spectrum import Spectrum, spectrum_of

__all__ = ["STRENGTHS", "TOLERANCE", "LogisticFit", "fit", "strengths"]


def strengths(count: int) -> list[float]:
    """Return so many numbers, 2 at least, from 1e-6 to 1e5, evenly spaced in their logarithm."""
    return [10.0 ** (-6 + 11 * i / (count - 1)) for i in range(count)]


# of C, as in the evaluation of DINOv2 (Oquab et al. 2023)
STRENGTHS = tuple(strengths(45))

# of the objective's gap to the optimum, see fit
TOLERANCE = 3e-5

_KEPT = (10, 20)  # steps of L-BFGS, at least and at most
_WARY = 20  # times the gap that a quadratic model shows, which knows the Hessian only in part
_NEAR = 10  # times the last strength: its steps still help, at 100 times they mislead
_SUFFICIENT = 1e-4  # share of the decrease that the slope promises (Armijo)
_FLAT = 0.8  # a slope at the step's end of up to this share of the first, upwards, is a decrease
_IDLE = 20  # steps without a decrease that rounding cannot make are the last
_SHORTEST = 1e-6  # step that is tried
_ROUNDING = {torch.float32: 1e-8, torch.float64: 1e-15}  # of the objective, relative


@dataclass(frozen=True)
class LogisticFit:
    """The fit at one strength.

    Attributes:
        strength: C.
        head: of the features; the biases sum to 0, which fixes what the objective leaves open.
        iterations: steps taken.
        passes: over the images, for a gradient or where the loss curves.
        converged: see :func:`fit`; False if iterations ran out or the numbers' type resolves no
            lower objective.
        gap: how far the objective may be above the optimum, relative as :func:`fit` says; what
            ``converged`` compares with the tolerance.
        objective: scikit-learn's, in nats: the sum of the cross-entropies plus |W|^2 / (2 C).
        constant: how many features are the same in all images; their weights are 0.
    """

    strength: float
    head: LinearHead
    iterations: int
    passes: int
    converged: bool
    gap: float
    objective: float
    constant: int


def fit(
    features: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
    tolerance: float = TOLERANCE,
    max_iterations: int = 1000,
    on_progress: Callable[[LogisticFit], object] = lambda _: None,
) -> list[LogisticFit]:
    """Fit a head for each strength, from the strongest regularisation to the weakest.

    Minimises the sum over images of the cross-entropy plus ``|W|^2 / (2 C)``, which is
    scikit-learn's ``LogisticRegression(C=C)``; an image's share is its cross-entropy plus
    ``|W|^2 / (2 C N)``, so twice the images at half of C have the same optimum. The bias is not
    penalised. Two classes have two rows, each the negative of the other, as more have; scikit-learn
    then has one, and its C is twice this one. A feature of twice the scale is penalised a quarter
    as much: scale features first if that shall not be.

    L-BFGS (Nocedal 1980) in principal coordinates, in which the penalty is the same, preconditioned
    by the Hessian's blocks of each class, see :class:`.preconditioner.Preconditioner`, which take
    as much memory as the features; each strength starts from where the last two point, with the
    last one's memory of steps if it is near. With float32 features products are in float32, sums
    over images and all else in float64. On a CPU the same input and number of threads give the same
    bits.

    A fit has converged if its objective f is estimated to be above the optimum by no more than
    ``tolerance`` times f, nor than ``tolerance`` times what f is below f_0 of the head which knows
    the frequencies of classes alone (W = 0). The gap is taken as twenty times half of
    ``g @ H^-1 @ g``, the decrement that Newton's method would promise (Boyd & Vandenberghe 2004,
    section 9.5.1), with the larger of two approximations of it: H^-1 of L-BFGS, and that of the
    blocks. Neither has all of the Hessian, hence the twenty. Neither the scale of features nor the
    number of images moves it.

    Args:
        features: (N, D) float32 or float64.
        labels: (N,) int64 in [0, classes), on the features' device.
        classes: K.
        strengths: values of C, positive and distinct, in any order.
        tolerance: > 0.
        max_iterations: at each strength, >= 1.
        on_progress: gets each fit when it is done.

    Returns:
        A fit for each strength, in their order.

    Raises:
        UserError: see :func:`.checking.check_training`; no feature varies; an argument is out of
            its range.
    """
    check_training(features, labels, classes)
    check_strengths(strengths, "the strength C")
    if not 0 < tolerance < 1:
        raise UserError(f"the tolerance lies between 0 and 1, not at {tolerance}")
    if max_iterations < 1:
        raise UserError(f"max_iterations is at least 1, not {max_iterations}")
    path = _Path(spectrum_of(features), labels, classes, tolerance, max_iterations)
    fits = {}
    for strength in sorted(strengths):
        fits[strength] = path.follow(strength)
        on_progress(fits[strength])
    return [fits[strength] for strength in strengths]


class _Path:
    """The optimum as the strength grows."""

    def __init__(
        self,
        spectrum: Spectrum,
        labels: torch.Tensor,
        classes: int,
        tolerance: float,
        max_iterations: int,
    ) -> None:
        self._spectrum, self._labels = spectrum, labels
        self._tolerance, self._max_iterations = tolerance, max_iterations
        self._passes = 0
        self._rounding = _ROUNDING[spectrum.scores.dtype]
        frequencies = (torch.bincount(labels, minlength=classes).double() / len(labels)).log()
        at = frequencies.new_zeros(classes, len(spectrum.variances) + 1)
        at[:, -1] = frequencies - frequencies.mean()
        self._penalised = torch.ones_like(at)
        self._penalised[:, -1] = 0
        self._point = self._evaluate(at)
        most = len(labels) // (4 * classes)  # so many take the memory of float32 scores
        self._kept = min(max(most, _KEPT[0]), _KEPT[1])
        self._memory, self._memory_of = Memory(torch.clone, self._kept), (0.0, at)
        self._none = self._point.loss
        spread = float(spectrum.variances.sum()) ** 0.5
        rounding = torch.finfo(spectrum.scores.dtype).eps * spread
        # if the classes have the same mean features, W = 0 is the optimum
        self._tells_nothing = float(self._point.gradient.norm()) <= rounding
        # the last two ends, and the strengths they are of
        self._ends: list[tuple[float, torch.Tensor]] = []

    def follow(self, strength: float) -> LogisticFit:
        """Go on to the optimum of the next strength."""
        self._passes = 0
        images = len(self._labels)
        ridge = self._penalised / (strength * images)
        point, iterations, stuck = self._extrapolated(strength, ridge), 0, False
        memory = self._moved(strength, ridge, point)
        direction, gap = self._ahead(point, ridge, memory)
        values = [_objective(point, ridge)]
        while gap > self._tolerance and iterations < self._max_iterations and not stuck:
            after = self._step(point, ridge, direction, memory)
            if after is not None:
                point, iterations = after, iterations + 1
                direction, gap = self._ahead(point, ridge, memory)
                values.append(_objective(point, ridge))
            stuck = after is None or self._idle(values)
        self._memory, self._memory_of = memory, (strength, ridge)
        self._point = point
        self._ends = [*self._ends[-1:], (strength, point.at)]
        return LogisticFit(
            strength=strength,
            head=self._spectrum.head(point.at[:, :-1], point.at[:, -1]),
            iterations=iterations,
            passes=self._passes,
            converged=gap <= self._tolerance,
            gap=gap,
            objective=images * _objective(point, ridge),
            constant=self._spectrum.constant,
        )

    def _evaluate(self, at: torch.Tensor) -> Point:
        self._passes += 1
        return evaluate(self._spectrum.scores, self._labels, at)

    def _ahead(
        self, point: Point, ridge: torch.Tensor, memory: Memory
    ) -> tuple[torch.Tensor, float]:
        """Return where to go, and the gap as :func:`fit` compares it with the tolerance."""
        gradient = point.gradient + ridge * point.at
        direction = -memory.product(gradient)
        if self._tells_nothing:
            return direction, 0.0
        value = _objective(point, ridge)
        unit = max(min(value, self._none - value), self._rounding * self._none)
        gap = _WARY * -float((gradient * direction).sum()) / 2 / unit
        if gap <= self._tolerance:
            # the last steps may have missed a direction that the preconditioner has seen
            other = _WARY * float((gradient * memory.inverse(gradient)).sum()) / 2 / unit
            gap = max(gap, other)
        return direction, gap

    def _extrapolated(self, strength: float, ridge: torch.Tensor) -> Point:
        """Return where to start: on the line, in log C, through the last two ends, if better."""
        if len(self._ends) < 2:
            return self._point
        (first, before), (second, last) = self._ends
        ratio = math.log(strength / second) / math.log(second / first)
        ahead = self._evaluate(last + ratio * (last - before))
        return min(self._point, ahead, key=lambda point: _objective(point, ridge))

    def _moved(self, strength: float, ridge: torch.Tensor, point: Point) -> Memory:
        """Return a memory to start with: of the last steps, if they were at a near strength."""
        scores = self._spectrum.scores
        self._passes += 1
        curved = curvature(scores, point.at, images_of_a_block(scores, len(point.at)))
        inverse = Preconditioner(scores, curved, ridge)
        last, its_ridge = self._memory_of
        if strength <= _NEAR * last:
            # what they have shown of the loss holds nearly here as well
            return self._memory.moved(inverse, ridge - its_ridge)
        return Memory(inverse, self._kept)

    def _idle(self, values: list[float]) -> bool:
        """Return whether the last steps have lowered the objective by no more than rounding."""
        if len(values) <= _IDLE:
            return False
        return values[-1 - _IDLE] - min(values[-_IDLE:]) <= self._rounding * values[-1]

    def _step(
        self, point: Point, ridge: torch.Tensor, direction: torch.Tensor, memory: Memory
    ) -> Point | None:
        """Return a point of a lower objective, or None if rounding hides all."""
        value, gradient = _objective(point, ridge), point.gradient + ridge * point.at
        slope = float((gradient * direction).sum())
        allowed = value * (1 + self._rounding)
        for length in _lengths():
            after = self._evaluate(point.at + length * direction)
            reached, new = _objective(after, ridge), after.gradient + ridge * after.at
            end = float((new * direction).sum())
            # where rounding hides the decrease, the slopes show it (Hager & Zhang 2005)
            if reached <= value + _SUFFICIENT * length * slope or (
                reached <= allowed and end <= _FLAT * -slope
            ):
                # the objective is strictly convex, so that any step keeps the memory positive
                memory.add(after.at - point.at, new - gradient)
                return after
        return None


def _objective(point: Point, ridge: torch.Tensor) -> float:
    """Return it as an image's share."""
    return point.loss + float((ridge * point.at.square()).sum()) / 2


def _lengths() -> Iterator[float]:
    length = 1.0
    while length > _SHORTEST:
        yield length
        length /= 2
