"""Train a standard or robust classifier with PGD.

robust-det pretrain --config resnet50_l2_eps1.yaml [--resume] [--eval-only] [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from robust_det.core.cli import Parser

EXAMPLES = (
    "robust-det pretrain --config resnet50_l2_eps1.yaml DATA.ROOT datasets/imagenet",
    "robust-det pretrain --config resnet50_l2_eps1.yaml --resume",
    "robust-det pretrain --config resnet50_l2_eps1.yaml --eval-only --weights final.pth",
)


def main(args: argparse.Namespace) -> None:
    """Train, or with ``--eval-only`` validate."""
    from robust_det.core.config.reading import find_config

    find_config(args.config)  # before torch is imported

    from robust_det.classification.pretraining import FINAL, LAST, pretrain
    from robust_det.classification.settings import load_config
    from robust_det.classification.validate import evaluate_checkpoint

    cfg = load_config(args.config, args.overrides)
    if not args.eval_only:
        pretrain(cfg, Path(args.config).stem, resume=args.resume)
        return
    folder = Path(cfg.OUTPUT_DIR)
    weights = Path(args.weights) if args.weights else folder / FINAL
    if not args.weights and not weights.exists():
        weights = folder / LAST
    metrics = evaluate_checkpoint(cfg, weights)
    for name, value in metrics.items():
        logging.getLogger("robust_det").info(f"{name}: {value:.2f}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("--config", required=True, help="config file, or its name below configs/")
    parser.add_argument("--resume", action="store_true", help="continue OUTPUT_DIR/last.pth")
    parser.add_argument("--eval-only", action="store_true", help="validate a checkpoint")
    parser.add_argument(
        "--weights", help="checkpoint of --eval-only; OUTPUT_DIR/final.pth if unset"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
