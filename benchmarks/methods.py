"""The step of each method of adversarial training against its bound: the passes it says it does.

The bound of a method runs its passes and nothing else, on one fixed batch: its input-gradient
passes and those without a gradient in eval mode, then its forward and backward passes for the
weights, with the network and its norms as they are. Our step does the rest as well: the attack's
arithmetic, the loss, the optimiser; its attack folds batch norms (``ATTACK.FOLD_NORMS``,
the default). A method and its bound take turns.

    python benchmarks/methods.py --arch resnet18 --size 64 --batch 64
    python benchmarks/methods.py --table benchmarks/records/methods.jsonl
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from adversarial_bench import Bench, void
from results import append_result, markdown_table, parse_arguments, read_results
from turns import alternated

from robust_det.attacks import frozen
from robust_det.classification.adversarial_step import TrainingStep
from robust_det.classification.components import build_step
from robust_det.classification.settings import explain
from robust_det.core.device import AMP_DTYPES
from robust_det.core.memory import keep_freed_memory
from robust_det.core.progress import progress_bar
from robust_det.records import environment
from robust_det.training.world import World

CONFIG = "base_tiny_imagenet.yaml"
# by what is shown: keys beside those of the command line
METHODS = {
    "pgd": "",
    "trades": "TRAIN.METHOD trades TRAIN.TRADES_BETA 6",
    "mart": "TRAIN.METHOD mart TRAIN.MART_LAMBDA 5",
    "free": "TRAIN.METHOD free TRAIN.REPLAYS 4",
    "fast": "TRAIN.METHOD fast",
    "pgd, AWP": "TRAIN.AWP_GAMMA 0.005",
    "trades, AWP": "TRAIN.METHOD trades TRAIN.TRADES_BETA 6 TRAIN.AWP_GAMMA 0.005",
    "pgd, half clean": "TRAIN.CLEAN_SHARE 0.5",
}


def build(bench: Bench, keys: str) -> TrainingStep:
    """Return the step as pretraining builds it."""
    args = bench.args
    pairs = ["MODEL.ARCH", args.arch, "ATTACK.EPS", str(args.eps)]
    pairs += ["TRAIN.PRECISION", args.precision, "TRAIN.CHANNELS_LAST", str(args.channels_last)]
    cfg, _ = explain(CONFIG, [*pairs, *keys.split()])
    return build_step(cfg, bench.model, None, World())


def bound(bench: Bench, step: TrainingStep) -> Callable[[], object]:
    """Return a function that does the passes of a step alone."""
    inner = step.method.inner_passes(step.attack)
    attacked = round((1 - step.clean_share) * len(bench.fixed))
    loss = step.method.loss_passes(1)
    times = int(loss.backward) * (1 if step.perturbed is None else 2)
    to_the_image = inner.backward == 0

    def passes() -> None:
        x = bench.fixed[:attacked].detach().clone(memory_format=torch.preserve_format)
        x.requires_grad_(True)
        y = bench.targets[:attacked]
        bench.model.zero_grad(set_to_none=True)
        with frozen(bench.model):
            for _ in range(inner.backward):
                torch.autograd.grad(bench.loss(x, "sum", y), x)
            with torch.no_grad():
                for _ in range(inner.forward - inner.backward):
                    bench.loss(x, "sum", y)
        for _ in range(times):
            bench.loss(x if to_the_image else bench.fixed, "mean").backward()

    return passes


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    head = ["method", "forward", "backward", "s, bound", "s, ours", "of the bound", "of PGD-AT"]
    rows = [
        [
            name,
            f"{found['forward']:g}",
            f"{found['backward']:g}",
            f"{found['bound']:.3f}",
            f"{found['ours']:.3f}",
            f"{found['bound'] / found['ours']:.3f}",
            f"{found['ours'] / row['methods']['pgd']['ours']:.2f}x",
        ]
        for row in read_results(path)
        for name, found in row["methods"].items()
    ]
    return markdown_table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="image side in pixels")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--eps", type=float, default=1.0, help="of the L2 ball, in pixel units")
    parser.add_argument("--precision", choices=list(AMP_DTYPES), default="fp32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    args = parse_arguments(parser, table)
    if args is None:
        return
    args.weights = args.data = None
    bench = Bench(args)
    if bench.device.type == "cpu":
        keep_freed_memory()  # of both sides, as pretraining has it
    # of a CPU the process's own seconds, in which no other process's are
    clock = time.process_time if bench.device.type == "cpu" else time.perf_counter
    found: dict[str, dict[str, Any]] = {}
    with progress_bar(len(METHODS), "measure", "method") as bar:
        for name, keys in METHODS.items():
            step = build(bench, keys)
            whole = functools.partial(step, bench.pixels, bench.targets)
            sides = {
                "ours": lambda whole=whole: void(whole()),
                "bound": bound(bench, step),
            }
            cost = step.cost()
            seconds = alternated(sides, args.rounds, bench.device, clock=clock)
            found[name] = {**seconds, "forward": cost.forward, "backward": cost.backward}
            bar.update()
    for name, row in found.items():
        print(
            f"{name}: {row['ours']:.3f} s a step, throughput of the bound"
            f" {row['bound'] / row['ours']:.3f}"
        )
    if args.output:
        hidden = ("output", "table", "weights", "data")
        settings = {key: value for key, value in vars(args).items() if key not in hidden}
        result = {
            "benchmark": "methods",
            "settings": settings,
            "methods": found,
            "environment": environment(str(bench.device)),
        }
        append_result(args.output, result)


if __name__ == "__main__":
    main()
