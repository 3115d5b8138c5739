"""Turn any checkpoint into verified Detectron2 backbone weights, or back into a state dict.

robust-det convert INPUT OUTPUT [--to detectron2|torchvision|timm] [--norm N --eps E]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_det.core.cli import Parser

EXAMPLES = (
    "robust-det convert resnet50_l2_eps1.pt backbone.pth --norm l2 --eps 1",
    "robust-det convert output/pretrain/run/final.pth torchvision.pth --to torchvision",
)


def main(args: argparse.Namespace) -> None:
    """Convert and print the proof."""
    eps, source = _eps(args.eps), _source(args.input)
    _check(source, args)

    from robust_det.conversion.convert import convert
    from robust_det.conversion.proof import TOLERANCE

    done = convert(
        source,
        args.output,
        to=args.to,
        arch=args.arch,
        norm=args.norm,
        eps=eps,
        mean=args.mean,
        std=args.std,
        prefix=args.prefix,
        overwrite=args.overwrite,
    )
    card = done.card
    training = (
        "of unknown training" if card.eps is None else f"eps {card.eps:g} {card.norm}".strip()
    )
    head = f"{done.num_classes} classes" if done.num_classes else "no classification head"
    print(f"{card.arch}, {training}, {head}, source sha256 {card.source_sha256[:16]}")
    print(f"read as: {done.format}")
    if args.to == "detectron2":
        mean, std = (", ".join(f"{v:.6g}" for v in c) for c in (card.pixel_mean, card.pixel_std))
        print(f"PIXEL_MEAN [{mean}], PIXEL_STD [{std}], INPUT.FORMAT {card.input_format}")
    for note in done.notes:
        print(f"note: {note}")
    print(
        "largest difference, torchvision's network against Detectron2's, relative"
        f" (limit {TOLERANCE:.0e}):"
    )
    print("        random    real images")
    for stage in card.differences:
        values = (done.differences[kind][stage] for kind in ("random", "real"))
        print(f"  {stage}  " + "  ".join(f"{value:.2e}" for value in values))
    print(f"weights: {done.use.summary}")
    print(f"wrote {args.output}")
    if card.eps is None:
        print(
            "note: without --eps (0 for standard training), comparisons cannot place what is made"
            " of it"
        )


def _check(source: str | Path, args: argparse.Namespace) -> None:
    """Refuse what needs no tensors before torch is imported."""
    from robust_det.checkpoints.first_look import first_look
    from robust_det.conversion.outputs import check_other, check_target

    check_other(source, args.output)
    first_look(source)
    check_target(args.output, args.to, args.overwrite)


def _eps(text: str | None) -> float | None:
    from robust_det.core.config.reading import parse_number
    from robust_det.core.errors import UserError

    try:
        return None if text is None else parse_number(text)
    except ValueError:
        raise UserError(f"--eps needs a number such as 0.5 or 4/255, not '{text}'") from None


def _source(text: str) -> str | Path:
    """Return the file behind a name of the zoo, or what was given."""
    from robust_det.core.errors import UserError
    from robust_det.zoo.load import path_of
    from robust_det.zoo.locate import PREFIX

    if text.startswith(PREFIX):
        return path_of(text)
    if "://" in text:
        raise UserError(f"INPUT {text} is an address; download it, and give the file")
    return text


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "input", help="a checkpoint of any format, which is recognised, or robust://NAME"
    )
    parser.add_argument("output", help="the file to write: .pth, and .safetensors of state dicts")
    parser.add_argument("--to", default="detectron2", help="detectron2, torchvision or timm")
    parser.add_argument("--arch", help="architecture, if the tensors leave it open")
    parser.add_argument(
        "--prefix",
        help="which network, if the file holds several, as the message names it: its dictionary, a"
        " slash, and how its tensors' names begin, such as state_dict/module.",
    )
    parser.add_argument("--norm", help="l2 or linf: threat model of the training")
    parser.add_argument("--eps", help="its eps in [0, 1] pixel units; 0 is standard training")
    for name in ("--mean", "--std"):
        parser.add_argument(
            name,
            nargs=3,
            type=float,
            metavar=("R", "G", "B"),
            help="of the normalisation, in [0, 1]",
        )
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
