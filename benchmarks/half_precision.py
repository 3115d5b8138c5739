"""What an attack loses when its passes run in bf16, by its radius and by the iterate it returns.

A small network is trained for seconds on patterns with noise. PGD attacks it with passes in fp32
and in bf16, returning the best or the last iterate, with the settings that a config has. What each
reaches is judged on the same side: the mean rise of the cross-entropy that the network in float64
has on the examples. It is shown relative to fp32 with the best iterate.

Steps at the smallest radius change a loss by less than bf16 can tell, so that the highest of
iterates is the luckiest one; ``PGD.resolution`` keeps the later where the losses tie. *Of the
highest* is the best iterate without it.

    python benchmarks/half_precision.py --output benchmarks/records/half_precision.jsonl
    python benchmarks/half_precision.py --table benchmarks/records/half_precision.jsonl
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from results import append_result, markdown_table, parse_arguments, read_results
from torch.nn import functional as F

from robust_det.attacks import PGD, classifier_objective, frozen
from robust_det.classification.attack_settings import eval_attack
from robust_det.classification.settings import pretrain_defaults
from robust_det.core.device import AMP_DTYPES
from robust_det.models import Classifier, build_classifier
from robust_det.records import environment

_CLASSES, _SIZE = 10, 16
_RADII = (0.01, 0.1, 1.0, 4.0)  # in 1/255
_SIDES = ("fp32 best", "fp32 last", "bf16 best", "bf16 last", "bf16 of the highest")


def images_of(count: int, noise: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (N, 3, 16, 16) of 8 bits in [0, 1], a pattern a class, and their classes."""
    patterns = torch.rand(_CLASSES, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    classes = torch.randint(0, _CLASSES, (count,), generator=noise)
    x = F.interpolate(patterns[classes], size=_SIZE, mode="nearest") * 0.5 + 0.25
    x += 0.25 * torch.randn(x.shape, generator=noise)
    return x.clamp_(0, 1).mul_(255).round_().div_(255), classes


def trained(steps: int, noise: torch.Generator) -> Classifier:
    """Train a network for so many steps of 64 images."""
    network = build_classifier("resnet10_narrow", _CLASSES).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
    for _ in range(steps):
        x, y = images_of(64, noise)
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
    return network.eval()


def attacks(eps: float) -> dict[str, tuple[PGD, torch.dtype | None]]:
    """Return the attack of each side, and the type of its passes."""
    found = {}
    for side in _SIDES:
        precision, _, iterate = side.partition(" ")
        cfg = pretrain_defaults()
        cfg.ATTACK.NORM, cfg.ATTACK.EPS, cfg.TRAIN.PRECISION = "linf", eps, precision
        attack = replace(eval_attack(cfg), best_iterate=iterate != "last")
        if iterate == "of the highest":
            attack = replace(attack, resolution=0.0)
        found[side] = attack, AMP_DTYPES[precision]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64, help="attacked")
    parser.add_argument("--steps", type=int, default=40, help="of the network's training")
    parser.add_argument("--seed", type=int, default=0)
    args = parse_arguments(parser, table)
    if args is None:
        return
    torch.set_num_threads(1)  # sums in one order
    torch.manual_seed(args.seed)
    noise = torch.Generator().manual_seed(args.seed)
    network = trained(args.steps, noise)
    x, y = images_of(args.images, noise)
    exact = copy.deepcopy(network).double()

    def loss(images: torch.Tensor) -> float:
        with torch.no_grad():
            return float(F.cross_entropy(exact(images.double()), y))

    clean, rises = loss(x), dict[str, dict[str, float]]()
    for radius in _RADII:
        own = rises[f"{radius:g}"] = {}
        for side, (attack, dtype) in attacks(radius / 255).items():
            with frozen(network):
                objective = classifier_objective(network, y, amp_dtype=dtype)
                own[side] = loss(attack(objective, x, torch.Generator().manual_seed(1))) - clean
        first = own[_SIDES[0]]
        shares = ", ".join(f"{side} {own[side] / first:.3f}" for side in _SIDES[1:])
        print(f"eps {radius:g}/255: {_SIDES[0]} raises the loss by {first:.3g}; {shares}")
    result: dict[str, Any] = {
        "benchmark": "half_precision",
        "settings": {k: v for k, v in vars(args).items() if k not in ("output", "table")},
        "clean_loss": clean,
        "rises": rises,
        "environment": environment("cpu"),
    }
    if args.output:
        append_result(args.output, result)


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    rows = [
        [radius, f"{own[_SIDES[0]]:.2g}", *(f"{own[s] / own[_SIDES[0]]:.3f}" for s in _SIDES[1:])]
        for result in read_results(path)
        for radius, own in result["rises"].items()
    ]
    return markdown_table(["eps, in 1/255", f"rise, {_SIDES[0]}", *_SIDES[1:]], rows)


if __name__ == "__main__":
    main()
