"""The published robust models: list them, fetch them, measure them again.

robust-det zoo list [--arch A] [--norm N] [--markdown]
robust-det zoo fetch NAME [NAME ...]
robust-det zoo verify NAME --data IMAGENET_FOLDER
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError, did_you_mean

logger = logging.getLogger("robust_det")


def list_models(args: argparse.Namespace) -> None:
    """Print the table, and where the folders are."""
    from robust_det.core.folders import backbone_folder, cache_folder
    from robust_det.zoo.listing import entries, table

    rows = entries(args.arch, args.norm)
    if not rows:
        hint = did_you_mean(args.arch or "", {row.arch for row in entries(None, None)})
        raise UserError(f"no model has that --arch and --norm; list without them shows all{hint}")
    print(table(rows, args.markdown))
    if not args.markdown:
        print(f"\ntrained here, yours: {backbone_folder()}  ($ROBUST_DET_BACKBONES)")
        print(f"cached, downloaded:  {cache_folder()}  ($ROBUST_DET_CACHE)")


def fetch_models(args: argparse.Namespace) -> None:
    """Fetch one model after the other; those that fail are named at the end."""
    from robust_det.zoo.fetch import fetch
    from robust_det.zoo.locate import find_own
    from robust_det.zoo.published import all_models, get_model

    if bool(args.names) == args.all:
        raise UserError("fetch needs either names or --all; robust-det zoo list shows the names")
    if args.names and (args.arch or args.norm):
        raise UserError("--arch and --norm choose among --all; leave them out of names")
    if args.all:
        models = [m for m in all_models().values() if args.arch in (None, m.arch)]
        models = [m for m in models if args.norm in (None, m.norm)]
    else:
        models = [get_model(name.removeprefix("robust://")) for name in args.names]
    if not models:
        raise UserError("no model has that --arch and --norm; robust-det zoo list shows all")
    failed = []
    for model in models:
        try:
            print(f"{model.name}: {fetch(model.name)}", flush=True)
            if own := find_own(model.name):
                logger.warning("%s: %s is yours, and comes first", model.name, own)
        except UserError as error:
            if len(models) == 1:
                raise
            logger.warning("%s: %s", model.name, error)
            failed.append(model.name)
    if failed:
        raise UserError(f"{len(failed)} of {len(models)} could not be had: {', '.join(failed)}")


def verify_model(args: argparse.Namespace) -> int:
    """Measure top-1 and compare it with the reported figure; 1 if they differ, or if a published
    name was given and there is nothing to compare. A file is measured."""
    if args.batch_size < 1 or args.workers < 0 or (args.limit is not None and args.limit < 1):
        raise UserError("--batch-size and --limit start from 1, --workers from 0")

    if not Path(args.data).expanduser().is_dir():  # before a long download
        raise UserError(f"no folder {args.data}; --data is ImageNet's, with val/<class>/<images>")

    from robust_det.checkpoints.model_file import read_model
    from robust_det.classification.measure import TOLERANCE, measure, open_images
    from robust_det.core.folders import cached_file
    from robust_det.zoo.load import path_of
    from robust_det.zoo.published import find_model

    path = path_of(args.name)
    network = read_model(path)
    classifier = network.classifier()
    images = open_images(args.data, network, args.limit)
    share = f"{len(images.classes)} of {network.num_classes} classes"
    logger.info("measuring %s on %s images of %s, %s", path, len(images), images.folder, share)
    found = measure(
        classifier, images, batch_size=args.batch_size, workers=args.workers, device=args.device
    )
    print(
        f"measured top-1  {found.top1:.2f}  on {found.images:,} images,"
        f" 95% interval {found.low:.2f} to {found.high:.2f}"
    )
    model = find_model(args.name.removeprefix("robust://"))
    if model is None:
        print("reported top-1  none, so there is nothing to compare with")
        return 0
    if model.top1 is None:
        print("reported top-1  none, so there is nothing to compare with")
        return 1
    if path != cached_file(model.name):
        print(f"reported top-1  {model.top1:.2f}  of the published model; {path} is yours")
        return 1
    if len(images.classes) < network.num_classes:
        print(
            f"reported top-1  {model.top1:.2f}  on all {network.num_classes} classes; not compared"
        )
        return 1
    print(f"reported top-1  {model.top1:.2f}  difference {found.top1 - model.top1:+.2f}")
    if found.agrees_with(model.top1):
        return 0
    print(f"the reported figure is more than {TOLERANCE} points outside the interval")
    return 1


def main(args: argparse.Namespace) -> int | None:
    """Do what the command's own command says."""
    return args.do(args)


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    lister = commands.add_parser(
        "list",
        help="the models, and which of them are here",
        examples=("robust-det zoo list", "robust-det zoo list --arch resnet50 --norm l2"),
    )
    lister.add_argument("--markdown", action="store_true", help="as a Markdown table")
    lister.set_defaults(do=list_models)

    fetcher = commands.add_parser(
        "fetch",
        help="download, convert, verify and cache models",
        examples=(
            "robust-det zoo fetch resnet50_l2_eps1 resnet50_l2_eps3",
            "robust-det zoo fetch --all --arch resnet18",
        ),
    )
    fetcher.add_argument("names", nargs="*", metavar="NAME", help="such as resnet50_l2_eps3")
    fetcher.add_argument("--all", action="store_true", help="every model, or those of --arch")
    fetcher.set_defaults(do=fetch_models)
    for command in (lister, fetcher):
        command.add_argument("--arch", help="only this architecture")
        command.add_argument("--norm", choices=("l2", "linf"), help="only this norm")

    verifier = commands.add_parser(
        "verify",
        help="measure top-1; exit code 1 if it differs from the reported, or a name has none",
        examples=(
            "robust-det zoo verify resnet18_l2_eps3 --data datasets/imagenet",
            "robust-det zoo verify output/run/final.pth --data datasets/imagenet --limit 5000",
        ),
    )
    verifier.add_argument("name", metavar="NAME", help="a model's name, or a file")
    verifier.add_argument(
        "--data", required=True, help="ImageNet: a folder with val/<class>/, or with <class>/"
    )
    verifier.add_argument("--batch-size", type=int, default=256, help="images at a time")
    verifier.add_argument("--workers", type=int, default=8, help="processes that decode images")
    verifier.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    verifier.add_argument("--limit", type=int, metavar="N", help="N images, evenly spread")
    verifier.set_defaults(do=verify_model)
