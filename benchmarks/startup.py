"""Start-up of fine-tuning on annotations of COCO's size, against stock Detectron2.

Each run is a fresh process, timed from its start to where it would take the first batch: ours does
all that ``tools/train_net.py`` does until then, checks of the data among it; the stock side builds
Detectron2's DefaultTrainer. Both train the same Mask R-CNN with FPN, from no weights, on the same
``coco_2017_train``; the sides take turns. Annotations are made up, and all images are one file
under many names, as neither side opens one. Our very first start, which keeps the annotations in
canonical form as well, is timed on its own.

    python benchmarks/startup.py
    python benchmarks/startup.py --images 10000 --rounds 1
    python benchmarks/startup.py --table benchmarks/records/startup.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results import append_result, markdown_table, parse_arguments, read_results
from turns import in_turn

ROOT = Path(__file__).resolve().parent.parent
# of COCO 2017: training images, objects, validation images, and how far the category ids go
IMAGES, OBJECTS, VALIDATION, LAST_CATEGORY = 118_287, 860_001, 5_000, 90
_LINKS = 50_000  # that one file may have, on any file system
_TEXTS = 5_000  # different outlines, of which all objects have one


def write_coco_sized(root: Path, images: int) -> int:
    """Write ``coco_2017_train`` and ``_val`` in Detectron2's layout; return the objects of train.

    Args:
        root: what is to be ``$DETECTRON2_DATASETS``.
        images: for training; objects and validation images are in COCO's proportion.
    """
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    things = [c for c in COCO_CATEGORIES if c["isthing"]]
    categories = [{"id": c["id"], "name": c["name"]} for c in things]
    (root / "coco/annotations").mkdir(parents=True)
    validation = max(images * VALIDATION // IMAGES, 1)
    for part, count in (("train", images), ("val", validation)):
        _write_images(root / f"coco/{part}2017", count)
        objects = count * OBJECTS // IMAGES
        path = root / f"coco/annotations/instances_{part}2017.json"
        _write_annotations(path, count, objects, categories)
    return images * OBJECTS // IMAGES


def _write_images(folder: Path, count: int) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for number in range(count):
        path, first = folder / _file_name(number), folder / _file_name(number - number % _LINKS)
        if path == first:
            Image.new("RGB", (16, 16)).save(path)
        else:
            os.link(first, path)


def _file_name(number: int) -> str:
    return f"{3 * number + 1:012d}.jpg"


def _write_annotations(
    path: Path, images: int, objects: int, categories: list[dict[str, Any]]
) -> None:
    """Write objects with polygons of 8 to 35 corners, about one in a hundred a crowd."""
    rng = np.random.default_rng(images)
    texts = [_outline(rng) for _ in range(_TEXTS)]
    runs = json.dumps({"counts": [1000, 1400] * 128, "size": [480, 640]})
    ids = [c["id"] for c in categories]
    where = np.sort(rng.integers(0, max(images * 99 // 100, 1), objects)).tolist()
    outlines, labels = rng.integers(0, _TEXTS, objects), rng.integers(0, len(ids), objects)
    with open(path, "w") as file:
        file.write('{"info": {}, "licenses": [], "images": ')
        entries = [
            {
                "license": 3,
                "file_name": _file_name(n),
                "coco_url": f"http://images.cocodataset.org/{path.stem}/{_file_name(n)}",
                "height": 480,
                "width": 640,
                "date_captured": "2013-11-14 11:18:45",
                "flickr_url": f"http://farm1.staticflickr.com/1/{n}_z.jpg",
                "id": 3 * n + 1,
            }
            for n in range(images)
        ]
        json.dump(entries, file)
        file.write(', "annotations": [')
        for number in range(objects):
            text, box, area = texts[outlines[number]]
            crowd = number % 100 == 0
            file.write(
                f'{", " * (number > 0)}{{"segmentation": {runs if crowd else text},'
                f' "area": {area}, "iscrowd": {int(crowd)}, "image_id": {3 * where[number] + 1},'
                f' "bbox": {box}, "category_id": {ids[labels[number]]}, "id": {number + 1}}}'
            )
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _outline(rng: np.random.Generator) -> tuple[str, str, float]:
    """Return a polygon in 640 x 480 pixels, its box and its area, as COCO writes them."""
    radius, corners = np.exp(rng.uniform(2, 5)), int(rng.integers(8, 36))
    middle = rng.uniform(radius, [640 - radius, 480 - radius])
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    radii = radius * rng.uniform(0.6, 1, corners)
    points = middle + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    points = points.round(2)
    low, high = points.min(0), points.max(0)
    box = [round(float(v), 2) for v in (*low, *(high - low))]
    area = round(float(3.1 * (radii**2).mean()), 4)
    return json.dumps([points.ravel().tolist()]), json.dumps(box), area


def start_ours(folder: Path) -> None:
    """Do what ``tools/train_net.py`` does until the first batch."""
    import robust_det.detection  # noqa: F401
    from robust_det.detection.finetuning.trainer import RobustTrainer

    RobustTrainer.run_step = lambda self: report(self)
    config = folder / "startup.yaml"
    arguments = ["--config", str(config), "OUTPUT_DIR", str(folder / "ours")]
    sys.argv = ["train_net.py", *arguments]
    runpy.run_path(str(ROOT / "tools/train_net.py"), run_name="__main__")


def start_stock(folder: Path) -> None:
    """Build Detectron2's own trainer with the same settings."""
    import robust_det.detection  # noqa: F401  prepares Detectron2 0.5
    from detectron2.engine import DefaultTrainer  # isort: skip
    from detectron2.utils.logger import setup_logger  # isort: skip

    from robust_det.core.config.reading import load_raw, merge_config
    from robust_det.detection.config.defaults import detection_defaults

    DefaultTrainer.run_step = lambda self: report(self)
    cfg = detection_defaults()
    merge_config(cfg, load_raw(folder / "startup.yaml"))
    cfg.OUTPUT_DIR = str(folder / "stock")
    Path(cfg.OUTPUT_DIR).mkdir(exist_ok=True)
    setup_logger(cfg.OUTPUT_DIR)
    trainer = DefaultTrainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()


