"""Logistic regression on frozen features: robust_det.probes against scikit-learn.

Both fit the same heads to the same features, one for each of several strengths of regularisation:
ours along the path, scikit-learn's ``LogisticRegression`` (L-BFGS) as it comes but for its
``tol`` and ``max_iter``, one strength after the other. The features are synthetic: averages of
rectified responses that are correlated, not negative and of unequal scales, of classes that
overlap. Of each fit the objective that was reached, evaluated in float64, and top-1 on images
apart are compared. What is timed is the processor time of this process, which other processes
stretch less than the clock. scikit-learn's side takes a quarter of an hour; ``--kept DIR`` keeps
its fits and their seconds there, one file each, and takes those that are there.

    taskset -c 1 python benchmarks/probes.py
    python benchmarks/probes.py --small
    python benchmarks/probes.py --table benchmarks/records/probes.jsonl
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from results import append_result, markdown_table, parse_arguments, read_results
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from robust_det.probes import LinearHead, fit
from robust_det.probes.logreg import TOLERANCE
from robust_det.records import environment

SMALL = {"images": 500, "width": 32, "classes": 5, "strengths": 3}
LATENT, DRAWS, OVERLAP = 128, 4, 2.7
FROM, TO = -6, 5  # powers of ten
_PLACES = ("output", "table")


def make_features(images: int, width: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features (N, D) float32 and labels (N,) of a fixed seed."""
    noise = torch.Generator().manual_seed(0)
    scales = torch.arange(1, LATENT + 1) ** -0.5
    centres = torch.randn(classes, LATENT, generator=noise) * scales
    mixing = torch.randn(LATENT, width, generator=noise) * 3 / LATENT**0.5
    shift = torch.randn(width, generator=noise) - 0.5
    units = 0.4 * (0.7 * torch.randn(width, generator=noise)).exp()
    labels = torch.randint(0, classes, (images,), generator=noise)
    blocks = []
    for of_block in labels.split(4096):
        own = torch.randn(len(of_block), LATENT, generator=noise) * scales
        response = (centres[of_block] + OVERLAP * own) @ mixing + shift
        places = torch.randn(DRAWS, *response.shape, generator=noise)
        blocks.append((response + places).relu().mean(0) * units)
    return torch.cat(blocks), labels


def objective(head: LinearHead, features: torch.Tensor, labels: torch.Tensor, c: float) -> float:
    """Return an image's share of the objective, in float64."""
    weight, bias = head.weight.double(), head.bias.double()
    blocks = zip(features.split(4096), labels.split(4096), strict=True)
    loss = sum(F.cross_entropy(f.double() @ weight.T + bias, y, reduction="sum") for f, y in blocks)
    return float(loss + weight.square().sum() / (2 * c)) / len(labels)


def by_scikit_learn(
    features: torch.Tensor, labels: torch.Tensor, strength: float, tolerance: float, most: int
) -> tuple[LinearHead, int]:
    """Return its head and iterations."""
    model = LogisticRegression(C=strength, tol=tolerance, max_iter=most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # shows in the objective
        model.fit(features.numpy(), labels.numpy())
    head = LinearHead(torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_))
    return head, int(model.n_iter_[0])


