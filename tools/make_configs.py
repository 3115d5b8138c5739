"""Write the configs of the paper's grid: ResNet-50 at every published eps, on COCO and VOC.

    python tools/make_configs.py

Each file names its weights; all else is in its base.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from robust_det.core.cli import Parser, run_tool

FOLDER = Path(__file__).resolve().parent.parent / "configs/detection/grid"
EPSILONS = ("0", "0.01", "0.03", "0.05", "0.1", "0.25", "0.5", "1", "3", "5")
BASES = {
    "coco": "coco_faster_rcnn_fpn_1x.yaml",
    "coco_mask": "coco_mask_rcnn_fpn_1x.yaml",
    "voc": "voc_faster_rcnn_fpn.yaml",
}


def grid() -> dict[str, str]:
    """Return the files of the grid: name and content."""
    files = {}
    for eps in EPSILONS:
        for data, base in BASES.items():
            name = f"robust_r50_eps{eps}_{data}"
            files[f"{name}.yaml"] = (
                f"_BASE_: ../{base}\nMODEL:\n  WEIGHTS: robust://resnet50_l2_eps{eps}\n"
            )
    return files


def main(args: argparse.Namespace) -> None:
    """Write the files, and remove others of the folder."""
    FOLDER.mkdir(exist_ok=True)
    files = grid()
    for old in FOLDER.glob("*.yaml"):
        if old.name not in files:
            old.unlink()
    for name, text in files.items():
        (FOLDER / name).write_text(text)
    print(f"wrote {len(files)} configs into {FOLDER}")


if __name__ == "__main__":
    sys.exit(run_tool(main, Parser(__doc__)))
