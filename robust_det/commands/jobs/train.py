"""Fine-tune a detector from a standard or robust backbone.

robust-det train --data FOLDER_OR_FILE --backbone NAME [--plan-only] [KEY VALUE ...]
robust-det train --config robust_r50_eps1_coco.yaml [--num-gpus N] [--resume [--new-schedule]]
                 [--init-detector FILE] [--eval-only] [KEY VALUE ...]
torchrun --nproc-per-node N -m robust_det train --config ...
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from robust_det.core.cli import Parser, setup_logging

EXAMPLES = (
    "robust-det train --data cells/ --backbone resnet18_l2_eps1",
    "robust-det train --config robust_r50_eps1_coco.yaml --num-gpus 8",
    "robust-det train --config tiny_r18_eps0_bccd.yaml SOLVER.BASE_LR 0.01 OUTPUT_DIR slow",
    "robust-det train --config tiny_r18_eps0_bccd.yaml --init-detector before/model_final.pth",
    "robust-det train --config slow/config.yaml --eval-only",
)


def load(args: argparse.Namespace) -> tuple[Any, Any, Path | None]:
    """Return the config, the card of the backbone, and the detector that is to be evaluated."""
    from robust_det.core.errors import UserError
    from robust_det.detection.config import load_config, load_evaluation_config

    if args.init_detector:
        if "MODEL.INIT_DETECTOR" in args.overrides:
            raise UserError("--init-detector and MODEL.INIT_DETECTOR say the same; leave one out")
        args.overrides = [*args.overrides, "MODEL.INIT_DETECTOR", args.init_detector]
        args.init_detector = None
    if args.eval_only:
        return load_evaluation_config(args.config, args.overrides, args.backbone, args.detector)
    return *load_config(args.config, args.overrides, args.backbone, by_name=True), None


def work(args: argparse.Namespace) -> None:
    """Do the job in one process."""
    from robust_det.detection.config import run_name
    from robust_det.detection.finetuning.jobs import evaluate, finetune
    from robust_det.detection.finetuning.loop.stopping import Stopped, stop_request

    setup_logging()
    with stop_request:
        cfg, card, detector = load(args)
        name = run_name(cfg, args.config, args.backbone)
        try:
            if detector is None:
                finetune(cfg, card, name, args.resume, args.new_schedule)
            else:
                evaluate(cfg, card, name, detector)
        except Stopped:
            stop_request.leave()


def work_together(args: argparse.Namespace) -> None:
    """Do the job in one of several processes."""
    from robust_det.detection.finetuning.joining import joined_processes

    cfg, _, _ = load(args)
    with joined_processes(cfg.MODEL.DEVICE):
        work(args)


def _check_together(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other."""
    from robust_det.core.errors import UserError

    if bool(args.data) == bool(args.config):
        raise UserError(
            "--data chooses a config, and --config names one; give one of them"
            if args.data
            else "give --data FOLDER_OR_FILE, for which a config is chosen, or --config FILE"
        )
    if args.init_detector and (args.data or args.eval_only):
        raise UserError(
            "--eval-only evaluates a detector that is trained; leave --init-detector out, and give"
            " the one to evaluate as --detector"
            if args.eval_only
            else "--init-detector needs a config: make one by --plan-only, and give it as --config"
        )
    if args.plan_only and not args.data:
        raise UserError("--plan-only belongs to --data")
    if args.data and args.eval_only:
        raise UserError("--eval-only takes the config of a run: --config OUTPUT_DIR/config.yaml")
    if args.data and ("RANK" in os.environ or args.num_machines > 1):
        raise UserError(
            "--data chooses a config in one process; make it with --plan-only, and give it to"
            " these by --config"
        )


