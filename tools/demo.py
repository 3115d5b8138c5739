"""The whole road on synthetic data: pretrain, convert, fine-tune, compare.

    python tools/demo.py

Runs the project's own commands one after the other, prints each, and reuses what is done.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from robust_det.core.cli import Parser, run_tool
from robust_det.core.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = Path("output/demo")
EPSILONS = ("0", "0.5")


def main(args: argparse.Namespace) -> None:
    """Do every step that is not done yet."""
    from robust_det.data.synthetic import write_classification, write_coco

    os.chdir(ROOT)
    start = time.perf_counter()
    say("synthetic data: shapes to pretrain on, scenes to fine-tune on")
    shapes, scenes = OUTPUT / "data/shapes", OUTPUT / "data/scenes"
    fresh = write_classification(shapes, train_per_class=200, val_per_class=40, size=48)
    fresh |= write_coco(scenes, train_images=160, val_images=60, size=160)
    if not fresh:
        print("  done before, reused")

    for eps in EPSILONS:
        name = f"demo_resnet10_l2_eps{eps}"
        source, target = OUTPUT / f"pretrain/{name}/final.pth", OUTPUT / f"backbones/{name}.pth"
        step(
            f"pretrain at eps {eps}", source, "pretrain.py", "--config", f"{name}.yaml", "--resume"
        )
        step("convert to Detectron2", target, "convert_backbone.py", str(source), str(target))
    runs = [str(OUTPUT / f"pretrain/demo_resnet10_l2_eps{eps}") for eps in EPSILONS]
    for eps in EPSILONS:
        name = f"demo_mask_eps{eps}"
        runs.append(str(OUTPUT / "detection" / name))
        done = OUTPUT / "detection" / name / "record.json"
        step(
            f"Mask R-CNN from eps {eps}",
            done,
            "train_net.py",
            "--config",
            f"{name}.yaml",
            "--resume",
        )
    title = "robust_det demo: synthetic shapes"
    say("compare AP")
    tool("compare_ap.py", *runs, "--output", str(OUTPUT / "report"), "--title", title)
    minutes = (time.perf_counter() - start) / 60
    say(f"finished in {minutes:.1f} minutes; open {OUTPUT / 'report/index.html'}")


def say(text: str) -> None:
    """Print a headline."""
    print(f"\n==> {text}", flush=True)


def step(title: str, product: Path, script: str, *arguments: str) -> None:
    """Run a tool unless its product is there."""
    say(title)
    if product.exists():
        print(f"  done before, reused: {product}")
        return
    tool(script, *arguments)


def tool(script: str, *arguments: str) -> None:
    """Run one of the project's tools as a user would."""
    command = ["python", f"tools/{script}", *arguments]
    print(f"$ {shlex.join(command)}", flush=True)
    places = {
        "DETECTRON2_DATASETS": str(OUTPUT / "data"),
        "ROBUST_DET_BACKBONES": str(OUTPUT / "backbones"),
    }
    done = subprocess.run([sys.executable, *command[1:]], env={**os.environ, **places})
    if done.returncode:
        raise UserError(
            f"{script} failed; mend what it says above and start again, nothing is lost"
        )


if __name__ == "__main__":
    sys.exit(run_tool(main, Parser(__doc__)))
