"""How long ``robust-det rank`` takes for a detection set, from its start to its end.

The images are synthetic scenes with boxes, the backbones are random: what is timed does not depend
on what they hold. The command runs in a process of its own, with an empty cache; its wall clock and
processor time are both kept, as other processes stretch the former.

    taskset -c 0,1 python benchmarks/rank.py
    python benchmarks/rank.py --small
    python benchmarks/rank.py --table benchmarks/records/rank.jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from results import append_result, markdown_table, parse_arguments, read_results

from robust_det.checkpoints.io import save_checkpoint
from robust_det.checkpoints.pretrained import FORMAT
from robust_det.core.installation import REPOSITORY
from robust_det.data.synthetic import write_coco
from robust_det.models import IMAGENET_MEAN, IMAGENET_STD, ModelCard, build_classifier
from robust_det.records import environment

SMALL = {"images": 6, "size": 64, "backbones": 2, "arch": "resnet10_narrow"}


def write_backbones(folder: Path, arch: str, count: int) -> None:
    """Write random networks, each of an eps of its own."""
    for number in range(count):
        torch.manual_seed(number)
        body = build_classifier(arch, 10, IMAGENET_MEAN, IMAGENET_STD).body
        card = ModelCard(arch, "l2", number / 2, IMAGENET_MEAN, IMAGENET_STD, 224, ())
        content = {"format": FORMAT, "meta": card.plain(), "model": body.state_dict()}
        save_checkpoint(folder / f"{number}.pth", content)


def processor_seconds() -> float:
    """Return the processor time of all processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run the command once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_coco(folder / "data", train_images=args.images, val_images=1, size=args.size)
        write_backbones(folder, args.arch, args.backbones)
        command = [sys.executable, "-m", "robust_det", "rank", "--data", str(folder / "data")]
        command += ["--backbones", str(folder / "*.pth"), "--output", str(folder / "out")]
        command += ["--size", str(args.size), "--device", "cpu"]
        variables = {**os.environ, "ROBUST_DET_CACHE": str(folder / "cache")}
        before, start = processor_seconds(), time.perf_counter()
        subprocess.run(command, env=variables, check=True, cwd=REPOSITORY)
        wall, used = time.perf_counter() - start, processor_seconds() - before
        record = json.loads((folder / "out/rank.json").read_bytes())
    return {
        "benchmark": "rank",
        "settings": {k: v for k, v in vars(args).items() if k not in ("output", "table", "small")},
        "cores": len(os.sched_getaffinity(0)),
        "boxes": record["data"]["boxes"],
        "wall_seconds": wall,
        "processor_seconds": used,
        "environment": environment("cpu"),
    }


def table(path: Path) -> str:
    """Return the records as a Markdown table."""
    rows = [
        (
            f"{one['settings']['backbones']} {one['settings']['arch']}",
            f"{one['settings']['images']:,} at {one['settings']['size']} px",
            f"{one['boxes']:,}",
            one["cores"],
            one["environment"]["threads"],
            f"{one['wall_seconds']:.0f}",
            f"{one['processor_seconds']:.0f}",
        )
        for one in read_results(path)
    ]
    head = ("backbones", "images", "boxes", "cores", "threads", "s", "processor s")
    return markdown_table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", type=int, default=256, help="of the images, in pixels")
    parser.add_argument("--backbones", type=int, default=10)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it runs")
    args = parse_arguments(parser, table)
    if args is None:
        return
    if args.small:
        vars(args).update(SMALL)
    result = measure(args)
    print(
        f"{result['wall_seconds']:.0f} s on {result['cores']} cores"
        f" ({result['processor_seconds']:.0f} s of processor time)"
    )
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