def timed(side: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    return side(), time.process_time() - start


def kept_or_timed(file: Path | None, side: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a side gives and its seconds; those of the file if it is there, else kept."""
    if not file:
        return timed(side)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(timed(side), file)
    return torch.load(file, weights_only=False)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Fit with both; of scikit-learn every ``--every``th strength, from the smallest."""
    images, width, classes = args.images, args.width, args.classes
    features, labels = make_features(images + args.validation, width, classes)
    train, held = (features[:images], labels[:images]), (features[images:], labels[images:])
    strengths = torch.logspace(FROM, TO, args.strengths, dtype=torch.float64).tolist()

    def described(head: LinearHead, strength: float) -> dict[str, float]:
        hits = (head.predict(held[0]) == held[1]).double().mean()
        return {"objective": objective(head, *train, strength), "top1": 100 * float(hits)}

    fits, seconds = timed(lambda: fit(*train, classes, strengths, args.tolerance))
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(fits):
        row: dict[str, Any] = {"C": one.strength}
        row["ours"] = {
            **described(one.head, one.strength),
            "passes": one.passes,
            "converged": one.converged,
        }
        print(f"C {one.strength:8.2e}  ours {_shown(row['ours'])}, {one.passes} passes", flush=True)
        if number % args.every == 0:
            (head, iterations), taken = kept_or_timed(
                args.kept and Path(args.kept, f"{one.strength:.6e}_{args.sk_tolerance:.0e}.pt"),
                lambda c=one.strength: by_scikit_learn(*train, c, args.sk_tolerance, args.sk_most),
            )
            row["theirs"] = {
                **described(head, one.strength),
                "iterations": iterations,
                "seconds": taken,
            }
            print(
                f"     scikit-learn {_shown(row['theirs'])}, {iterations} iterations,"
                f" {taken:.1f} s",
                flush=True,
            )
        rows.append(row)
    return {
        "benchmark": "probes",
        "settings": {
            **{name: value for name, value in vars(args).items() if name not in _PLACES},
            "kept": bool(args.kept),  # scikit-learn's side may be of an earlier run
        },
        "seconds": seconds,
        "fits": rows,
        "environment": environment("cpu"),
    }


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a result's row."""
    both = [row for row in result["fits"] if "theirs" in row]
    # what was left out is taken to need the mean of the others
    theirs = sum(row["theirs"]["seconds"] for row in both) / len(both) * len(result["fits"])
    apart = [row["ours"]["top1"] - row["theirs"]["top1"] for row in both]
    higher = [row["ours"]["objective"] / row["theirs"]["objective"] - 1 for row in both]
    return {
        "theirs": theirs,
        "measured": len(both),
        "ratio": theirs / result["seconds"],
        "best": max(row["ours"]["top1"] for row in result["fits"]),
        "their_best": max(row["theirs"]["top1"] for row in both),
        "apart": max(apart, key=abs),
        "higher": max(higher),
        "lower": -min(higher),
    }


def table(path: Path) -> str:
    """Return the records as a Markdown table."""
    rows = []
    for result in read_results(path):
        settings, found = result["settings"], summary(result)
        sizes = (settings[name] for name in ("images", "width", "classes", "strengths"))
        rows.append(
            (
                *(f"{size:,}" for size in sizes),
                f"{settings['sk_tolerance']:.0e}",
                f"{result['seconds']:.1f}",
                f"{found['theirs']:.0f} ({found['measured']} of {settings['strengths']})",
                f"{found['ratio']:.1f}x",
                f"{found['best']:.2f}",
                f"{found['their_best']:.2f}",
                f"{found['apart']:+.2f}",
                f"{found['higher']:.0e}",
                f"{found['lower']:.0e}",
            )
        )
    head = ("images", "features", "classes", "strengths", "its tol", "s, ours", "s, scikit-learn")
    head += ("ratio", "best top-1, ours", "its", "top-1 apart by")
    return markdown_table((*head, "objective higher by", "lower by"), rows)


def _shown(one: dict[str, float]) -> str:
    return f"objective {one['objective']:.6f}, top-1 {one['top1']:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--validation", type=int, default=10_000, help="images apart")
    parser.add_argument("--width", type=int, default=512, help="features an image")
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--strengths", type=int, default=15, help="values of C from 1e-6 to 1e5")
    parser.add_argument("--every", type=int, default=1, help="scikit-learn fits every so manieth")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="ours")
    parser.add_argument("--sk-tolerance", type=float, default=1e-4, help="scikit-learn's tol")
    parser.add_argument("--sk-most", type=int, default=10_000, help="its max_iter")
    parser.add_argument("--kept", default="", help="folder of scikit-learn's fits, from run to run")
    parser.add_argument("--small", action="store_true", help="a few seconds, to see that it runs")
    args = parse_arguments(parser, table)
    if args is None:
        return
    if args.small:
        vars(args).update(SMALL)
    result = measure(args)
    found = summary(result)
    print(
        f"{result['seconds']:.1f} s against {found['theirs']:.1f} s of scikit-learn"
        f" ({found['measured']} of {args.strengths} strengths measured): {found['ratio']:.1f}x;"
        f" top-1 apart by {found['apart']:+.2f} points at most, objective higher by"
        f" {found['higher']:.1e} and lower by {found['lower']:.1e} of itself at most"
    )
    if args.output:
        append_result(args.output, result)


if __name__ == "__main__":
    main()
