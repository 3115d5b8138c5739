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
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from adversarial_bench import Bench
from results import append_result, markdown_table, parse_arguments, read_results
from turns import alternated

from robust_det.core.device import AMP_DTYPES
from robust_det.core.memory import keep_freed_memory
from robust_det.records import environment

_NOT_SETTINGS = ("output", "memory_of", "serve", "table")


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
