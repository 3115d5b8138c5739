"""Measure how robust a classifier is: the worst case of several attacks, image by image.

robust-det evaluate FILE_OR_NAME --data DIR --norm l2 --eps 0.5 [EPS ...] --output OUT
                    [--budget quick|standard|autoattack] [--images N] [--size N] [--resize N]
                    [--seed N] [--check-images N] [--resume]

The file may be any that convert reads. Beside each figure stand its interval over images and checks
of whether gradients are masked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det evaluate final.pth --data images --norm l2 --eps 0.5 --output output/final",
    "robust-det evaluate resnet50_linf_eps4 --data in --norm linf --eps 2/255 4/255 --output o",
    "robust-det evaluate a.pth --data in --norm l2 --eps 1 --budget autoattack --output out",
)
_BUDGETS = ("quick", "standard", "autoattack")


def main(args: argparse.Namespace) -> None:
    """Evaluate, and print figures and checks."""
    from robust_det.classification.robustness.eps_list import parse_eps

    eps = parse_eps(args.eps)
    if not Path(args.data).is_dir():  # before a long download
        raise UserError(f"no folder {args.data}; --data holds val/<class>/, or <class>/")

    from robust_det.checkpoints.model_file import NetworkFile
    from robust_det.classification.robustness.asked import Asked
    from robust_det.classification.robustness.run import evaluate_robustness
    from robust_det.classification.robustness.words import report
    from robust_det.records import RECORD_NAME
    from robust_det.zoo.load import path_of

    attacked = any(value > 0 for value in eps)
    asked = Asked(
        norm=args.norm or "",
        eps=eps,
        budget=args.budget or ("quick" if attacked else ""),
        images=args.images,
        size=args.size,
        resize=args.resize,
        seed=args.seed,
        checked=args.check_images,
        batch_size=args.batch_size,
        workers=args.workers,
        device=args.device,
    )
    asked.check()
    file = NetworkFile(path_of(args.weights), args.arch, args.prefix)
    record = evaluate_robustness(file, args.data, args.output, asked, args.resume)
    print(f"\n{report(record)}\n\nrecord: {Path(args.output, RECORD_NAME)}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("weights", metavar="FILE_OR_NAME", help="classifier, or robust://NAME")
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="folder with val/<class>/, with <class>/, or with what the file was validated on",
    )
    parser.add_argument("--norm", choices=("l2", "linf"), help="of the threat models")
    parser.add_argument(
        "--eps",
        required=True,
        nargs="+",
        help="rising radii in units of images in [0, 1], such as 0.5 or 4/255; 0 is no attack",
    )
    parser.add_argument(
        "--budget",
        choices=_BUDGETS,
        help="quick: PGD on cross-entropy and margin, 10 steps each; standard: APGD on"
        " cross-entropy, and on DLR towards 9 classes, 100 steps each; autoattack: standard, FAB"
        " and Square, which is AutoAttack; quick if not given",
    )
    parser.add_argument("--output", required=True, metavar="OUT", help="folder of the results")
    parser.add_argument(
        "--images", type=int, metavar="N", help="draw N images, of each class its share; or all"
    )
    parser.add_argument(
        "--size", type=int, metavar="N", help="crop in pixels; what the file says, or 224"
    )
    parser.add_argument(
        "--resize",
        type=int,
        metavar="N",
        help="short side that the crop is cut from; 8/7 of the crop if not given",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw and of all attacks")
    parser.add_argument(
        "--check-images",
        type=int,
        metavar="N",
        help="of the checks, which take some 600 passes each; 100 if not given, 0 makes none",
    )
    parser.add_argument("--batch-size", type=int, default=128, help="images at a time")
    parser.add_argument("--workers", type=int, default=8, help="processes that decode images")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--resume", action="store_true", help="go on with the evaluation in OUT")
    parser.add_argument("--arch", help="architecture, if the file's tensors leave it open")
    parser.add_argument("--prefix", help="which network of the file, if it holds several")
