"""What is asked of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from robust_det.attacks.budgets import BUDGETS, VERSION, Budget, budget
from robust_det.attacks.threat import make_threat
from robust_det.attacks.units import check_radius, radius_doubt
from robust_det.classification.robustness.eps_list import check_order
from robust_det.core.errors import UserError, did_you_mean
from robust_det.core.seeding import check_seed
from robust_det.data.classification.sizes import usual_resize
from robust_det.records.robustness import AttackNorm

__all__ = ["FEWEST_PIXELS", "Asked"]

FEWEST_PIXELS = 8  # of a side, as in pretraining
_CHECKED = 100  # fewer images tell little


@dataclass(frozen=True)
class Asked:
    """What is asked of an evaluation.

    Args:
        norm: of the threat models, ``l2`` or ``linf``; empty without an attack.
        eps: rising, in [0, 1] pixel units; 0 is no attack, and clean accuracy is always measured.
        budget: a name of :data:`robust_det.attacks.BUDGETS`; empty without an attack.
        images: how many to draw; None is all.
        size: of the crops in pixels; None is what the file says.
        resize: short side that they are cut from; None is the usual one.
        seed: of the draw and of all attacks.
        checked: images of the checks of masked gradients, in one batch; None is 100, or as many as
            there are in a batch.
        batch_size: images at a time.
        workers: processes that decode images.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    norm: AttackNorm = ""
    eps: tuple[float, ...] = (0.0,)
    budget: str = ""
    images: int | None = None
    size: int | None = None
    resize: int | None = None
    seed: int = 0
    checked: int | None = None
    batch_size: int = 128
    workers: int = 8
    device: str = "auto"

    @property
    def radii(self) -> tuple[float, ...]:
        """The eps that are attacked at."""
        return tuple(eps for eps in self.eps if eps > 0)

    def check(self) -> None:
        """Refuse what has no meaning, or no effect.

        Raises:
            UserError: says which option.
        """
        check_order(self.eps)
        check_seed(self.seed)
        limits = {
            "--images": (self.images, 1),
            "--size": (self.size, FEWEST_PIXELS),
            "--batch-size": (self.batch_size, 1),
            "--workers": (self.workers, 0),
            "--check-images": (self.checked, 0),
        }
        for option, (value, least) in limits.items():
            if value is not None and value < least:
                raise UserError(f"{option} is {value}; it starts from {least}")
        if not self.radii:
            idle = {"--norm": self.norm, "--budget": self.budget, "--check-images": self.checked}
            if found := [option for option, value in idle.items() if value not in ("", None)]:
                raise UserError(
                    f"{found[0]} would have no effect: there is no attack at eps 0; leave it out,"
                    " or give an --eps above 0"
                )
            return
        if not self.norm:
            raise UserError("--eps needs --norm, l2 or linf")
        if self.budget not in BUDGETS:
            hint = did_you_mean(self.budget, BUDGETS)
            raise UserError(f"unknown budget '{self.budget}'{hint} (known: {', '.join(BUDGETS)})")
        if self.checked is not None and self.checked > self.batch_size:
            raise UserError(
                f"--check-images {self.checked} are of one batch, and --batch-size is"
                f" {self.batch_size}; raise that, or give fewer"
            )

    def check_sizes(self, side: int) -> None:
        """Refuse crops of a side that is larger than the image, and radii that leave nothing.

        Raises:
            UserError: says which value was probably meant.
        """
        if self.resize is not None and self.resize < side:
            raise UserError(
                f"--resize {self.resize} must not be below the crop of {side} px; the usual one is"
                f" {usual_resize(side)}"
            )
        for eps in self.radii:
            check_radius(self.norm, eps, side, "--eps")

    def doubts(self) -> list[str]:
        """Return what speaks against the radii, though they can be meant."""
        return [said for eps in self.radii if (said := radius_doubt(self.norm, eps, "--eps"))]

    def checks_of(self, images: int) -> int:
        """Return how many of so many images are checked."""
        if not self.radii:
            return 0
        wanted = min(_CHECKED, self.batch_size) if self.checked is None else self.checked
        return min(wanted, images)

    def budgets(self, classes: int) -> list[Budget]:
        """Return the attacks at each of the radii, for a network of so many classes."""
        return [budget(self.budget, make_threat(self.norm, eps), classes) for eps in self.radii]

    @property
    def version(self) -> int:
        """Of what the budget's name means; 0 without an attack."""
        return VERSION if self.radii else 0
