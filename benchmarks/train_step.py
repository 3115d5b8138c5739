"""Our training step against Detectron2's own trainer: throughput and memory on the same data.

Both sides train the same Faster R-CNN with FPN from the same weights on synthetic scenes: the
stock side is DefaultTrainer with Detectron2's loader and mapper, ours has the accelerations that
are asked for. Each run is a fresh process, the sides take turns, and the first iterations do not
count.

    python benchmarks/train_step.py --arch resnet18 --size 256 --batch 4
    python benchmarks/train_step.py --table benchmarks/records/train_step.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from results import append_result, markdown_table, read_results

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 5


def make_config(args: argparse.Namespace, folder: Path) -> Any:
    """Return the config of both sides; ours has the accelerations as well."""
    from robust_det.detection.config import load_config

    config = folder / "bench.yaml"
    entries = [
        f"    - {{NAME: bench_{part}, JSON: {folder}/scenes/annotations/instances_{part}.json,"
        f" IMAGES: {folder}/scenes/{part}}}"
        for part in ("train", "val")
    ]
    base = ROOT / "configs/detection" / ("base_rcnn_fpn.yaml" if args.full else "base_small.yaml")
    lines = [f"_BASE_: {base}", "DATASETS:", "  CUSTOM:", *entries]
    lines += ["  TRAIN: [bench_train]", "  TEST: [bench_val]"]
    config.write_text("\n".join(lines) + "\n")
    keys = {
        "MODEL.BACKBONE.ARCH": args.arch,
        "MODEL.DEVICE": args.device,
        "INPUT.MIN_SIZE_TRAIN": f"[{args.size}]",
        "INPUT.MAX_SIZE_TRAIN": str(args.size * 2),
        "SOLVER.IMS_PER_BATCH": str(args.batch),
        "SOLVER.MAX_ITER": str(WARM_UP + args.iterations),
        "SOLVER.STEPS": "[]",
        "SOLVER.BASE_LR": "0.001",
        "DATALOADER.NUM_WORKERS": str(args.workers),
        "OUTPUT_DIR": str(folder / args.side),
    }
    if args.side == "ours":
        keys |= {
            "SOLVER.PRECISION": args.precision,
            "MODEL.CHANNELS_LAST": str(args.channels_last),
            "SOLVER.FUSED": str(args.fused),
            "MODEL.BACKBONE.COMPILE": str(args.compile),
        }
    return load_config(str(config), [part for item in keys.items() for part in item])[0]


def one_side(args: argparse.Namespace) -> None:
    """Train in this process and print what an iteration took."""
    import torch

    import robust_det.detection  # noqa: F401  prepares Detectron2
    from detectron2.engine import DefaultTrainer, HookBase  # isort: skip
    from detectron2.utils.env import seed_all_rng  # isort: skip

    from robust_det.detection.finetuning.trainer import RobustTrainer

    class Clock(HookBase):
        def __init__(self) -> None:
            self.times: list[float] = []

        def after_step(self) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    cfg = make_config(args, args.folder)
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    seed_all_rng(0)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = (RobustTrainer if args.side == "ours" else DefaultTrainer)(cfg)
        trainer._hooks = [h for h in trainer._hooks if type(h).__name__ == "LRScheduler"]
        clock = Clock()
        trainer.register_hooks([clock])
        super(DefaultTrainer, trainer).train(0, cfg.SOLVER.MAX_ITER)
    steps = [b - a for a, b in zip(clock.times[WARM_UP:], clock.times[WARM_UP + 1 :], strict=False)]
    cuda = torch.cuda.is_available() and cfg.MODEL.DEVICE != "cpu"
    memory = (
        torch.cuda.max_memory_allocated()
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    print(json.dumps({"seconds": statistics.median(steps), "memory": memory}))


def measure(args: argparse.Namespace, side: str, folder: Path) -> dict[str, float]:
    """Run one side in a fresh process."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    rows = read_results(path)
    head = [
        "network",
        "px",
        "batch",
        "ours with",
        "device",
        "s, ours",
        "s, stock",
        "ratio",
        "memory",
    ]
    cells = []
    for row in rows:
        what, seconds = row["settings"], row["seconds"]
        switches = [what["precision"]]
        switches += [name for name in ("channels_last", "fused", "compile") if what[name]]
        cells.append(
            [
                what["arch"],
                what["size"],
                what["batch"],
                ", ".join(switches),
                row["environment"]["device"],
                f"{seconds['ours']:.3f}",
                f"{seconds['stock']:.3f}",
                f"{row['throughput_ratio']:.2f}x",
                f"{row['memory_ratio']:.2f}x",
            ]
        )
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=256, help="shorter side in pixels")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--iterations", type=int, default=20, help="that count, of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--full", action="store_true", help="full-size heads, not the small ones")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--fused", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="append the result as a JSON line to this file")
    parser.add_argument("--table", type=Path, help="print a file of results as a table, and stop")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.table:
        print(table(args.table))
        return
    if args.side:
        one_side(args)
        return

    from robust_det.core.device import resolve_device
    from robust_det.data.synthetic import write_coco
    from robust_det.records import environment

    runs: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_coco(folder / "scenes", train_images=64, val_images=2, size=args.size)
        for number in range(args.rounds):
            for side in list(runs)[:: -1 if number % 2 else 1]:
                runs[side].append(measure(args, side, folder))
    seconds = {s: statistics.median(r["seconds"] for r in got) for s, got in runs.items()}
    memory = {s: max(r["memory"] for r in got) for s, got in runs.items()}
    hidden = ("output", "table", "side", "folder")
    result = {
        "benchmark": "train_step",
        "settings": {k: v for k, v in vars(args).items() if k not in hidden},
        "seconds": seconds,
        "throughput_ratio": seconds["stock"] / seconds["ours"],
        "peak_memory": memory,
        "memory_ratio": memory["ours"] / memory["stock"],
        "environment": environment(str(resolve_device(args.device))),
        "cores": len(os.sched_getaffinity(0)),
    }
    print(f"{args.arch}, {args.size} px, batch {args.batch}, {args.rounds} rounds")
    for side, value in seconds.items():
        print(f"  {side:6s} {value:7.3f} s an iteration, peak memory {memory[side] / 1e9:.2f} GB")
    print(f"  throughput of ours: {result['throughput_ratio']:.2f}x")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
