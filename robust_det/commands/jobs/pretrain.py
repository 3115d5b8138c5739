"""Train a standard or robust classifier with PGD.

robust-det pretrain --config resnet50_l2_eps1.yaml [--weights FILE_OR_NAME] [KEY VALUE ...]
                    [--resume [--new-schedule] [--new-world-size]] [--eval-only]
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det pretrain --config resnet50_l2_eps1.yaml DATA.ROOT datasets/imagenet",
    "robust-det pretrain --config resnet50_l2_eps1.yaml --resume",
    "robust-det pretrain --config resnet50_l2_eps1.yaml --eval-only --weights final.pth",
)


def main(args: argparse.Namespace) -> None:
    """Train, or with ``--eval-only`` validate."""
    from robust_det.core.config.reading import find_config

    find_config(args.config)  # before torch is imported

    from robust_det.classification.checkpoint_evaluation import evaluate_checkpoint
    from robust_det.classification.pretraining import FINAL, LAST, pretrain
    from robust_det.classification.settings import explain
    from robust_det.training.run_folder import AS_BEFORE, MayChange

    may_change = MayChange(args.new_schedule, args.new_world_size)
    if may_change != AS_BEFORE and not args.resume:
        raise UserError("--new-schedule and --new-world-size belong to --resume; add that")
    cfg, origins = explain(args.config, args.overrides)
    cfg.freeze()
    given = None
    if args.weights:
        from robust_det.zoo.load import path_of

        given = path_of(args.weights)
    if not args.eval_only:
        pretrain(cfg, Path(args.config).stem, args.resume, given, may_change)
        return
    folder = Path(cfg.OUTPUT_DIR)
    weights = given or folder / FINAL
    if not args.weights and not weights.exists():
        weights = folder / LAST
    if args.resume:
        raise UserError("--resume continues training and --eval-only trains nothing; give one")
    name = f"{Path(args.config).stem}, {weights.name}"
    metrics = evaluate_checkpoint(cfg, weights, origins, name)
    for metric, value in metrics.items():
        shown = f"{value:.2f}" if "top" in metric else f"{value:.0f}"
        logging.getLogger("robust_det").info(f"{metric}: {shown}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("--config", required=True, help="config file, or its name below configs/")
    parser.add_argument("--resume", action="store_true", help="continue OUTPUT_DIR/last.pth")
    parser.add_argument(
        "--new-schedule",
        action="store_true",
        help="of --resume: go on by another TRAIN.EPOCHS, OPTIM.LR, ..., also a finished run",
    )
    parser.add_argument(
        "--new-world-size",
        action="store_true",
        help="of --resume: go on with another number of processes",
    )
    parser.add_argument("--eval-only", action="store_true", help="validate a checkpoint")
    parser.add_argument(
        "--weights",
        help="a file, or robust://NAME, to start training from in place of random weights; with"
        " --eval-only the one to validate, by default OUTPUT_DIR/final.pth",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
