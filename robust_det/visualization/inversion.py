"""Images that a network represents as it does a given one (Engstrom et al. 2019, section 4.1).

From a seed, PGD lowers |R(x) - R(x0)| / |R(x0)|, where R is what the last linear layer is given.
What is left at the end is the inversion error. Of networks whose representation holds what a person
sees, the found image resembles the given one; that is measured apart, in pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from robust_det.attacks import PGD, Objective, frozen
from robust_det.core.errors import UserError
from robust_det.core.progress import progress_bar
from robust_det.transfer.features.network import feature_network
from robust_det.visualization.ascent import l2_search, search, search_settings, starts
from robust_det.visualization.images import read_squares
from robust_det.visualization.intervals import RESAMPLES, means_over_images
from robust_det.visualization.job import Job, Result
from robust_det.visualization.networks import ShownBackbone, common_size, load_backbones
from robust_det.visualization.sheet import Cell, Row, Sheet, bytes_of
from robust_det.visualization.straight import StraightLastReLU

__all__ = ["EPS", "ITERATIONS", "STEP", "draw", "inversion_error", "inversion_objective"]

EPS, STEP, ITERATIONS = 1000.0, 1.0, 10_000

_METRICS = {
    "inversion_error": "inversion error",
    "pixel_error": "root mean square error of pixels",
    "correlation": "correlation of pixels",
}


def inversion_error(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Return |R(x) - R(x0)| / |R(x0)| of representations (N, D): (N,).

    Where a representation is 0 it is not finite.
    """
    return (found - wanted).norm(dim=1) / wanted.norm(dim=1)


def inversion_objective(
    network: Callable[[torch.Tensor], torch.Tensor], wanted: torch.Tensor
) -> Objective:
    """Return the negative inversion error as an objective of the image.

    Args:
        network: images (N, 3, H, W) in [0, 1] to representations (N, D).
        wanted: (N, D) those that the images are to have.
    """
    return lambda images: -inversion_error(network(images), wanted)


def draw(job: Job) -> Result:
    """Invert the representations of images by every backbone.

    Raises:
        UserError: an image or a backbone cannot be read, or they do not fit.
    """
    backbones = load_backbones(job.backbones)
    size, said = common_size(backbones, job.size)
    images, notes = read_squares(job.images, size, max(each.stride for each in backbones))
    images = images.to(job.device)
    seeds = starts(len(images), size, job.seed, job.device, job.seed_image)
    said += notes
    iterations = ITERATIONS if job.iterations is None else job.iterations
    eps = EPS if job.eps is None else job.eps
    step = STEP if job.step is None else job.step
    found: dict[str, torch.Tensor] = {}
    figures: dict[str, dict[str, list[float]]] = {}
    total = len(backbones) * len(images) * iterations
    with progress_bar(total, "inversion", "steps") as bar:
        for each in backbones:
            attack = l2_search(eps, step, iterations)
            result, errors, passes = _invert(each, images, seeds, attack, bar.update)
            if not passes:
                said.append(
                    f"{each.name} does not end in a ReLU; its gradients pass as they are, which may"
                    " make its inversions worse."
                )
            found[each.name] = result
            figures[each.name] = {"inversion_error": errors.tolist(), **_pixels(result, images)}
    columns = ["image", "seed", *(each.shown.heading for each in backbones)]
    rows = [
        Row(
            path.name,
            [Cell(bytes_of(images[n])), Cell(bytes_of(seeds[n]))]
            + [Cell(bytes_of(found[name][n]), _caption(figures[name], n)) for name in found],
        )
        for n, path in enumerate(job.images)
    ]
    table = [
        {
            "network": name,
            "image": str(path),
            **{metric: figures[name][metric][n] for metric in _METRICS},
        }
        for name in found
        for n, path in enumerate(job.images)
    ]
    means = [
        mean
        for metric, title in _METRICS.items()
        for mean in means_over_images({n: figures[n][metric] for n in found}, title)
    ]
    settings = {
        **search_settings(size, iterations, eps, step, job.seed, job.seed_image),
        "resamples": RESAMPLES,
    }
    return Result(
        Sheet(job.title, columns, rows),
        [each.shown for each in backbones],
        table,
        settings,
        means,
        said,
    )


def _invert(
    backbone: ShownBackbone,
    images: torch.Tensor,
    seeds: torch.Tensor,
    attack: PGD,
    advance: Callable[[int], object],
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Return images of the representations of others, their inversion errors (N,), and whether
    gradients passed the last ReLU."""
    network = feature_network(backbone.model, str(backbone.file.path)).module.to(images.device)
    with frozen(network):
        with torch.no_grad():
            wanted = torch.cat([network(part) for part in images.split(16)])
        dead = (wanted.norm(dim=1) == 0) | ~wanted.isfinite().all(1)
        if dead.any():
            raise UserError(
                f"{backbone.name} represents image {int(dead.nonzero()[0])} by zeros or by what is"
                " not finite, which cannot be inverted; leave that image or that network out"
            )
        straight = StraightLastReLU(network, images[:1])

        def objective_of(part: slice) -> Objective:
            return inversion_objective(straight, wanted[part])

        found = search(objective_of, seeds, attack, advance)
        with torch.no_grad():
            reached = torch.cat([network(part) for part in found.split(16)])
    return found, inversion_error(reached, wanted).cpu(), straight.passes


def _pixels(found: torch.Tensor, images: torch.Tensor) -> dict[str, list[float]]:
    """Return how near images (N, 3, H, W) are to others, in pixels."""
    a, b = found.flatten(1).double(), images.flatten(1).double()
    error = (a - b).square().mean(1).sqrt()
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    scale = a.norm(dim=1) * b.norm(dim=1)
    # of an image of one colour there is none
    correlation = torch.where(scale > 0, (a * b).sum(1) / scale, 0.0)
    return {"pixel_error": error.tolist(), "correlation": correlation.tolist()}


def _caption(figures: dict[str, list[float]], n: int) -> str:
    return f"error {figures['inversion_error'][n]:.3f}, r {figures['correlation'][n]:.2f}"
