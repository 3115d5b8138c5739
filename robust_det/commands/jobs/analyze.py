"""Answer one of the paper's questions from run records, or from the figures that it reported.

robust-det analyze QUESTION --runs RUN [RUN ...] --output DIR
robust-det analyze QUESTION --reported --output DIR
robust-det analyze similarity --backbones PATTERN [PATTERN ...] --images FILE ... --output DIR
robust-det analyze texture --backbones PATTERN [PATTERN ...] --cue-conflict DIR --output DIR

Writes summary.md, CSV files and plots into DIR, and prints the summary: what holds, how sure that
is, from how many runs, and the commands that make the runs that are missing. The unit of intervals
is the pretraining run. The best eps is never chosen by the figures it is judged by. --backbones are
asked on images, and a JSON record says which.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

if TYPE_CHECKING:
    import torch

    from robust_det.zoo.backbone_files import BackboneFile

EXAMPLES = (
    "robust-det analyze fixed-feature --runs output/transfer --output output/answers/fixed-feature",
    "robust-det analyze full-network --reported --output output/answers/reported",
    "robust-det analyze similarity --backbones a.pth b.pth --images photos --output output/alike",
)
# as robust_det.analysis.questions has them, which is slow to import
NAMES = (
    "fixed-feature",
    "full-network",
    "eps",
    "width",
    "granularity",
    "texture",
    "accuracy-vs-transfer",
    "similarity",
)
_DRAW, _SEED, _BATCH, _GRID = 2000, 0, 64, 1
_LEAST = {"draw": 1, "size": 8, "seed": 0, "batch": 1, "grid": 1}
# by what is asked of networks, the options that have an effect on it
_ON_IMAGES = ("backbones", "size", "batch", "device")
_OF_SIMILARITY = (*_ON_IMAGES, "images", "draw", "seed", "grid", "layers")
_OF_CUE_CONFLICT = (*_ON_IMAGES, "cue_conflict")


def main(args: argparse.Namespace) -> None:
    """Answer, and say where the summary is."""
    summary, text = _of_networks(args) if _check(args) else _of_records(args)
    print(f"\n{text}\n\nsummary: {summary}")


def _of_records(args: argparse.Namespace) -> tuple[Path, str]:
    from robust_det.analysis.questions.analyze import analyze

    return analyze(args.question, args.runs, args.output)


def _check(args: argparse.Namespace) -> bool:
    """Refuse a wrong command line before anything slow is imported; return whether networks are
    asked."""
    asked = args.question == "similarity" or args.cue_conflict is not None
    known: tuple[str, ...] = _OF_SIMILARITY if args.question == "similarity" else ()
    if args.question == "texture" and asked:
        known = _OF_CUE_CONFLICT
    what = f"{args.question} --cue-conflict" if "cue_conflict" in known else args.question
    if known:
        for option in ("runs", "reported"):
            if getattr(args, option):
                raise UserError(f"--{option} has no effect on {what}, which asks --backbones")
    for option in dict.fromkeys((*_OF_SIMILARITY, *_OF_CUE_CONFLICT)):
        if getattr(args, option) not in (None, []) and option not in known:
            whose = "which asks --runs" if not known else "leave it out"
            more = ", or --cue-conflict DIR" if args.question == "texture" and not known else ""
            raise UserError(f"{_spelled(option)} has no effect on {what}, {whose}{more}")
    if not known:
        if bool(args.runs) == args.reported:
            problem = "contradict" if args.reported else "are both missing: nothing is to be asked"
            raise UserError(f"--runs and --reported {problem}", "give one of them")
        return False
    if not args.backbones:
        raise UserError(f"{what} asks networks: give --backbones, files or names")
    if "images" in known and not args.images:
        raise UserError(f"{what} looks at images: give --images, files or folders")
    for option, least in _LEAST.items():
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"{_spelled(option)} is {value}; it starts from {least}")
    return True


def _spelled(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _of_networks(args: argparse.Namespace) -> tuple[Path, str]:
    import robust_det.detection  # noqa: F401
    from robust_det.core.device import resolve_device
    from robust_det.core.seeding import check_seed
    from robust_det.visualization.networks import refuse_detectors
    from robust_det.zoo.backbone_files import find_backbones

    device = resolve_device(args.device or "auto")
    check_seed(_SEED if args.seed is None else args.seed)
    files, said = find_backbones(args.backbones)
    refuse_detectors(files, "give the backbones that detectors began from")
    if args.question == "texture":
        from robust_det.representations.cue_conflict_job import CueConflictJob, ask_cue_conflict

        batch = _BATCH if args.batch is None else args.batch
        conflict = CueConflictJob(files, args.cue_conflict, device, args.size, batch, said)
        return ask_cue_conflict(conflict, Path(args.output))
    return _similarity(args, files, said, device)


def _similarity(
    args: argparse.Namespace, files: list[BackboneFile], said: list[str], device: torch.device
) -> tuple[Path, str]:
    from robust_det.representations.similarity import SimilarityJob, ask_similarity
    from robust_det.visualization.images import drawn_images, find_images

    seed = _SEED if args.seed is None else args.seed
    draw = _DRAW if args.draw is None else args.draw
    images, notes = drawn_images(find_images(args.images), draw, seed)
    job = SimilarityJob(
        backbones=files,
        images=images,
        device=device,
        seed=seed,
        size=args.size,
        batch_size=_BATCH if args.batch is None else args.batch,
        grid=_GRID if args.grid is None else args.grid,
        layers=args.layers or (),
        said=(*said, *notes),
    )
    return ask_similarity(job, Path(args.output))


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "question", choices=NAMES, metavar="QUESTION", help=f"one of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--runs",
        nargs="+",
        default=[],
        metavar="RUN",
        help="a run's folder, a folder of such, or a record.json; of transfers, detectors, and the"
        " pretraining and evaluation of their backbones",
    )
    parser.add_argument(
        "--reported",
        action="store_true",
        help="ask the tables of the submission of June 2020, which come along",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder for the answer")
    parser.add_argument(
        "--backbones",
        nargs="+",
        metavar="PATTERN",
        help="of similarity and of texture with --cue-conflict: files, names of the zoo, and"
        " patterns of either in quotes, as 'resnet50_l2_eps*'",
    )
    parser.add_argument(
        "--images",
        nargs="+",
        metavar="FILE",
        help="of similarity: images, folders of them, and globs in quotes",
    )
    parser.add_argument(
        "--draw", type=int, metavar="N", help="how many of the images to draw: 2000"
    )
    parser.add_argument("--seed", type=int, help="of the draw: 0")
    parser.add_argument(
        "--layers",
        nargs="+",
        metavar="NAME",
        help="of similarity: stages to compare, as res4, or stem: all of them",
    )
    parser.add_argument(
        "--grid",
        type=int,
        metavar="N",
        help="of similarity: average positions in N x N cells, and not all of them: 1",
    )
    parser.add_argument(
        "--cue-conflict",
        metavar="DIR",
        help="of texture: folders of categories with images SHAPE<n>-TEXTURE<n>.png, as those of"
        " Geirhos et al. 2019",
    )
    parser.add_argument(
        "--size", type=int, help="side in pixels of what networks see: the largest of their own"
    )
    parser.add_argument("--batch", type=int, metavar="N", help="images a pass: 64")
    parser.add_argument("--device", help="auto, cpu, cuda or cuda:N: auto")
