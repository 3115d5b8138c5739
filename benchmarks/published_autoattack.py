"""robust-det evaluate --budget autoattack against AutoAttack's published implementation.

Both attack the same classifier on the same images at the same eps, with all of the standard
version. Random numbers differ, so that single images may fall by the one and not by the other;
what is compared is how many are left, and which ones differ. The published side needs its package:

    pip install git+https://github.com/fra31/auto-attack
    python benchmarks/published_autoattack.py final.pth --data images --eps 0.5 --images 200
    python benchmarks/published_autoattack.py --table benchmarks/records/published_autoattack.jsonl
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from results import append_result, markdown_table, parse_arguments, read_results

from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.batches import batches_at
from robust_det.classification.robustness.fates import STANDING, WRONG
from robust_det.classification.robustness.run import evaluate_robustness
from robust_det.classification.robustness.subject import Subject, open_subject
from robust_det.core.errors import UserError
from robust_det.records import environment

SEED = 0


def main() -> None:
    """Attack by both, and print how many images are left of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="the classifier")
    parser.add_argument("--data", help="its images, as for robust-det evaluate")
    parser.add_argument("--norm", choices=("l2", "linf"), default="l2")
    parser.add_argument("--eps", type=float, default=0.5)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=100)
    args = parse_arguments(parser, table)
    if args is None:
        return
    if not args.file or not args.data:
        parser.error("a classifier and --data are needed, or --table")
    asked = Asked(
        norm=args.norm,
        eps=(args.eps,),
        budget="autoattack",
        images=args.images,
        seed=SEED,
        checked=0,
        batch_size=args.batch_size,
        workers=0,
        device="cpu",
    )
    file = NetworkFile(Path(args.file))
    subject = open_subject(file, args.data, asked)
    ours, seconds = left_by_ours(file, args.data, asked)
    theirs, theirs_seconds = left_by_published(subject, asked)
    result = {
        "benchmark": "published_autoattack",
        "weights": subject.sha256,
        "settings": {"norm": args.norm, "eps": args.eps, "images": len(ours)},
        "clean": sum(one is not None for one in ours),
        "ours": {"standing": sum(map(bool, ours)), "seconds": seconds},
        "published": {"standing": sum(theirs), "seconds": theirs_seconds},
        "only_ours_felled": sum(b and not a for a, b in zip(ours, theirs, strict=True)),
        "only_published_felled": sum(bool(a) and not b for a, b in zip(ours, theirs, strict=True)),
        "environment": environment("cpu"),
    }
    if args.output:
        append_result(args.output, result)
    print(markdown_table(HEAD, [row(result)]))


def left_by_ours(file: NetworkFile, data: str, asked: Asked) -> tuple[list[bool | None], float]:
    """Return whether each image is left, None for one that is wrong as it is, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.process_time()
        evaluate_robustness(file, data, Path(folder) / "ours", asked)
        seconds = time.process_time() - begun
        with open(Path(folder) / "ours" / "images.csv", newline="") as lines:
            fates = [line[-1] for line in csv.reader(lines)][1:]
    return [None if fate == WRONG else fate == STANDING for fate in fates], seconds


def left_by_published(subject: Subject, asked: Asked) -> tuple[list[bool], float]:
    """Return whether each image is left, and the seconds that took."""
    try:
        from autoattack import AutoAttack
    except ImportError as error:
        raise UserError(
            "AutoAttack's published implementation is not installed",
            "pip install git+https://github.com/fra31/auto-attack",
        ) from error
    places = range(len(subject.data))
    parts = [part[:2] for part in batches_at(subject, asked, places, torch.device("cpu"))]
    x, y = (torch.cat(each) for each in zip(*parts, strict=True))
    begun = time.process_time()
    norm = {"l2": "L2", "linf": "Linf"}[asked.norm]
    attack = AutoAttack(
        subject.classifier, norm=norm, eps=asked.eps[0], seed=SEED, version="standard", device="cpu"
    )
    examples = attack.run_standard_evaluation(x, y, bs=asked.batch_size)
    seconds = time.process_time() - begun
    moved = (examples - x).flatten(1)
    size = moved.norm(dim=1) if asked.norm == "l2" else moved.abs().amax(1)
    if size.max() > asked.eps[0] * (1 + 1e-4):
        raise AssertionError(f"an example is {size.max():g} away, more than eps")
    with torch.no_grad():
        answers = torch.cat([subject.classifier(part) for part in examples.split(100)]).argmax(1)
    return (answers == y).tolist(), seconds


HEAD = (
    "weights",
    "norm",
    "eps",
    "images",
    "right as they are",
    "left, ours",
    "left, published",
    "felled by ours alone",
    "by the published alone",
    "s, ours",
    "s, published",
)


def row(result: dict[str, Any]) -> list[object]:
    """Return a line of the table."""
    settings, ours, theirs = result["settings"], result["ours"], result["published"]
    return [
        result["weights"][:8],
        settings["norm"],
        settings["eps"],
        settings["images"],
        result["clean"],
        ours["standing"],
        theirs["standing"],
        result["only_ours_felled"],
        result["only_published_felled"],
        f"{ours['seconds']:.0f}",
        f"{theirs['seconds']:.0f}",
    ]


def table(path: Path) -> str:
    """Return results as Markdown."""
    return markdown_table(HEAD, map(row, read_results(path)))


if __name__ == "__main__":
    main()
