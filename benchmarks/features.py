"""Extraction of features: from image files to the matrix, against the network's bare pass.

*Extraction* is ``robust_det.transfer.features``: reading, decoding, resizing, stacking, the pass
with its batch norms folded and in torch's memory format ``channels_last``, the checks, and the
matrix. *Bare* is the same network as it is, over the same images as float tensors that are in
memory; *own pass* is what extraction runs, over the same. One process and one thread, in turn; what
is timed is the processor time of this process, which other processes stretch less than the clock.
The files are JPEGs made of the package's pictures.

    taskset -c 1 python benchmarks/features.py
    taskset -c 1 python benchmarks/features.py --arch resnet50 --size 224 --width 500 --height 375
    python benchmarks/features.py --small
    python benchmarks/features.py --table benchmarks/records/features.jsonl
"""

from __future__ import annotations

import argparse
import copy
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from loading import write_images
from results import append_result, markdown_table, parse_arguments, read_results
from torch import nn
from turns import in_turn

from robust_det.checkpoints.model import Model
from robust_det.core.memory import keep_freed_memory
from robust_det.data.classification.crops import eval_transform
from robust_det.data.classification.image_folder import ImageFolder
from robust_det.data.classification.image_list import collate
from robust_det.models import build_classifier
from robust_det.records import environment
from robust_det.transfer.features.extraction import extract
from robust_det.transfer.features.network import FeatureNetwork, feature_network

HIDDEN = ("output", "table")
SMALL = {"arch": "resnet10_narrow", "size": 32, "images": 16, "batch": 8, "rounds": 2}
CPU = torch.device("cpu")


def make_network(arch: str) -> FeatureNetwork:
    """Return a network as it is initialised, which takes as long as one that is trained."""
    return feature_network(Model(arch, build_classifier(arch, 10).body.state_dict(), "new"), arch)


def make_sides(
    network: FeatureNetwork, images: ImageFolder, batch: int, folded: nn.Module
) -> dict[str, Callable[[], torch.Tensor]]:
    """Return what is compared, by name; each returns the features (N, D)."""
    pixels = collate([images[0, i] for i in range(len(images))]).images.float().div_(255)
    plain = [each.clone() for each in pixels.split(batch)]
    own = [each.contiguous(memory_format=torch.channels_last) for each in plain]
    # extraction changes the memory format of the network that it is given
    bare = copy.deepcopy(network.module)

    @torch.inference_mode()
    def passes(module: nn.Module, portions: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.cat([module(each) for each in portions])

    return {
        "extraction": lambda: (
            extract(network, images, name="images", device=CPU, batch_size=batch).values
        ),
        "bare": lambda: passes(bare, plain),
        "own pass": lambda: passes(folded, own),
    }


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Time all sides in turn."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as all commands do
    network = make_network(args.arch)
    with tempfile.TemporaryDirectory() as root, network.running() as folded:
        length = write_images(None, Path(root) / "test" / "photos", args)
        transform = eval_transform(round(args.size * 256 / 224), args.size)
        images = ImageFolder(root, "test", transform)
        sides = make_sides(network, images, args.batch, folded)
        folded.to(memory_format=torch.channels_last)
        found = {name: side() for name, side in sides.items()}  # a warm-up too
        taken: dict[str, list[float]] = {name: [] for name in sides}
        for name in in_turn(sides, args.rounds):
            start = time.process_time()
            sides[name]()
            taken[name].append((time.process_time() - start) / args.images * 1e3)
    apart = (found["extraction"] - found["bare"]).norm() / found["bare"].norm()
    return {
        "benchmark": "features",
        "settings": {k: v for k, v in vars(args).items() if k not in HIDDEN},
        "bytes": length,
        "ms": {name: statistics.median(values) for name, values in taken.items()},
        "apart": float(apart),
        "environment": environment("cpu"),
    }


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    head = ["network", "pixels", "of files of", "kB", "images", "images/s, extraction", "bare"]
    head += ["own pass", "extraction to bare", "to own pass", "features apart by"]
    rows = []
    for row in read_results(path):
        ms, settings = row["ms"], row["settings"]
        rows.append(
            [
                settings["arch"],
                settings["size"],
                f"{settings['width']} x {settings['height']}",
                f"{row['bytes'] / 1000:.1f}",
                settings["images"],
                *(f"{1e3 / ms[side]:,.1f}" for side in ("extraction", "bare", "own pass")),
                f"{ms['bare'] / ms['extraction']:.2f}",
                f"{ms['own pass'] / ms['extraction']:.2f}",
                f"{row['apart']:.0e}",
            ]
        )
    return markdown_table(head, rows)


def main() -> None:
    logging.basicConfig(format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=64, help="of the crops, in pixels")
    parser.add_argument("--width", type=int, default=96, help="of the images, in pixels")
    parser.add_argument("--height", type=int, default=72)
    parser.add_argument("--kilobytes", type=int, default=65, help="of an image, at most")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="a second, to see that it runs")
    args = parse_arguments(parser, table)
    if args is None:
        return
    if args.small:
        vars(args).update(SMALL)
    result = measure(args)
    ms = result["ms"]
    for name, value in ms.items():
        print(f"  {name:10s} {value:8.3f} ms an image, {1e3 / value:8.1f} images/s")
    print(
        f"{args.arch} at {args.size} px: extraction at {ms['bare'] / ms['extraction']:.2f} of the"
        f" bare pass, {ms['own pass'] / ms['extraction']:.2f} of its own; features apart by"
        f" {result['apart']:.0e} of themselves"
    )
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
