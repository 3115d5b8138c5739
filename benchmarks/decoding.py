"""JPEG decoding and the whole mapper: ours against Detectron2's, on the same images in one thread.

The images are COCO's or any other folder's; they are read once before, so that they come from the
page cache. The sides take turns, and all pixels are compared.

    python benchmarks/decoding.py datasets/coco/train2017
    python benchmarks/decoding.py --table benchmarks/records/decoding.jsonl
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from results import append_result, markdown_table, parse_arguments, read_results
from turns import in_turn

HIDDEN = ("folder", "output", "table")


def make_sides() -> dict[str, Callable[[str], Any]]:
    """Return what reads or maps one image, by name: ``stock`` and ``ours`` of each."""
    import robust_det.detection  # noqa: F401  prepares Detectron2
    from detectron2.data import DatasetMapper, detection_utils  # isort: skip

    from robust_det.detection.config import detection_defaults
    from robust_det.detection.mapping.decoding import read_image
    from robust_det.detection.mapping.mapper import TrainingMapper

    cfg = detection_defaults()
    cfg.INPUT.FORMAT = "RGB"
    # one size: the random choice among several would be different work for both sides
    cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.RANDOM_FLIP = (800,), "none"
    ours, stock = TrainingMapper(cfg), DatasetMapper(cfg, is_train=True)
    return {
        "decode, stock": lambda path: detection_utils.read_image(path, "RGB"),
        "decode, ours": lambda path: read_image(path, "RGB"),
        "map, stock": lambda path: stock({"file_name": path})["image"].numpy(),
        "map, ours": lambda path: ours({"file_name": path})["image"].numpy(),
    }


def largest_difference(sides: dict[str, Callable[[str], Any]], paths: Sequence[str]) -> int:
    """Return by how much a pixel of ours differs from stock's, at most."""
    import numpy as np

    most = 0
    for path in paths:
        for what in ("decode", "map"):
            ours, stock = (sides[f"{what}, {side}"](path).astype(int) for side in ("ours", "stock"))
            most = max(most, int(np.abs(ours - stock).max()))
    return most


def measure(
    sides: dict[str, Callable[[str], Any]], paths: Sequence[str], rounds: int
) -> dict[str, float]:
    """Return the median milliseconds of processor time an image, by side."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for name, side in in_turn(sides.items(), rounds):
        start = time.process_time()
        for path in paths:
            side(path)
        taken[name].append((time.process_time() - start) / len(paths) * 1e3)
    return {name: statistics.median(values) for name, values in taken.items()}


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    head = ["images", "megapixels", "what", "ms, ours", "ms, stock", "ratio", "largest difference"]
    cells = []
    for row in read_results(path):
        for what in ("decode", "map"):
            ours, stock = (row["ms"][f"{what}, {side}"] for side in ("ours", "stock"))
            cells.append(
                [
                    f"{row['images']} of {row['settings']['name']}",
                    f"{row['megapixels']:.2f}",
                    {"decode": "reading", "map": "the mapper, 800 px"}[what],
                    f"{ours:.2f}",
                    f"{stock:.2f}",
                    f"{stock / ours:.2f}x",
                    row["largest_difference"],
                ]
            )
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="with JPEG files")
    parser.add_argument("--name", default="COCO", help="of the images, for the table")
    parser.add_argument("--images", type=int, default=100, help="at most")
    parser.add_argument("--rounds", type=int, default=9)
    args = parse_arguments(parser, table)
    if args is None:
        return
    paths = [str(path) for path in sorted(args.folder.glob("*.jpg"))[: args.images]]
    if not paths:
        raise SystemExit(f"no .jpg files in {args.folder}")

    import torch
    from PIL import Image

    from robust_det.records import environment

    torch.set_num_threads(1)
    sides = make_sides()
    pixels = [width * height for width, height in (Image.open(path).size for path in paths)]
    result: dict[str, Any] = {
        "benchmark": "decoding",
        "settings": {k: v for k, v in vars(args).items() if k not in HIDDEN},
        "images": len(paths),
        "megapixels": statistics.mean(pixels) / 1e6,
        "largest_difference": largest_difference(sides, paths),
        "ms": measure(sides, paths, args.rounds),
        "environment": environment("cpu"),
    }
    print(f"{len(paths)} images, largest difference {result['largest_difference']}")
    for name, value in result["ms"].items():
        print(f"  {name:14s} {value:6.2f} ms an image")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
