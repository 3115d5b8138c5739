"""Turn a classifier checkpoint into verified Detectron2 backbone weights.

python tools/convert_backbone.py INPUT OUTPUT [--arch NAME]
"""

from __future__ import annotations

import argparse
import sys

from robust_det.cli import run_tool


def main(args: argparse.Namespace) -> None:
    """Convert and print the proof."""
    from robust_det.detection.conversion import TOLERANCE, convert
    from robust_det.errors import UserError

    if args.output.rpartition(".")[2] != "pth":
        raise UserError(f"OUTPUT must end in .pth, the suffix Detectron2 reads: {args.output}")
    card = convert(args.input, args.output, args.arch)
    training = "of unknown training" if card.eps is None else f"eps {card.eps:g} {card.norm}"
    print(f"{card.arch}, {training}, source sha256 {card.source_sha256[:16]}")
    print(f"largest difference from the source, relative (limit {TOLERANCE:.0e}):")
    for stage, value in card.differences.items():
        print(f"  {stage}  {value:.2e}")
    print(f"wrote {args.output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "input", help="checkpoint of tools/pretrain.py, or a torchvision state dict"
    )
    parser.add_argument("output", help="backbone file to write, ending in .pth")
    parser.add_argument("--arch", help="architecture of a torchvision state dict")
    sys.exit(run_tool(main, parser))
