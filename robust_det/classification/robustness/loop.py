"""Over all images, batch by batch, each kept when it is done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import torch

from robust_det.attacks.budgets import Budget
from robust_det.classification.examples.choice import Examples
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.attacking import fates_of
from robust_det.classification.robustness.batches import batches_at
from robust_det.classification.robustness.fates import Fate, from_plain, name_of
from robust_det.classification.robustness.progress import PassCount
from robust_det.classification.robustness.subject import Subject
from robust_det.classification.robustness.witness import Witness
from robust_det.core.errors import UserError, counted
from robust_det.core.journal import Journal
from robust_det.core.progress import progress_bar

__all__ = ["fates_of_all"]

logger = logging.getLogger(__name__)


def fates_of_all(
    subject: Subject,
    asked: Asked,
    budgets: Sequence[tuple[float, Budget]],
    journal: Journal,
    device: torch.device,
    examples: Examples | None = None,
    keep: Callable[[], None] = lambda: None,
) -> list[Fate]:
    """Attack the images that are not done yet, with a progress bar.

    Args:
        subject: the classifier, on the device, and its images.
        asked: of the evaluation.
        budgets: the attacks, by rising eps.
        journal: of what is done; gets every batch when it is.
        device: where it runs.
        examples: keeps some of the images.
        keep: is called where those have changed, before the journal gets the batch.

    Returns:
        What became of all images, in their order.

    Raises:
        UserError: the journal is damaged, or an image cannot be read.
    """
    names = [name_of(name) for name in subject.data.names]
    fates = {fate.image: fate for fate in _known(journal)}
    todo = [place for place, name in enumerate(names) if name not in fates]
    if fates:
        logger.info(f"{len(fates):,} of {counted(len(names), 'image')} are done already")
    passes = sum(budget.passes.forward for _, budget in budgets)
    with progress_bar(len(names), "evaluate", "img", initial=len(fates), smoothing=0) as bar:
        begun = time.monotonic()
        for x, y, places in batches_at(subject, asked, todo, device) if todo else ():
            count = PassCount(len(x), passes, bar.update)
            witness = None
            if examples is not None and budgets:
                witness = Witness(subject.classifier, examples, places)
            new, not_finite = fates_of(
                subject.classifier,
                x,
                y,
                [names[place] for place in places],
                budgets,
                seed=asked.seed,
                on_pass=count.add,
                witness=witness,
            )
            if witness is not None and witness.changed:
                keep()
            count.finish()
            now = time.monotonic()
            part = {"seconds": round(now - begun, 3), "not_finite": not_finite}
            journal.add([{**part, "images": [fate.plain() for fate in new]}])
            fates |= {fate.image: fate for fate in new}
            begun = now
    return [fates[name] for name in names]


def _known(journal: Journal) -> list[Fate]:
    try:
        return [from_plain(one) for part in journal.results for one in part["images"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{journal.path} cannot be read; remove it to start anew") from error