def main(args: argparse.Namespace) -> None:
    """Check everything here, then start the processes."""
    from robust_det.core.config.reading import find_config
    from robust_det.core.errors import UserError

    # before torch is imported
    _check_together(args)
    if args.config:
        find_config(args.config)

    import torch

    from robust_det.data.detection.handover import share_with_children
    from robust_det.training.spawning import spawn
    from robust_det.training.world import under_torchrun

    if args.detector and not args.eval_only:
        raise UserError("--detector belongs to --eval-only; --backbone says where to start from")
    if args.new_schedule and not args.resume:
        raise UserError("--new-schedule belongs to --resume, which goes on with a run; add that")
    if args.resume and args.eval_only:
        raise UserError("--resume goes on with training; leave it out of --eval-only")
    if under_torchrun():
        alone = args.machine_rank or args.dist_url != "auto"
        if args.num_gpus or args.num_machines > 1 or alone:
            raise UserError(
                "torchrun starts the processes; leave --num-gpus, --num-machines, --machine-rank"
                " and --dist-url out"
            )
        work_together(args)
        return
    if args.num_gpus < 0 or args.num_machines < 1:
        raise UserError("--num-gpus starts from 0 and --num-machines from 1")
    gpus = torch.cuda.device_count()
    if args.num_gpus > gpus:
        raise UserError(f"--num-gpus {args.num_gpus} was asked for, but there are {gpus} GPUs")
    if args.num_machines == 1 and (args.machine_rank or args.dist_url != "auto"):
        raise UserError("--machine-rank and --dist-url are of several machines: add --num-machines")
    if not 0 <= args.machine_rank < args.num_machines:
        raise UserError(
            f"--machine-rank is {args.machine_rank}; it is from 0 to {args.num_machines - 1}, and"
            " another one on each machine"
        )
    processes = max(args.num_gpus, 1) * args.num_machines
    if args.num_machines > 1 and (args.num_gpus < 1 or args.dist_url == "auto"):
        raise UserError("several machines need --num-gpus and --dist-url, such as tcp://HOST:PORT")
    if processes > 1:
        share_with_children()
    if args.data:
        import robust_det.detection  # noqa: F401
        from robust_det.detection.planning.planning import make_plan

        plan = make_plan(
            args.data, args.backbone, args.overrides, gpus=args.num_gpus, resume=args.resume
        )
        if args.plan_only:
            return
        args.config, args.backbone = str(plan), None  # the plan names the backbone
    # so that a mistake is said once, by this process, before any other is started
    cfg, _, _ = load(args)
    if processes > 1 and cfg.MODEL.DEVICE != "cuda":
        raise UserError(
            f"--num-gpus needs MODEL.DEVICE cuda, not {cfg.MODEL.DEVICE}; torchrun starts processes"
            " on CPUs"
        )
    if args.num_gpus and cfg.MODEL.DEVICE == "cpu":
        raise UserError("--num-gpus contradicts MODEL.DEVICE cpu; leave one of them out")
    if processes == 1:
        work(args)
        return
    spawn(
        work_together,
        (args,),
        args.num_gpus,
        machines=args.num_machines,
        machine=args.machine_rank,
        address=args.dist_url,
    )


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "--data",
        metavar="PLACE",
        help="COCO JSON, CSV, data.yaml or a folder: a config is chosen, and kept as plan.yaml",
    )
    parser.add_argument("--plan-only", action="store_true", help="of --data: choose, and leave")
    parser.add_argument("--config", help="config file, or its name below configs/")
    parser.add_argument("--backbone", help="zoo name or file, in place of the config's weights")
    parser.add_argument(
        "--num-gpus",
        type=int,
        default=0,
        help="GPUs of this machine; with 0, one process, on a GPU if there is one",
    )
    parser.add_argument("--num-machines", type=int, default=1, help="that share the run")
    parser.add_argument("--machine-rank", type=int, default=0, help="of this machine, from 0")
    parser.add_argument("--dist-url", default="auto", help="where the machines meet")
    parser.add_argument("--resume", action="store_true", help="continue the run in OUTPUT_DIR")
    parser.add_argument(
        "--new-schedule",
        action="store_true",
        help="of --resume: go on by another SOLVER.MAX_ITER, STEPS, ..., also a finished run",
    )
    parser.add_argument(
        "--eval-only",
        action="store_true",
        help="evaluate a trained detector; record in OUTPUT_DIR/eval, then eval-2, ...",
    )
    parser.add_argument(
        "--detector",
        "--weights",
        metavar="FILE",
        help="of --eval-only; OUTPUT_DIR/model_final.pth if unset",
    )
    parser.add_argument(
        "--init-detector",
        metavar="FILE",
        help="trained detector to start from; what it does not know of the classes is drawn anew",
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
