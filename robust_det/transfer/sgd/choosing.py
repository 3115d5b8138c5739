"""The settings that are tried, and which of them is chosen: never by the test images, unless the
paper's quirk asks for that."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.config.reading import CfgNode
from robust_det.records.transfer import ChosenOn, Tried
from robust_det.training.engine import DivergedError
from robust_det.transfer.given import Given
from robust_det.transfer.settings import Choice, choices_of, with_choice
from robust_det.transfer.sgd.one_run import Ended, trained
from robust_det.transfer.sgd.planned import Run

__all__ = ["Judged", "best_counts", "best_of", "chosen_on", "judged_runs", "remarks_on"]

logger = logging.getLogger(__name__)


def chosen_on(cfg: CfgNode) -> ChosenOn:
    """Return the images that settings are chosen by; ``none`` if there is nothing to choose."""
    if len(choices_of(cfg)) == 1 and not cfg.TRANSFER.PATIENCE:
        return "none"
    return "test" if cfg.PAPER.SELECT_ON_TEST else "validation"


def best_counts(cfg: CfgNode) -> bool:
    """Return whether a run that is validated is as good as its best epoch, not as its last."""
    return bool(cfg.PAPER.BEST_EPOCH or cfg.TRANSFER.PATIENCE)


@dataclass(frozen=True)
class Judged:
    """Settings that were tried.

    Attributes:
        choice: the settings.
        ended: their run; None of one that diverged.
        accuracy: that they are chosen by, in percent; 0 likewise.
        epochs: how many the last run shall train.
    """

    choice: Choice
    ended: Ended | None
    accuracy: float
    epochs: int

    @property
    def tried(self) -> Tried:
        """It, for the record."""
        settings = {**dataclasses.asdict(self.choice), "epochs": float(self.epochs)}
        return Tried(settings, self.accuracy, self.ended is not None)


def judged_runs(given: Given, folder: Path, run: Run) -> list[Judged]:
    """Train one run a choice.

    Args:
        given: what all runs of the transfer are given.
        folder: of these runs, each of which has its own in it.
        run: what they have in common.

    Raises:
        UserError: all diverge; or see :func:`trained`.
    """
    cfg, found = given.cfg, list[Judged]()
    diverged: DivergedError | None = None
    for choice in choices_of(cfg):
        name = f"lr{choice.lr:g}_wd{choice.weight_decay:g}"
        own = dataclasses.replace(run, folder=folder / name, cfg=with_choice(cfg, choice))
        try:
            ended = trained(given, own)
        except DivergedError as error:
            if given.world.size > 1:  # the others do not know of it, and wait
                raise
            logger.warning(f"{name} has diverged, and is not chosen: {error}")
            diverged = error
            found.append(Judged(choice, None, 0.0, 0))
            continue
        accuracy = ended.best if best_counts(cfg) else ended.latest
        epochs = ended.best_epoch if cfg.TRANSFER.PATIENCE else cfg.TRAIN.EPOCHS
        found.append(Judged(choice, ended, accuracy, epochs))
    if diverged is not None and not any(one.ended for one in found):
        raise diverged
    return found


def best_of(judged: Sequence[Judged]) -> Judged:
    """Return the one of the highest accuracy; of equals the one of the lowest learning rate, and
    then of the lowest weight decay."""
    able = [one for one in judged if one.ended is not None]
    return max(able, key=lambda one: (one.accuracy, -one.choice.lr, -one.choice.weight_decay))


def remarks_on(cfg: CfgNode, judged: Sequence[Judged], best: Judged) -> list[str]:
    """Return what speaks against a choice, such as that something better may be beyond it."""
    found = []
    equals = [one.choice for one in judged if one.ended and one.accuracy == best.accuracy]
    for words, tried, good in (
        ("learning rate", [one.choice.lr for one in judged], [one.lr for one in equals]),
        (
            "weight decay",
            [one.choice.weight_decay for one in judged],
            [one.weight_decay for one in equals],
        ),
    ):
        low, high = min(tried), max(tried)
        # where an inner one is as good, it is the tie that ends at the edge
        if low < high and all(value in (low, high) for value in good):
            value = good[equals.index(best.choice)]
            side = "smallest" if value == low else "largest"
            found.append(f"The best {words}, {value:g}, is the {side} of those tried.")
    if cfg.TRANSFER.PATIENCE and best.epochs == cfg.TRAIN.EPOCHS:
        found.append(f"The best epoch is the last of {best.epochs}: more may be better still.")
    if lost := [one for one in judged if one.ended is None]:
        named = ", ".join(f"{one.choice.lr:g}" for one in lost)
        found.append(f"Training diverged at the learning rate {named}, and had no accuracy.")
    if cfg.ATTACK.EPS > 0:
        kind = "accuracy under attack" if cfg.EVAL.EPS > 0 else "clean accuracy, as EVAL.EPS is 0"
        found.append(f"Trained adversarially, it was chosen by {kind}.")
    return found
