"""What raises the logit of a class (Santurkar et al. 2019, "Image Synthesis with a Single (Robust)
Classifier").

Targeted PGD from a seed. Theirs are draws from a Gaussian of each class's images; here it is noise
of no class, or an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from robust_det.attacks import Objective, frozen
from robust_det.core.errors import UserError, did_you_mean
from robust_det.core.progress import progress_bar
from robust_det.visualization.ascent import l2_search, search, search_settings, starts
from robust_det.visualization.job import Job, Result
from robust_det.visualization.networks import common_size, load_backbones, same_classes
from robust_det.visualization.sheet import Cell, Row, Sheet, bytes_of

__all__ = ["EPS", "ITERATIONS", "STEP", "class_objective", "draw"]

EPS, STEP, ITERATIONS = 40.0, 1.0, 60


def class_objective(
    classifier: Callable[[torch.Tensor], torch.Tensor], towards: torch.Tensor
) -> Objective:
    """Return the logit of a class as an objective of the image.

    Args:
        classifier: images (N, 3, H, W) in [0, 1] to logits.
        towards: (N,) classes.
    """
    return lambda images: classifier(images).gather(1, towards[:, None])[:, 0]


def draw(job: Job) -> Result:
    """Draw what raises classes, by every backbone from the same seeds.

    Raises:
        UserError: a backbone cannot be read, they tell other classes, or do not tell one that was
            asked for.
    """
    backbones = load_backbones(job.backbones)
    size, said = common_size(backbones, job.size)
    names = same_classes(backbones)
    chosen, notes = _chosen(names, job)
    said += notes
    towards = torch.tensor(chosen, device=job.device)
    seeds = starts(len(chosen), size, job.seed, job.device, job.seed_image)
    iterations = ITERATIONS if job.iterations is None else job.iterations
    eps = EPS if job.eps is None else job.eps
    step = STEP if job.step is None else job.step
    attack = l2_search(eps, step, iterations)
    columns, cells, table = ["seed"], [[Cell(bytes_of(seed))] for seed in seeds], []
    total = len(backbones) * len(chosen) * iterations
    with progress_bar(total, "classes", "steps") as bar:
        for each in backbones:
            with frozen(each.classifier(job.device)) as classifier:

                def objective_of(part: slice, network: torch.nn.Module = classifier) -> Objective:
                    return class_objective(network, towards[part])

                found = search(objective_of, seeds, attack, bar.update)
                with torch.no_grad():
                    logits = torch.cat([classifier(part) for part in found.split(16)])
                    before = torch.cat([classifier(part) for part in seeds.split(16)])
            columns.append(each.shown.heading)
            shares = logits.softmax(1)
            for n, number in enumerate(chosen):
                share = float(shares[n, number])
                cells[n].append(Cell(bytes_of(found[n]), f"{100 * share:.0f}%"))
                table.append(
                    {
                        "network": each.name,
                        "class": names[number],
                        "logit_before": float(before[n, number]),
                        "logit": float(logits[n, number]),
                        "probability": share,
                    }
                )
    rows = [Row(names[number], cells[n]) for n, number in enumerate(chosen)]
    settings = {
        **search_settings(size, iterations, eps, step, job.seed, job.seed_image),
        "classes": [names[number] for number in chosen],
    }
    shown = [each.shown for each in backbones]
    return Result(Sheet(job.title, columns, rows), shown, table, settings, (), said)


def _chosen(names: Sequence[str], job: Job) -> tuple[list[int], list[str]]:
    """Return the numbers of the classes to draw, and what to say of them."""
    numbers = {name: number for number, name in enumerate(names)}
    for name in job.classes:
        if name not in numbers:
            hint = did_you_mean(name, names) or f"; there are {len(names)}, such as '{names[0]}'"
            raise UserError(f"the networks tell no class '{name}'{hint}")
    if job.classes:
        return [numbers[name] for name in dict.fromkeys(job.classes)], []
    if len(names) <= job.draw:
        return list(range(len(names))), []
    drawn = np.random.default_rng(job.seed).permutation(len(names))[: job.draw]
    note = f"{job.draw} of {len(names)} classes were drawn, by seed {job.seed}"
    return sorted(drawn.tolist()), [f"{note}; --classes names others."]
