"""Our adversarial step against its bound: the bare passes it cannot do without.

An adversarial step with k PGD steps does k input-gradient passes and one full pass. The bound runs
just those passes on one fixed batch in the same precision, with no data loading, no attack
arithmetic and no optimiser. Both sides alternate within one process; the ratio of their medians
is printed. Peak memory is what three steps take above the loaded network and
batch, in a fresh process a side, against a standard (eps 0) step.

    python benchmarks/pgd_step.py --arch resnet18 --size 64 --batch 128
    python benchmarks/pgd_step.py --arch resnet50 --size 224 --batch 16
    python benchmarks/pgd_step.py --table benchmarks/records/pgd_step.jsonl
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from results import append_result, markdown_table, read_results
from torch.nn import functional as F

from robust_det.attacks import PGD, make_threat
from robust_det.attacks.pgd import frozen_for_attack
from robust_det.classification.step import TrainingStep
from robust_det.core.device import AMP_DTYPES, resolve_device
from robust_det.models import build_classifier
from robust_det.records import environment

_NOT_SETTINGS = ("output", "memory_of", "table")


def make_sides(args: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Return the three contestants, each a function that does one whole step."""
    device = resolve_device(args.device)
    dtype = AMP_DTYPES[args.precision]
    torch.manual_seed(0)
    layout = torch.channels_last if args.channels_last else torch.contiguous_format
    model = build_classifier(args.arch, args.classes).to(device).to(memory_format=layout).train()
    pixels = torch.randint(0, 256, (args.batch, 3, args.size, args.size), dtype=torch.uint8)
    pixels = pixels.to(device)
    targets = torch.randint(0, args.classes, (args.batch,), device=device)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def step(eps: float) -> TrainingStep:
        attack = PGD(make_threat("l2", eps), args.steps, eps * 2 / 3, amp_dtype=dtype)
        return TrainingStep(model, model, optimizer, attack, channels_last=args.channels_last)

    ours, standard = step(1.0), step(0.0)
    fixed = pixels.float().div(255).contiguous(memory_format=layout)
    with_grad = fixed.clone(memory_format=torch.preserve_format).requires_grad_(True)

    # batch-norm statistics of a network in training: with those of a fresh one, features explode
    # in eval mode, gradients underflow, and a CPU is slow at numbers that small
    with torch.no_grad():
        for _ in range(10):
            model(fixed)

    def loss_of(x: torch.Tensor, reduction: str) -> torch.Tensor:
        with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
            logits = model(x)
        return F.cross_entropy(logits.float(), targets, reduction=reduction)

    def bound() -> None:
        model.zero_grad(set_to_none=True)
        with frozen_for_attack(model):
            for _ in range(args.steps):
                torch.autograd.grad(loss_of(with_grad, "sum"), with_grad)
        loss_of(fixed, "mean").backward()

    return {
        "ours": lambda: void(ours(pixels, targets)),
        "bound": bound,
        "standard": lambda: void(standard(pixels, targets)),
    }


def void(_: object) -> None:
    """Drop a result, so that no side keeps tensors alive."""


def timed(side: Callable[[], None], device: torch.device) -> float:
    """Return the seconds of one call, the GPU's queue included."""
    start = time.perf_counter()
    side()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(args: argparse.Namespace) -> int:
    """Run three steps of one side and return the bytes they took above what was there before."""
    side = make_sides(args)[args.memory_of]
    device = resolve_device(args.device)
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
    """Return recorded results as a Markdown table."""
    rows = read_results(path)
    head = ["network", "px", "batch", "precision", "s, ours", "s, bound", "of the bound", "memory"]
    cells = []
    for row in rows:
        what, seconds = row["settings"], row["seconds"]
        layout = ", channels_last" if what["channels_last"] else ""
        cells.append(
            [
                what["arch"],
                what["size"],
                what["batch"],
                what["precision"] + layout,
                f"{seconds['ours']:.3f}",
                f"{seconds['bound']:.3f}",
                f"{row['of_bound']:.3f}",
                f"{row['memory_ratio']:.3f}x",
            ]
        )
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="image side in pixels")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3, help="PGD steps")
    parser.add_argument("--precision", choices=list(AMP_DTYPES), default="fp32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="append the result as a JSON line to this file")
    parser.add_argument("--table", type=Path, help="print a file of results as a table, and stop")
    parser.add_argument("--memory-of", choices=["ours", "standard"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.table:
        print(table(args.table))
        return
    if args.memory_of:
        print(peak_memory(args))
        return

    device = resolve_device(args.device)
    sides = make_sides(args)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for side in sides.values():
        timed(side, device)  # warm-up
    for number in range(args.rounds):
        # in turn, so that no side always runs after the same other
        for name, side in list(sides.items())[:: -1 if number % 2 else 1]:
            seconds[name].append(timed(side, device))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    memory = {}
    for name in ("ours", "standard"):
        command = [sys.executable, __file__, *sys.argv[1:], "--memory-of", name]
        memory[name] = int(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )

    result = {
        "benchmark": "pgd_step",
        "settings": {
            k: v for k, v in vars(args).items() if k not in ("output", "memory_of", "table")
        },
        "seconds": median,
        "of_bound": median["bound"] / median["ours"],
        "cost_of_standard": median["ours"] / median["standard"],
        "peak_memory": memory,
        "memory_ratio": memory["ours"] / memory["standard"],
        "environment": environment(str(device)),
    }
    print(
        f"{args.arch} at {args.size} px, batch {args.batch}, {args.precision}, {args.rounds} rounds"
    )
    for name, value in median.items():
        print(f"  {name:9s} {value:8.3f} s a step, {args.batch / value:8.1f} images/s")
    print(f"  throughput of the bound: {result['of_bound']:.3f}")
    print(f"  peak memory of a standard step: {result['memory_ratio']:.3f}x")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
