"""Our training step against Detectron2's own trainer: throughput and memory on the same data.

All sides train the same Faster R-CNN with FPN from the same weights on synthetic scenes: the stock
side is DefaultTrainer with Detectron2's loader and mapper, ours has the accelerations that are
asked for. Each run is a fresh process, the sides take turns, and the first iterations do not
count. Beforehand every process takes the same few steps on the same batches: how far the losses are
from those of the stock side is what the accelerations cost in exactness.

    python benchmarks/train_step.py --arch resnet18 --size 256 --batch 4
    python benchmarks/train_step.py --ablation  # one acceleration after the other
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

from results import append_result, markdown_table, parse_arguments, read_results
from turns import in_turn

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 5
LOSSES = 10  # steps whose losses are compared
SWITCHES = {
    "precision": "SOLVER.PRECISION",
    "channels_last": "MODEL.CHANNELS_LAST",
    "fused": "SOLVER.FUSED",
    "fold_norms": "MODEL.FOLD_NORMS",
    "table_roi_align": "MODEL.TABLE_ROI_ALIGN",
    "compile": "MODEL.BACKBONE.COMPILE",
}
STOCK = {name: "fp32" if name == "precision" else False for name in SWITCHES}


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
        keys |= {key: str(getattr(args, name)) for name, key in SWITCHES.items()}
    return load_config(str(config), [part for item in keys.items() for part in item])[0]


def draw_norms(model: Any) -> None:
    """Give the frozen norms values, as those of a trained network: at first they do nothing."""
    import torch

    import robust_det.detection  # noqa: F401  prepares Detectron2
    from detectron2.layers import FrozenBatchNorm2d  # isort: skip

    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)


def first_losses(cfg: Any, trainer: Any) -> list[float]:
    """Return the losses of the first steps, on batches that are the same for every side."""
    import torch
    from detectron2.data import build_detection_train_loader
    from detectron2.data.samplers import TrainingSampler
    from detectron2.utils.env import seed_all_rng
    from detectron2.utils.events import EventStorage

    from robust_det.core.device import autocast
    from robust_det.detection.finetuning.switches import precision

    cfg = cfg.clone()
    cfg.defrost()
    cfg.DATALOADER.NUM_WORKERS = 0
    seed_all_rng(0)
    model = trainer.build_model(cfg)
    draw_norms(model)
    optimizer = trainer.build_optimizer(cfg, model)
    batches = iter(build_detection_train_loader(cfg, sampler=TrainingSampler(64, seed=0)))
    losses = []
    with EventStorage(0):
        for number in range(LOSSES):
            seed_all_rng(number)
            batch = next(batches)
            with autocast(torch.device(cfg.MODEL.DEVICE), precision(cfg)):
                loss = sum(model(batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss))
    return losses


def one_side(args: argparse.Namespace) -> None:
    """Train in this process and print what an iteration took, and the first losses."""
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
    kind = RobustTrainer if args.side == "ours" else DefaultTrainer
    with contextlib.redirect_stdout(io.StringIO()):
        losses = first_losses(cfg, kind)
        seed_all_rng(0)
        trainer = kind(cfg)
        draw_norms(trainer.model)
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
    print(json.dumps({"seconds": statistics.median(steps), "memory": memory, "losses": losses}))


def measure(switches: dict[str, Any], side: str, folder: Path) -> dict[str, Any]:
    """Run one side in a fresh process."""
    command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--folder", str(folder)]
    for name, value in switches.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            command.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            command += [flag, value]
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
        "first loss differs by",
        f"first {LOSSES}",
    ]
    cells = []
    for row in rows:
        what, seconds = row["settings"], row["seconds"]
        switches = [what["precision"], *(name for name in SWITCHES if what.get(name) is True)]
        differ = row.get("loss_difference", "")  # not in the oldest records
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
                differ and f"{differ['first']:.0e}",
                differ and f"{differ['largest']:.0e}",
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
    parser.add_argument("--fold-norms", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--table-roi-align", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=False)
    parser.add_argument(
        "--ablation", action="store_true", help="a result for each acceleration added to the last"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parse_arguments(parser, table)
    if args is None:
        return
    if args.side:
        one_side(args)
        return

    from robust_det.core.device import resolve_device
    from robust_det.data.synthetic import write_coco
    from robust_det.records import environment

    asked = {name: getattr(args, name) for name in SWITCHES}
    rows = [asked]
    if args.ablation:
        added = [name for name in SWITCHES if asked[name] != STOCK[name]]
        rows = [STOCK | {n: asked[n] for n in added[:count]} for count in range(len(added) + 1)]
    runs: list[list[dict[str, Any]]] = [[] for _ in [STOCK, *rows]]
    sides = zip(runs, ["stock"] + ["ours"] * len(rows), [STOCK, *rows], strict=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_coco(folder / "scenes", train_images=64, val_images=2, size=args.size)
        for results, side, switches in in_turn(sides, args.rounds):
            results.append(measure(switches, side, folder))
    hidden = ("output", "table", "side", "folder", "ablation")
    print(f"{args.arch}, {args.size} px, batch {args.batch}, {args.rounds} rounds")
    for switches, results in zip(rows, runs[1:], strict=True):
        both = {"ours": results, "stock": runs[0]}
        seconds = {s: statistics.median(r["seconds"] for r in got) for s, got in both.items()}
        memory = {s: max(r["memory"] for r in got) for s, got in both.items()}
        losses = {s: got[0]["losses"] for s, got in both.items()}
        pairs = zip(losses["ours"], losses["stock"], strict=True)
        apart = [abs(a / b - 1) for a, b in pairs]
        settings = {k: v for k, v in vars(args).items() if k not in hidden} | switches
        result = {
            "benchmark": "train_step",
            "settings": settings,
            "seconds": seconds,
            "throughput_ratio": seconds["stock"] / seconds["ours"],
            "peak_memory": memory,
            "memory_ratio": memory["ours"] / memory["stock"],
            "losses": losses,
            # relative; after the first step, which proposals are sampled can differ as well
            "loss_difference": {"first": apart[0], "largest": max(apart)},
            "environment": environment(str(resolve_device(args.device))),
            "cores": len(os.sched_getaffinity(0)),
        }
        print(", ".join(f"{name} {value}" for name, value in switches.items()))
        for side, value in seconds.items():
            print(f"  {side:6s} {value:.3f} s an iteration, {memory[side] / 1e9:.2f} GB at most")
        print(f"  throughput of ours: {result['throughput_ratio']:.2f}x")
        print(f"  the first loss differs by {apart[0]:.1e}, the {LOSSES} by up to {max(apart):.1e}")
        if args.output:
            append_result(args.output, result)


if __name__ == "__main__":
    main()
