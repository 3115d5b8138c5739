"""Validation: clean top-1 and top-5, and accuracy under PGD."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from robust_det.attacks import Attack, Objective, classifier_objective, count_not_finite, frozen
from robust_det.classification.examples.choice import Examples
from robust_det.classification.per_class.tally import ClassTally
from robust_det.core.device import autocast
from robust_det.core.errors import UserError
from robust_det.core.seeding import seeded_generator
from robust_det.data.classification.image_list import Batch
from robust_det.training.engine import DivergedError
from robust_det.training.world import World

__all__ = ["evaluate"]


def evaluate(
    model: nn.Module,
    batches: Iterable[Batch],
    attack: Attack,
    *,
    world: World,
    device: torch.device,
    length: int,
    adversarial_images: int = 0,
    channels_last: bool = False,
    objective: str = "cross_entropy",
    amp_dtype: torch.dtype | None = None,
    seed: int = 0,
    passes: int = 1,
    on_images: Callable[[int], None] = lambda n: None,
    tally: ClassTally | None = None,
    examples: Examples | None = None,
) -> dict[str, float]:
    """Evaluate a classifier on every image once.

    Random starts are a function of the seed and the image, so that the result does not depend on
    the number of processes.

    Args:
        model: takes images in [0, 1], returns logits; left in eval mode.
        batches: this process's share of the images, in order.
        attack: eps 0 leaves the adversarial accuracy out.
        world: the processes that share the work.
        device: where to run.
        length: number of images over all processes.
        adversarial_images: attack this many, evenly spread over the split; 0 is all of them.
        channels_last: memory format of the images.
        objective: what the attack maximises, a name of ``robust_det.attacks.OBJECTIVES``.
        amp_dtype: autocast all passes to this type; None for the network's own precision.
        seed: of the random starts.
        passes: how often the attack asks for gradients, over which a batch's images are counted.
        on_images: is told the number of images done since it was told last.
        tally: counts the images of each class; None leaves out the means over classes.
        examples: keeps some of the attacked images.

    Returns:
        ``clean_top1``, ``clean_top5`` (absent below five classes) and ``adversarial_top1``
        in percent; where ``tally`` is given, ``mean_per_class`` and
        ``adversarial_mean_per_class``, the means of the accuracies of those classes that occur; of
        images ``val_images``, how many clean accuracy is of, ``attacked_images``, and ``corrupt``,
        how many could not be read; ``not_finite``, how often the attack met logits that are NaN or
        infinite, which give it no direction.

    Raises:
        UserError: no image could be read.
        DivergedError: there are logits that are not finite: no class is the largest of them.
    """
    model.eval()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    attacked = attack.threat.eps > 0
    wanted = min(adversarial_images or length, length)
    # images, top-1, top-5, attacked images, adversarial top-1, corrupt, without finite logits
    counts = torch.zeros(7, dtype=torch.float64, device=device)
    overflows = torch.zeros((), dtype=torch.int64, device=device)
    top5_known, unread = True, ""
    for batch in batches:
        counts[5] += len(batch.corrupt)
        unread = unread or "".join(batch.corrupt[:1])
        if len(batch.targets) == 0:
            continue
        count = _InParts(len(batch.targets), passes, on_images)
        x = batch.images.to(device, non_blocking=True).float().div_(255)
        x = x.contiguous(memory_format=layout)
        y = batch.targets.to(device, non_blocking=True)
        logits = _logits(model, x, amp_dtype)
        top5_known = logits.shape[1] >= 5
        counts[6] += count_not_finite(logits)
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == y[:, None]
        counts[0] += len(y)
        counts[1] += ranked[:, 0].sum()
        counts[2] += ranked.any(1).sum()
        if tally is not None:
            tally.add(y, ranked[:, 0], attacked=False)
        if attacked:
            chosen = (batch.indices * wanted % length < wanted).nonzero().flatten()
            if len(chosen):
                where = chosen.to(device, non_blocking=True)
                x, y, logits = x[where], y[where], logits[where]
                noise = [
                    seeded_generator(device, seed, index)
                    for index in batch.indices[chosen].tolist()
                ]
                with frozen(model):
                    goal = classifier_objective(
                        model, y, objective, amp_dtype=amp_dtype, overflows=overflows
                    )
                    adversarial = attack(count.each(goal), x, noise)
                after = _logits(model, adversarial, amp_dtype)
                counts[6] += count_not_finite(after)
                right = after.argmax(1) == y
                counts[3] += len(right)
                counts[4] += right.sum()
                if tally is not None:
                    tally.add(y, right, attacked=True)
                if examples is not None:
                    places = batch.indices[chosen].tolist()
                    examples.offer(places, y, x, logits, adversarial, after)
        count.finish()
    images, top1, top5, hit, robust, corrupt, lost = world.sum(counts).tolist()
    if images == 0 and corrupt > 0:
        first = next(filter(None, world.gather(unread)))
        raise UserError(
            f"none of the {int(corrupt)} validation images can be read, the first is {first}",
            "put whole images in their place",
        )
    if lost > 0:
        raise DivergedError(
            f"validation met NaN or Inf among the logits of {int(lost)} images, clean or attacked,"
            " so that there is no accuracy: the network has diverged or overflows",
            "lower OPTIM.LR and start anew, or take TRAIN.PRECISION fp32 if it is lower",
        )
    metrics = {
        "clean_top1": 100 * top1 / max(images, 1),
        "corrupt": corrupt,
        "val_images": images,
        "attacked_images": hit,
        "not_finite": float(world.sum(overflows)),
    }
    if top5_known:
        metrics["clean_top5"] = 100 * top5 / max(images, 1)
    if attacked:
        metrics["adversarial_top1"] = 100 * robust / max(hit, 1)
    if tally is not None:
        tally.gather(world)
        metrics["mean_per_class"] = tally.mean()
        if attacked:
            metrics["adversarial_mean_per_class"] = tally.mean(attacked=True)
    if examples is not None:
        examples.gather(world)
    return metrics


class _InParts:
    """Counts the images of a batch while they are attacked, which takes most of the time.

    Args:
        images: of the batch.
        passes: of the attack.
        tell: is given how many images more.
    """

    def __init__(self, images: int, passes: int, tell: Callable[[int], None]) -> None:
        self.images, self.passes, self.tell = images, passes, tell
        self._told = self._calls = 0

    def each(self, objective: Objective) -> Objective:
        """Return the objective; each time that it is asked counts a part of the images."""

        def counted(images: torch.Tensor) -> torch.Tensor:
            losses = objective(images)
            self._calls += 1
            self._tell(self.images * min(self._calls, self.passes) // (self.passes + 1))
            return losses

        return counted

    def finish(self) -> None:
        """Count the rest."""
        self._tell(self.images)

    def _tell(self, done: int) -> None:
        self.tell(done - self._told)
        self._told = done


@torch.no_grad()
def _logits(model: nn.Module, x: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    with autocast(x.device, dtype):
        logits: torch.Tensor = model(x)
    return logits.float()
