"""Our adversarial step against its bound: the bare passes it cannot do without.

An adversarial step with k PGD steps does k input-gradient passes and one full pass. The bound runs
just those passes on one fixed batch in the same precision, with no data loading, no attack
arithmetic and no optimiser, with the network as it is and memory as the system manages it. Our step
runs so too, and with what may beat the bound: with batch norms folded in the attack's passes
(``ATTACK.FOLD_NORMS``), and on a CPU also with freed memory kept by the process, which is how
pretraining does it. The sides take turns, the last of them in a process of its own; the ratios of
their medians are printed. Peak memory is what three steps take above the loaded network and batch,
in a fresh process a side, against a standard (eps 0) step.

Folding changes the rounding, so what the attack reaches is compared too: the mean loss of the
network as it is on the examples of either attack and, with ``--weights`` and ``--data``, how many
validation images it classifies right under either, at the evaluation's 10 steps.

    python benchmarks/pgd_step.py --arch resnet18 --size 64 --batch 128
    python benchmarks/pgd_step.py --arch resnet50 --size 224 --batch 16
    python benchmarks/pgd_step.py --arch resnet18 --size 64 --batch 128 --eps 0.25 \\
        --weights output/pretrain/tiny_resnet18_l2_eps0.25/best.pth --data tiny-imagenet-100
    python benchmarks/pgd_step.py --table benchmarks/records/pgd_step.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from results import append_result, markdown_table, parse_arguments, read_results
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from turns import alternated

from robust_det.attacks import PGD, classifier_objective, frozen, make_threat
from robust_det.checkpoints.model_file import read_model
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.measure import wilson_interval
from robust_det.core.device import AMP_DTYPES, resolve_device
from robust_det.core.memory import keep_freed_memory
from robust_det.core.progress import progress_bar
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_folder import ImageFolder, collate
from robust_det.models import build_classifier
from robust_det.models.folding import FoldedNorms
from robust_det.records import environment

_NOT_SETTINGS = ("output", "memory_of", "serve", "table")

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

    def loss(self, x: torch.Tensor, reduction: str) -> torch.Tensor:
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            logits = self.model(x)
        return F.cross_entropy(logits.float(), self.targets, reduction=reduction)

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


@contextlib.contextmanager
def steps_with_memory_kept() -> Iterator[Callable[[], object]]:
    """Start a process that keeps its memory; yield a function that has it do a folded step."""
    command = [sys.executable, __file__, *sys.argv[1:], "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        asked, told = process.stdin, process.stdout
        assert asked is not None and told is not None

        def step() -> None:
            asked.write(b"step\n")
            asked.flush()
            assert told.readline() == b"done\n", "the process that keeps its memory has failed"

        yield step
        asked.close()


def serve(args: argparse.Namespace) -> None:
    """Do a step for each line that comes."""
    keep_freed_memory()
    step = Bench(args).sides()["folded"]
    for _ in sys.stdin:
        step()
        print("done", flush=True)


def peak_memory(args: argparse.Namespace) -> int:
    """Run three steps of one side and return the bytes they took above what was there before."""
    name = args.memory_of
    if name == "kept":
        keep_freed_memory()
        name = "folded"
    bench = Bench(args)
    side, device = bench.sides()[name], bench.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        before = pages * resource.getpagesize()
    for _ in range(3):
        side()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() - before
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def table(path: Path) -> str:
    """Return recorded results as Markdown tables: how fast, and what folding changes."""
    head = ["network", "px", "batch", "precision"]
    times = ["s, bound", "as it is", "folded", "folded, memory kept", "memory of each"]
    reached = ["loss reached", "robust top-1 (not folded)"]
    rows, folded_rows = [], []
    for row in read_results(path):
        what, folded = row["settings"], row["folded"]
        layout = ", channels_last" if what["channels_last"] else ""
        setting = [what["arch"], what["size"], what["batch"], what["precision"] + layout]
        ways = [way for way in (row, folded, row["kept"]) if way]
        ratios = [f"{way['of_bound']:.3f}" for way in ways] + [""] * (3 - len(ways))
        memory = ", ".join(f"{way['memory_ratio']:.2f}x" for way in ways)
        rows.append([*setting, f"{row['seconds']['bound']:.3f}", *ratios, memory])
        accuracy = _accuracy_text(folded["robust_accuracy"])
        folded_rows.append([*setting, f"{folded['loss_difference']:.1e}", accuracy])
    speed = markdown_table([*head, *times], rows)
    return f"{speed}\n\n{markdown_table([*head, *reached], folded_rows)}"


def _accuracy_text(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None:
        return ""
    top1, (low, high) = accuracy["top1"], accuracy["interval"]
    return f"{top1['folded']:.1f} ({top1['ours']:.1f}, 95%: {low:.1f} to {high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="image side in pixels")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3, help="PGD steps")
    parser.add_argument("--eps", type=float, default=1.0, help="of the L2 ball, in pixel units")
    parser.add_argument("--precision", choices=list(AMP_DTYPES), default="fp32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--weights", type=Path, help="a trained network instead of a random one")
    parser.add_argument("--data", type=Path, help="folder with val/<class>/, its classes")
    parser.add_argument("--eval-images", type=int, default=500, help="attacked, of --data")
    parser.add_argument(
        "--memory-of", choices=["ours", "folded", "kept", "standard"], help=argparse.SUPPRESS
    )
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parse_arguments(parser, table)
    if args is None:
        return
    if bool(args.data) != bool(args.weights):
        parser.error("--weights and --data come together")
    if args.memory_of:
        print(peak_memory(args))
        return
    if args.serve:
        serve(args)
        return

    bench = Bench(args)
    reached = bench.losses_reached()  # before the steps change the network
    accuracy = bench.robust_accuracy() if args.data else None
    sides = bench.sides()
    with contextlib.ExitStack() as stack:
        if bench.device.type == "cpu":
            sides["kept"] = stack.enter_context(steps_with_memory_kept())
        median = alternated(sides, args.rounds, bench.device)
    memory = {}
    for name in sides.keys() - {"bound"}:
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
        memory[name] = int(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )

    def compared(name: str) -> dict[str, float]:
        return {
            "of_bound": median["bound"] / median[name],
            "memory_ratio": memory[name] / memory["standard"],
        }

    result: dict[str, Any] = {
        "benchmark": "pgd_step",
        "settings": {
            k: str(v) if isinstance(v, Path) else v
            for k, v in vars(args).items()
            if k not in _NOT_SETTINGS
        },
        "seconds": median,
        **compared("ours"),
        "cost_of_standard": median["ours"] / median["standard"],
        "peak_memory": memory,
        "folded": {
            **compared("folded"),
            "loss_reached": reached,
            "loss_difference": abs(reached["folded"] - reached["ours"]) / reached["ours"],
            "robust_accuracy": accuracy,
        },
        "kept": compared("kept") if "kept" in sides else None,
        "environment": environment(str(bench.device)),
    }
    print(
        f"{args.arch} at {args.size} px, batch {args.batch}, {args.precision}, {args.rounds} rounds"
    )
    for name, value in median.items():
        print(f"  {name:9s} {value:8.3f} s a step, {args.batch / value:8.1f} images/s")
    for name in sides.keys() - {"bound", "standard"}:
        ratios = compared(name)
        print(f"  {name}: throughput of the bound {ratios['of_bound']:.3f}")
        print(f"  {name}: peak memory of a standard step {ratios['memory_ratio']:.3f}x")
    print(f"  loss reached: {reached['ours']:.5f}, folded {reached['folded']:.5f}")
    if accuracy:
        print(f"  robust top-1, folded (not folded): {_accuracy_text(accuracy)},", end=" ")
        print(f"{accuracy['apart']} of {accuracy['images']} images differ")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