def report(trainer: Any) -> None:
    """Say when it was and what memory it took, and end the process."""
    images = trainer.data_loader.dataset
    while hasattr(images, "dataset"):  # a loader, with Detectron2's grouping by aspect ratio
        images = images.dataset
    print(
        json.dumps(
            {
                "now": time.monotonic(),
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                "parameters": sum(p.numel() for p in trainer.model.parameters()),
                "images": len(images),
            }
        ),
        file=sys.__stdout__,
        flush=True,
    )
    os._exit(0)


def measure(side: str, folder: Path) -> dict[str, float]:
    """Run one side in a fresh process."""
    command = [sys.executable, __file__, "--side", side, "--folder", str(folder)]
    environment = os.environ | {
        "DETECTRON2_DATASETS": str(folder / "data"),
        "ROBUST_DET_CACHE": str(folder / "cache"),
    }
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    found["seconds"] = found.pop("now") - start
    return found


def write_config(folder: Path) -> None:
    """Write the config of both sides."""
    base = ROOT / "configs/detection/base_rcnn_fpn.yaml"
    lines = [
        f"_BASE_: {base}",
        "MODEL: {MASK_ON: true, DEVICE: cpu, BACKBONE: {ARCH: resnet50},",
        "  ROI_HEADS: {NUM_CLASSES: 80}}",
        "DATASETS: {TRAIN: [coco_2017_train], TEST: [coco_2017_val]}",
        "DATALOADER: {NUM_WORKERS: 4}",
    ]
    (folder / "startup.yaml").write_text("\n".join(lines) + "\n")


def table(path: Path) -> str:
    """Return recorded results as a Markdown table."""
    head = [
        "images",
        "objects",
        "MB of JSON",
        "s, ours",
        "s, stock",
        "part",
        "GB, ours",
        "GB, stock",
    ]
    cells = []
    for row in read_results(path):
        seconds, memory = row["seconds"], row["peak_memory"]
        cells.append(
            [
                f"{row['settings']['images']:,}",
                f"{row['objects']:,}",
                f"{row['json_bytes'] / 1e6:.0f}",
                f"{seconds['ours']:.1f}",
                f"{seconds['stock']:.1f}",
                f"{seconds['ours'] / seconds['stock']:.2f}",
                f"{memory['ours'] / 1e9:.1f}",
                f"{memory['stock'] / 1e9:.1f}",
            ]
        )
    return markdown_table(head, cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=IMAGES, help="for training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("ours", "stock"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parse_arguments(parser, table)
    if args is None:
        return
    if args.side:
        with contextlib.redirect_stdout(io.StringIO()):
            (start_ours if args.side == "ours" else start_stock)(args.folder)
        return

    import robust_det.detection  # noqa: F401  prepares Detectron2
    from robust_det.records import environment

    runs: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        objects = write_coco_sized(folder / "data", args.images)
        write_config(folder)
        size = (folder / "data/coco/annotations/instances_train2017.json").stat().st_size
        first = measure("ours", folder)
        for side in in_turn(runs, args.rounds):
            runs[side].append(measure(side, folder))
            for left in ("ours", "stock"):
                subprocess.run(["rm", "-rf", str(folder / left)], check=True)
    seconds = {s: statistics.median(r["seconds"] for r in got) for s, got in runs.items()}
    memory = {s: max(r["memory"] for r in got) for s, got in runs.items()}
    for what in ("parameters", "images"):
        if runs["ours"][0][what] != runs["stock"][0][what]:
            raise SystemExit(f"the sides differ in {what}: {runs}")
    result = {
        "benchmark": "startup",
        "settings": {"images": args.images, "rounds": args.rounds},
        "objects": objects,
        "json_bytes": size,
        "seconds": seconds,
        "first_seconds": first["seconds"],
        "part_of_stock": seconds["ours"] / seconds["stock"],
        "peak_memory": memory,
        "environment": environment("cpu"),
        "cores": len(os.sched_getaffinity(0)),
    }
    print(f"{args.images} images, {objects} objects, {size / 1e6:.0f} MB, {args.rounds} rounds")
    for side, value in seconds.items():
        print(f"  {side:6s} {value:7.2f} s, peak memory {memory[side] / 1e9:.2f} GB")
    print(f"  our first start takes {first['seconds']:.2f} s")
    print(f"  ours takes {result['part_of_stock']:.2f} of stock's time")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
