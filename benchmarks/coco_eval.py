"""COCO evaluation with faster-coco-eval against pycocotools, and the bootstrap of its AP.

Both evaluators load the same detections, match, accumulate and summarise, in turn within one
process; the ratio of their medians and the largest difference of their figures are printed. The
bootstrap is timed from the detections on: matching once, then all resamples. ``--coverage`` counts
how often 95% intervals from a small sample hold the AP of all images.

    python benchmarks/coco_eval.py
    python benchmarks/coco_eval.py --coverage --images 8000 --classes 20
    python benchmarks/coco_eval.py --table benchmarks/records/coco_eval.jsonl
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faster_coco_eval
import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from results import append_result, markdown_table, parse_arguments, read_results
from turns import in_turn

from robust_det.analysis.significance.accumulate import average_precisions, metrics
from robust_det.analysis.significance.bootstrap import (
    Bootstrap,
    bootstrap,
    difference_interval,
    figure_interval,
    resample_weights,
)
from robust_det.analysis.significance.matching import ClassMatches, Matches, match
from robust_det.data.synthetic.flawed_detections import make_detections, make_truth
from robust_det.records import environment

_NOT_SETTINGS = ("output", "table")
Document = dict[str, Any]
Detections = list[dict[str, Any]]


def make_sides(document: Document, detections: Detections) -> dict[str, Callable[[], Any]]:
    """Return the two contestants, each a function from loading the detections to the figures."""
    # each side its own copy, as loading adds to it
    copies = [json.loads(json.dumps(document)) for _ in range(2)]
    theirs, ours = COCO(), faster_coco_eval.COCO(copies[1])
    theirs.dataset = copies[0]
    theirs.createIndex()

    def side(truth: Any, kind: Callable[..., Any]) -> Callable[[], Any]:
        def evaluate() -> Any:
            evaluation = kind(truth, truth.loadRes([dict(d) for d in detections]), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            return evaluation

        return evaluate

    return {
        "pycocotools": side(theirs, COCOeval),
        "faster-coco-eval": side(ours, faster_coco_eval.COCOeval_faster),
    }


def compared(document: Document, detections: Detections, rounds: int) -> dict[str, Any]:
    """Return median seconds of both sides and the largest difference of their figures."""
    sides = make_sides(document, detections)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results: dict[str, Any] = {}
    for name, side in in_turn(sides.items(), rounds):
        # no side pays for collecting what the other has left
        results.pop(name, None)
        gc.collect()
        start = time.perf_counter()
        results[name] = side()
        seconds[name].append(time.perf_counter() - start)
    theirs, ours = results["pycocotools"], results["faster-coco-eval"]
    pairs = [(theirs.stats, ours.stats[:12]), (theirs.eval["precision"], ours.eval["precision"])]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "seconds": median,
        "speedup": median["pycocotools"] / median["faster-coco-eval"],
        "largest_difference": max(float(np.abs(a - b).max()) for a, b in pairs),
    }


def resampled(document: Document, detections: Detections, resamples: int) -> dict[str, Any]:
    """Return the seconds of matching and of all resamples."""
    start = time.perf_counter()
    matches = match(document, detections, "bbox")
    matched = time.perf_counter()
    run = bootstrap(matches, resamples, seed=0)
    end = time.perf_counter()
    ap = figure_interval(run, "AP")
    return {
        "match": matched - start,
        "accumulate": end - matched,
        "total": end - start,
        "AP": [ap.value, ap.low, ap.high],
    }


def coverage(document: Document, one: Detections, other: Detections) -> dict[str, Any]:
    """Return how many of 100 intervals, each of 400 images, hold the figure of all images.

    A sample of a large set stands for a test set, the large set for what it is drawn from.
    """
    trials, size, resamples = 100, 400, 200
    everything = [match(document, d, "bbox") for d in (one, other)]
    images = len(everything[0].images)
    plain = np.ones((1, images), np.int32)
    true = [float(metrics(m, average_precisions(m, plain))["AP"][0]) for m in everything]
    rng = np.random.default_rng(0)
    held = {"percentile": 0, "reflected": 0, "difference": 0}
    for trial in range(trials):
        chosen = np.sort(rng.choice(images, size, replace=False))
        weights = np.concatenate(
            [np.ones((1, size), np.int32), resample_weights(size, resamples, seed=trial)]
        )
        runs = []
        for matches in everything:
            part = part_of(matches, chosen)
            ap = metrics(part, average_precisions(part, weights))["AP"]
            runs.append(Bootstrap({"AP": float(ap[0])}, {"AP": ap[1:]}))
        low, high = np.percentile(runs[0].resampled["AP"], (2.5, 97.5))
        held["percentile"] += bool(low <= true[0] <= high)
        figure = figure_interval(runs[0], "AP")
        held["reflected"] += figure.low <= true[0] <= figure.high
        paired = difference_interval(*runs, "AP")
        held["difference"] += paired.low <= true[0] - true[1] <= paired.high
    return {"held": held, "trials": trials, "sample": size, "AP": true}


def part_of(matches: Matches, chosen: np.ndarray) -> Matches:
    """Return the matches of some of the images."""
    place = np.full(len(matches.images), -1, np.int32)
    place[chosen] = np.arange(len(chosen))
    classes = []
    for c in matches.classes:
        kept = place[c.image] >= 0
        objects = tuple(place[o][place[o] >= 0] for o in c.objects)
        image = place[c.image][kept]
        classes.append(ClassMatches(c.name, image, c.hit[..., kept], c.ignored[..., kept], objects))
    return Matches(tuple(matches.images[i] for i in chosen), tuple(classes))


def table(path: Path) -> str:
    """Return recorded results as Markdown tables, the speeds first."""
    rows = read_results(path)
    head = ["images", "detections", "s, pycocotools", "s, faster-coco-eval", "faster"]
    head += ["largest difference", "s, matching", "s, resamples"]
    speeds = []
    for row in (r for r in rows if "speedup" in r):
        seconds, boot = row["seconds"], row["bootstrap"]
        speeds.append(
            [
                f"{row['settings']['images']:,}",
                f"{row['detections']:,}",
                f"{seconds['pycocotools']:.1f}",
                f"{seconds['faster-coco-eval']:.1f}",
                f"{row['speedup']:.1f}x",
                f"{row['largest_difference']:.0e}",
                f"{boot['match']:.1f}",
                f"{boot['accumulate']:.1f} for {row['settings']['resamples']:,}",
            ]
        )
    tables = [markdown_table(head, speeds)]
    if checked := [r for r in rows if "held" in r]:
        head = ["images a sample", "AP, percentile", "AP, reflected", "ΔAP, paired percentile"]
        kinds = ("percentile", "reflected", "difference")
        held = [[f"{row['held'][k]} of {row['trials']}" for k in kinds] for row in checked]
        samples = [row["sample"] for row in checked]
        tables.append(
            markdown_table(head, [[s, *cells] for s, cells in zip(samples, held, strict=True)])
        )
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--per-image", type=float, default=19.5, help="detections, about")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--coverage", action="store_true", help="count intervals, time nothing")
    args = parse_arguments(parser, table)
    if args is None:
        return

    document = make_truth(args.images, args.classes, objects=7.3)
    detections = make_detections(document, args.per_image)
    result: dict[str, Any] = {
        "benchmark": "coco_eval",
        "settings": {k: v for k, v in vars(args).items() if k not in _NOT_SETTINGS},
        "detections": len(detections),
        "environment": environment("cpu"),
    }
    print(f"{args.images} images, {len(detections)} detections of {args.classes} classes")
    if args.coverage:
        other = make_detections(document, args.per_image, quality=0.77, seed=5)
        result.update(coverage(document, detections, other))
        for name, held in result["held"].items():
            print(f"  {name:10s} {held} of {result['trials']} intervals hold the figure")
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            result.update(compared(document, detections, args.rounds))
        for name, value in result["seconds"].items():
            print(f"  {name:17s} {value:8.2f} s")
        print(f"  {result['speedup']:.1f} times as fast", end=", ")
        print(f"largest difference {result['largest_difference']:.1e}")
        result["bootstrap"] = boot = resampled(document, detections, args.resamples)
        print(f"  {args.resamples} resamples in {boot['total']:.1f} s,", end=" ")
        print(f"{boot['match']:.1f} s of which is matching")
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
