"""Show what networks look at: standard and robust ones side by side, in one figure.

robust-det visualize WHAT --backbones PATTERN [PATTERN ...] --output DIR [--images FILE ...]
robust-det visualize explain --detectors RUN [RUN ...] --images FILE [FILE ...] --output DIR

WHAT is one of:

inversion   images that a network represents as it does the given ones
gradients   gradients of the loss with respect to the image
classes     what raises the logit of a class, from noise or from an image
features    principal components of stages and pyramid levels
filters     filters of the first convolution
explain     gradients and Grad-CAM of each box that a detector finds
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from robust_det.visualization.job import Job
    from robust_det.visualization.kinds import Kind

EXAMPLES = (
    "robust-det visualize inversion --backbones eps0.pth eps3.pth --images photos --output looks",
    "robust-det visualize features --backbones 'b/*.pth' --images a.jpg --layers res3 --output out",
    "robust-det visualize explain --detectors runs/cells_* --images cells/images --output looks",
)
# iterations by preset; the kind's own for `paper`
PRESETS: dict[str, dict[str, int]] = {"paper": {}, "quick": {"inversion": 300, "classes": 60}}
_LEAST = {"draw": 1, "size": 8, "seed": 0, "iterations": 0, "boxes": 1}
_DRAW, _SEED, _BOXES, _SCORE = 8, 0, 4, 0.5
_OPTIONS = (
    *("images", "draw", "seed", "size", "iterations", "preset", "eps", "step", "seed_image"),
    *("label", "classes", "layers", "boxes", "score"),
)


def main(args: argparse.Namespace) -> None:
    """Draw, and say where the files are."""
    kind = _check(args)

    import robust_det.detection  # noqa: F401
    from robust_det.visualization.record import refuse_others
    from robust_det.visualization.run import visualize

    output = Path(args.output)
    refuse_others(output, args.what)
    job, said = _job(args, kind)
    for note in said:
        print(f"note: {note}")
    record, text = visualize(args.what, job, output, said)
    picture = output / f"{args.what}.png"
    page = picture.with_suffix(".html")
    print(f"{text}\npicture: {picture}, page: {page} ({record.wall_time_s:.0f} s)")


def _check(args: argparse.Namespace) -> Kind:
    """Refuse a wrong command line before anything slow is imported."""
    from robust_det.visualization.kinds import KINDS

    if args.what not in KINDS:
        hint = did_you_mean(args.what, KINDS) or f" (known: {', '.join(KINDS)})"
        raise UserError(f"unknown kind of picture '{args.what}'{hint}")
    kind = KINDS[args.what]
    _check_networks(args, kind)
    for option in _OPTIONS:
        if getattr(args, option) not in (None, []) and option not in kind.options:
            raise UserError(f"{_spelled(option)} has no effect on {args.what}; leave it out")
    if "images" in kind.options and not args.images:
        raise UserError(f"{args.what} shows images: give --images, files or a folder")
    for option, least in _LEAST.items():
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"{_spelled(option)} is {value}; it starts from {least}")
    for option in ("eps", "step"):
        value = getattr(args, option)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{_spelled(option)} is {value:g}; it is a length above 0")
    if args.score is not None and not 0 <= args.score <= 1:
        raise UserError(f"--score is {args.score:g}; it is from 0 to 1")
    if args.preset and args.iterations is not None:
        raise UserError("--preset says the number of iterations; leave it or --iterations out")
    if args.preset and args.preset not in PRESETS:
        hint = did_you_mean(args.preset, PRESETS) or "; it is paper or quick"
        raise UserError(f"unknown --preset '{args.preset}'{hint}")
    if args.label and args.label not in ("true", "predicted"):
        raise UserError(f"--label is '{args.label}'; it is true or predicted")
    if args.classes and args.draw is not None:
        raise UserError("--classes names those to draw; leave --draw out")
    return kind


def _check_networks(args: argparse.Namespace, kind: Kind) -> None:
    if args.backbones and not kind.backbones:
        raise UserError(
            f"{args.what} shows detectors, not backbones: give --detectors, folders of robust-det"
            " train"
        )
    if args.detectors and not kind.detectors:
        raise UserError(
            f"{args.what} shows backbones, not detectors: give --backbones, files or names"
        )
    if not args.backbones and not args.detectors:
        ways = [
            w
            for w, has in (("--backbones", kind.backbones), ("--detectors", kind.detectors))
            if has
        ]
        raise UserError(f"nothing says which networks: give {' or '.join(ways)}")


def _spelled(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _job(args: argparse.Namespace, kind: Kind) -> tuple[Job, list[str]]:
    """Return what to draw, and what to say of what was given."""
    from robust_det.core.device import resolve_device
    from robust_det.core.seeding import check_seed
    from robust_det.visualization.detectors import load_detectors
    from robust_det.visualization.images import drawn_images, find_images
    from robust_det.visualization.job import Job
    from robust_det.visualization.networks import refuse_detectors
    from robust_det.zoo.backbone_files import find_backbones

    seed = _SEED if args.seed is None else args.seed
    draw = _DRAW if args.draw is None else args.draw
    check_seed(seed)
    device = resolve_device(args.device)
    said: list[str] = []
    images: list[Path] = []
    if args.images:
        images, notes = drawn_images(find_images(args.images), draw, seed)
        said += notes
    seeds = find_images([args.seed_image]) if args.seed_image else [None]
    if len(seeds) != 1:
        raise UserError(f"--seed-image is one image, and {args.seed_image} are {len(seeds)}")
    backbones, notes = find_backbones(args.backbones) if args.backbones else ([], [])
    said += notes
    instead = (
        "give it as --detectors" if kind.detectors else "robust-det visualize explain shows it"
    )
    refuse_detectors(backbones, instead)
    detectors = load_detectors(args.detectors, device) if args.detectors else []
    quick = PRESETS[args.preset or "paper"]
    job = Job(
        title=kind.title,
        backbones=backbones,
        detectors=detectors,
        images=images,
        device=device,
        seed=seed,
        size=args.size,
        iterations=args.iterations if args.iterations is not None else quick.get(args.what),
        eps=args.eps,
        step=args.step,
        seed_image=seeds[0],
        label=args.label or "auto",
        classes=args.classes or (),
        draw=draw,
        layers=args.layers or (),
        boxes=_BOXES if args.boxes is None else args.boxes,
        score=_SCORE if args.score is None else args.score,
    )
    return job, said


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "what",
        metavar="WHAT",
        help="inversion, gradients, classes, features, filters or explain",
    )
    parser.add_argument(
        "--backbones",
        nargs="+",
        metavar="PATTERN",
        help="files, names of the zoo, and patterns of either in quotes, as 'resnet50_l2_eps*'",
    )
    parser.add_argument(
        "--detectors",
        nargs="+",
        metavar="RUN",
        help="of features and explain: folders of robust-det train, or files of detectors in them",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the pictures")
    parser.add_argument(
        "--images", nargs="+", metavar="FILE", help="images, folders of them, and globs in quotes"
    )
    parser.add_argument(
        "--draw", type=int, metavar="N", help="how many of the images, or classes, to draw: 8"
    )
    parser.add_argument("--seed", type=int, help="of all draws and of noise: 0")
    parser.add_argument(
        "--size", type=int, help="side in pixels of what networks see: the largest of their own"
    )
    parser.add_argument(
        "--iterations",
        type=int,
        help="steps of the search: 10,000 of inversion, 60 of classes",
    )
    parser.add_argument(
        "--preset", help="paper, or quick for a CPU: 300 steps of inversion in place of 10,000"
    )
    parser.add_argument(
        "--eps",
        type=float,
        help="L2 distance from the seed at most: 1000 of inversion, 40 of classes",
    )
    parser.add_argument("--step", type=float, help="L2 length of a step: 1")
    parser.add_argument(
        "--seed-image", metavar="FILE", help="where the search begins, in place of noise"
    )
    parser.add_argument(
        "--label",
        help="of gradients, whose loss: true, by the names of the images' folders, or predicted; if"
        " not given, true where the folders are named as classes",
    )
    parser.add_argument(
        "--classes", nargs="+", metavar="NAME", help="names of the classes to raise"
    )
    parser.add_argument(
        "--layers",
        nargs="+",
        metavar="NAME",
        help="stages and pyramid levels, as res4 or p3: of features all; of explain the deepest"
        " stage and own, the level that a box's score comes from",
    )
    parser.add_argument("--boxes", type=int, metavar="N", help="of an image at most: 4")
    parser.add_argument("--score", type=float, help="that a box has at least: 0.5")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
