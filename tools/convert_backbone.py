"""Turn a classifier checkpoint into verified Detectron2 backbone weights.

python tools/convert_backbone.py INPUT OUTPUT [--arch NAME] [--norm NORM --eps EPS]
"""

from __future__ import annotations

import argparse
import sys

from robust_det.cli import run_tool


def main(args: argparse.Namespace) -> None:
    """Convert and print the proof."""
    from robust_det.config import parse_number
    from robust_det.conversion.convert import TOLERANCE, convert
    from robust_det.errors import UserError

    if args.output.rpartition(".")[2] != "pth":
        raise UserError(f"OUTPUT must end in .pth, the suffix Detectron2 reads: {args.output}")
    try:
        eps = None if args.eps is None else parse_number(args.eps)
    except ValueError:
        raise UserError(f"--eps needs a number such as 0.5 or 4/255, not '{args.eps}'") from None
    card = convert(args.input, args.output, args.arch, args.norm, eps)
    training = (
        "of unknown training" if card.eps is None else f"eps {card.eps:g} {card.norm}".strip()
    )
    print(f"{card.arch}, {training}, source sha256 {card.source_sha256[:16]}")
    print(f"largest difference from the source, relative (limit {TOLERANCE:.0e}):")
    for stage, value in card.differences.items():
        print(f"  {stage}  {value:.2e}")
    print(f"wrote {args.output}")
    if card.eps is None:
        print(
            "give --eps (0 for standard training), or comparisons cannot place what is made of it"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "input", help="checkpoint of tools/pretrain.py, or a torchvision state dict"
    )
    parser.add_argument("output", help="backbone file to write, ending in .pth")
    parser.add_argument("--arch", help="architecture of a torchvision state dict")
    parser.add_argument("--norm", help="l2 or linf: threat model of a state dict's training")
    parser.add_argument("--eps", help="its eps in [0, 1] pixel units; 0 is standard training")
    sys.exit(run_tool(main, parser))
