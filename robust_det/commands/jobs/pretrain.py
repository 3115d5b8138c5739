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

    from robust_det.checkpoints.model_file import NetworkFile
    from robust_det.classification.checkpoint_evaluation import evaluate_checkpoint
    from robust_det.classification.pretraining import FINAL, LAST, pretrain
    from robust_det.classification.settings import explain, idle_remarks
    from robust_det.training.run_folder import AS_BEFORE, MayChange

    may_change = MayChange(args.new_schedule, args.new_world_size)
    _check(args, may_change != AS_BEFORE)
    start = [] if args.eval_only else _start(args)
    cfg, origins = explain(args.config, [*args.overrides, *start], args.eval_only)
    cfg.freeze()
    given, named = None, args.weights if args.eval_only else cfg.MODEL.INIT
    if named:
        from robust_det.zoo.load import path_of

        given = NetworkFile(path_of(named), args.arch, args.prefix)
    elif args.arch or args.prefix:
        raise UserError("--arch and --prefix are of the file of --weights; give that, too")
    logger = logging.getLogger("robust_det")
    if not args.eval_only:
        for remark in idle_remarks(cfg, origins):
            logger.info(remark)
        pretrain(cfg, Path(args.config).stem, args.resume, given, may_change)
        return
    folder = Path(cfg.OUTPUT_DIR)
    own = folder / FINAL
    chosen = given or NetworkFile(own if own.exists() else folder / LAST)
    name = f"{Path(args.config).stem}, {chosen.path.name}"
    metrics = evaluate_checkpoint(cfg, chosen, origins, name)
    for metric, value in metrics.items():
        share = "top" in metric or "per_class" in metric
        shown = f"{value:.2f}" if share else f"{value:.0f}"
        logger.info(f"{metric}: {shown}")


def _check(args: argparse.Namespace, changes: bool) -> None:
    """Refuse options that would have no effect beside others, or without."""
    if args.eval_only and (args.resume or changes):
        raise UserError(
            "--resume, --new-schedule and --new-world-size are of training, and --eval-only trains"
            " nothing; give one"
        )
    if changes and not args.resume:
        raise UserError("--new-schedule and --new-world-size belong to --resume; add that")


def _start(args: argparse.Namespace) -> list[str]:
    """Return the pair that --weights stands for; one that says otherwise is refused."""
    key, value = "MODEL.INIT", args.weights
    if not value:
        return []
    given = dict(zip(args.overrides[::2], args.overrides[1::2], strict=False))
    if given.get(key, value) != value:
        raise UserError(f"--weights {value} and {key} {given[key]} contradict; give one")
    return [key, value]


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
        help="a file, or robust://NAME, to start training from in place of random weights, as"
        " MODEL.INIT is; with --eval-only the one to validate, by default OUTPUT_DIR/final.pth",
    )
    parser.add_argument("--arch", help="architecture of --weights, if the tensors leave it open")
    parser.add_argument(
        "--prefix", help="which network of --weights, if it holds several, as the message names it"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
