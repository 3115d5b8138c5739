"""One network and one batch, on which the sides of the adversarial step work."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.checkpoints.model_file import read_model
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.measure import wilson_interval
from robust_det.core.device import AMP_DTYPES, autocast, resolve_device
from robust_det.core.progress import progress_bar
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import collate
from robust_det.models import build_classifier
from robust_det.models.folding import FoldedNorms

__all__ = ["Bench", "void"]

Attacked = Callable[[], AbstractContextManager[nn.Module]]


class Bench:
    """One network and one batch, with which all sides work.

    Args:
        args: of the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.compiled = False
        self.device = resolve_device(args.device)
        self.dtype = AMP_DTYPES[args.precision]
        self.layout = torch.channels_last if args.channels_last else torch.contiguous_format
        torch.manual_seed(0)
        if args.weights:
            model: nn.Module = read_model(args.weights, args.arch).classifier()
        else:
            model = build_classifier(args.arch, args.classes)
        self.model = model.to(self.device).to(memory_format=self.layout).train()
        shape = (args.batch, 3, args.size, args.size)
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
        targets = torch.randint(0, args.classes, (args.batch,))
        if args.data:
            pixels, targets = next(iter(self.validation_batches(args.batch)))
        self.pixels, self.targets = pixels.to(self.device), targets.to(self.device)
        self.fixed = self.in_unit_range(self.pixels)
        if not args.weights:
            # batch-norm statistics of a network in training: with those of a fresh one, features
            # explode in eval mode, gradients underflow, and a CPU is slow at numbers that small
            with torch.no_grad():
                for _ in range(10):
                    self.model(self.fixed)

    def in_unit_range(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().div(255).contiguous(memory_format=self.layout)

    def validation_batches(self, images: int) -> DataLoader:
        """Load that many images, evenly spread over the validation split."""
        transform = eval_transform(self.args.size, self.args.size)
        data = ImageFolder(self.args.data, "val", transform)
        chosen = [(0, i * len(data) // images) for i in range(images)]

        def stacked(samples: list) -> tuple[torch.Tensor, torch.Tensor]:
            batch = collate(samples)
            return batch.images, batch.targets

        return DataLoader(
            Subset(data, chosen),  # type: ignore[arg-type]  # its indices are pairs
            batch_size=self.args.batch,
            collate_fn=stacked,
        )

    def compile(self) -> None:
        """Compile the network, as it is and with its norms folded, as training does."""
        self.model.compile()
        self.compiled = True

    def sides(self) -> dict[str, Callable[[], object]]:
        """Return the contestants, each a function that does one whole step."""
        args, model = self.args, self.model
        folded = FoldedNorms(model)
        if self.compiled:
            folded.network.compile()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

        def step(eps: float, attacked: Attacked | None = None) -> Callable[[], object]:
            attack = PGD(make_threat("l2", eps), args.steps, eps * 2 / 3)
            one = TrainingStep(
                model,
                model,
                optimizer,
                attack,
                attacked=attacked,
                amp_dtype=self.dtype,
                channels_last=args.channels_last,
            )
            return lambda: void(one(self.pixels, self.targets))

        return {
            "ours": step(args.eps),
            "folded": step(args.eps, folded),
            "bound": self.bound,
            "standard": step(0.0),
        }

    def bound(self) -> None:
        """Do the bare passes."""
        x = self.fixed.clone(memory_format=torch.preserve_format).requires_grad_(True)
        self.model.zero_grad(set_to_none=True)
        with frozen(self.model):
            for _ in range(self.args.steps):
                torch.autograd.grad(self.loss(x, "sum"), x)
        self.loss(self.fixed, "mean").backward()

    def loss(
        self, x: torch.Tensor, reduction: str, targets: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return that of images, by default of the whole batch."""
        with autocast(self.device, self.dtype):
            logits = self.model(x)
        targets = self.targets if targets is None else targets
        return F.cross_entropy(logits.float(), targets, reduction=reduction)

    def attacked(self) -> dict[str, Attacked]:
        """Return how the attack sees the network: as it is, and folded."""
        return {"ours": functools.partial(frozen, self.model), "folded": FoldedNorms(self.model)}

    def examples(
        self, attacked: Attacked, attack: PGD, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        with attacked() as network:
            noise = torch.Generator(self.device).manual_seed(0)
            return attack(classifier_objective(network, y, amp_dtype=self.dtype), x, noise)

    def losses_reached(self) -> dict[str, float]:
        """Return the mean loss of the network as it is under either training attack."""
        args = self.args
        attack = PGD(make_threat("l2", args.eps), args.steps, args.eps * 2 / 3)
        reached = {}
        for name, attacked in self.attacked().items():
            x = self.examples(attacked, attack, self.fixed, self.targets)
            with frozen(self.model), torch.no_grad():
                reached[name] = self.loss(x, "mean").item()
        return reached

    def robust_accuracy(self) -> dict[str, Any]:
        """Count the validation images that the network as it is classifies right under either
        evaluation attack."""
        args = self.args
        size = 2.5 * args.eps / 10
        attack = PGD(make_threat("l2", args.eps), 10, size, random_start=True, best_iterate=True)
        right: dict[str, list[bool]] = {"ours": [], "folded": []}
        ways = self.attacked()
        with progress_bar(args.eval_images, "evaluate", "img") as bar:
            for pixels, targets in self.validation_batches(args.eval_images):
                x, y = self.in_unit_range(pixels.to(self.device)), targets.to(self.device)
                for name, attacked in ways.items():
                    adversarial = self.examples(attacked, attack, x, y)
                    with frozen(self.model), torch.no_grad():
                        right[name] += (self.model(adversarial).argmax(1) == y).tolist()
                bar.update(len(y))
        n = len(right["ours"])
        low, high = wilson_interval(sum(right["ours"]) / n, n)
        return {
            "images": n,
            "top1": {name: 100 * sum(hits) / n for name, hits in right.items()},
            "interval": [100 * low, 100 * high],
            "apart": sum(a != b for a, b in zip(right["ours"], right["folded"], strict=True)),
        }


def void(_: object) -> None:
    """Drop a result, so that no side keeps tensors alive."""
