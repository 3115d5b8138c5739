"""The whole road on synthetic data: pretrain, convert, fine-tune, compare.

robust-det demo

It takes about two minutes on two idle cores. Runs the project's own commands one after the other,
prints each, and reuses what is done. All of it goes into output/demo. They share this process, as
each would take seconds for its imports.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError
from robust_det.core.locks import sole_writer

OUTPUT = Path("output/demo")
EPSILONS = ("0", "0.5")


EXAMPLES = (
    "robust-det demo",
    "nice robust-det demo",
)


def main(args: argparse.Namespace) -> None:
    """Do every step that is not done yet."""
    with sole_writer(OUTPUT):
        _demo()


def _demo() -> None:
    from robust_det.data.synthetic import write_classification, write_coco

    cores = len(os.sched_getaffinity(0))
    print(
        f"about two minutes on two idle cores ({cores} can be used here); stop it at any time, the"
        " next start goes on",
        flush=True,
    )
    start = time.perf_counter()
    # before Detectron2 is imported, which looks at the first once
    os.environ["DETECTRON2_DATASETS"] = str(OUTPUT / "data")
    os.environ["ROBUST_DET_BACKBONES"] = str(OUTPUT / "backbones")
    _say("synthetic data: shapes to pretrain on, scenes to fine-tune on")
    shapes, scenes = OUTPUT / "data/shapes", OUTPUT / "data/scenes"
    fresh = write_classification(shapes, train_per_class=200, val_per_class=40, size=48)
    fresh |= write_coco(scenes, train_images=160, val_images=60, size=160)
    if not fresh:
        print("  done before, reused")

    runs = []
    for eps in EPSILONS:
        name = f"demo_resnet10_l2_eps{eps}"
        runs.append(str(OUTPUT / "pretrain" / name))
        source, target = OUTPUT / f"pretrain/{name}/final.pth", OUTPUT / f"backbones/{name}.pth"
        _step(f"pretrain at eps {eps}", source, "pretrain", "--config", f"{name}.yaml", "--resume")
        _step("convert to Detectron2", target, "convert", str(source), str(target))
    for eps in EPSILONS:
        name = f"demo_mask_eps{eps}"
        runs.append(str(OUTPUT / "detection" / name))
        done = OUTPUT / "detection" / name / "record.json"
        title = f"Mask R-CNN from eps {eps}"
        _step(title, done, "train", "--config", f"{name}.yaml", "--resume")
    _say("compare AP")
    title = "robust_det demo: synthetic shapes"
    _command(
        "compare", *runs, "--output", str(OUTPUT / "report"), "--title", title, "--significance"
    )
    minutes = (time.perf_counter() - start) / 60
    _say(f"finished in {minutes:.1f} minutes; open {OUTPUT / 'report/index.html'}")


def _say(text: str) -> None:
    print(f"\n==> {text}", flush=True)


def _step(title: str, product: Path, command: str, *arguments: str) -> None:
    """Run a command unless its product is there."""
    _say(title)
    if product.exists():
        print(f"  done before, reused: {product}")
        return
    _command(command, *arguments)
    if not product.exists():
        raise UserError(f"{command} was stopped; start again, and it goes on")


def _command(*arguments: str) -> None:
    """Run one of the project's commands as a user would."""
    from robust_det.commands.main import main as front_door

    print(f"$ robust-det {shlex.join(arguments)}", flush=True)
    sys.argv = ["robust-det", *arguments]  # records keep it
    code = front_door()
    if code > 128:  # a signal, of which the command has spoken
        sys.exit(code)
    if code:
        raise UserError(
            f"{arguments[0]} failed; mend what it says above and start again, nothing is lost"
        )


def add_arguments(parser: Parser) -> None:
    """It takes none: what the demo does is fixed."""
