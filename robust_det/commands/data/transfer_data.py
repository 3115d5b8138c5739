"""The data sets of classification transfer: list them, tell which copy of one is there, and show
what was reported of them.

robust-det transfer-data list
robust-det transfer-data check NAME DIR [--download] [--manifest OUT] [--protocol paper] [--seed N]
                               [--decode]
robust-det transfer-data verify MANIFEST DIR
robust-det transfer-data reference [--set S] [--arch A] [--mode M] [--norm N] [--best]
"""

from __future__ import annotations

import argparse
import os

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError, counted

_PROTOCOLS = ("seeded", "paper")
_ALIGNED = ("left",) * 3 + ("right", "left", "right", "right", "left", "right", "left")


def list_sets(args: argparse.Namespace) -> None:
    """Print a line a set."""
    from tabulate import tabulate

    from robust_det.data.transfer.catalogue import SETS

    rows = [
        (
            name,
            facts.title,
            facts.classes or "",
            " + ".join(f"{n:,}" for n in facts.sizes.values()),
            facts.headline,
            "yes" if facts.torchvision else "",
        )
        for name, facts in SETS.items()
    ]
    print(tabulate(rows, ["name", "set", "classes", "images", "headline", "--download"]))


def check_set(args: argparse.Namespace) -> int:
    """Tell which copy is there; 1 if it is not the official one."""
    from robust_det.data.transfer.build import build_manifest
    from robust_det.data.transfer.catalogue import facts_of
    from robust_det.data.transfer.check import OFFICIAL, OWN, judge
    from robust_det.data.transfer.download import download
    from robust_det.data.transfer.manifest import write_manifest
    from robust_det.data.transfer.sets.reading import MissingSetError, read_set
    from robust_det.data.transfer.survey import survey

    if args.seed < 0:
        raise UserError(f"--seed is {args.seed}; it starts from 0")
    facts = facts_of(args.name)
    if args.protocol == "paper" and not facts.per_class:
        raise UserError(
            f"--protocol chooses among the images of Caltech-101 and Caltech-256; {facts.title} has"
            " its own splits"
        )
    if args.manifest:
        _refuse_other_file(args.manifest)
    if args.download:
        try:
            read_set(args.name, args.dir)
            print(f"{facts.title} is in {args.dir} already, and is not downloaded")
        except MissingSetError:
            download(args.name, args.dir)
    found = survey(args.name, args.dir, args.decode)
    verdict = judge(found)
    print(f"{facts.title} in {found.listed.base}: {verdict.kind}")
    for words in verdict.differs:
        print(f"differs: {words}")
    for words in verdict.follows:
        print(f"follows: {words}")
    if facts.remark:
        print(f"known: {facts.remark}")
    if not found.listed.lacks or args.manifest:
        manifest = build_manifest(found, args.seed, args.protocol == "paper")
        for note in manifest.notes:
            print(f"note: {note}")
        sizes = ", ".join(f"{split} {n:,}" for split, n in manifest.sizes.items() if n)
        print(f"{len(manifest.classes)} classes; {sizes}; headline metric: {facts.headline}")
        if args.manifest:
            write_manifest(manifest, args.manifest)
            print(f"wrote {args.manifest}: digest {manifest.digest}")
    return 0 if verdict.kind in (OFFICIAL, OWN) else 1


def _refuse_other_file(path: str) -> None:
    """Refuse to write a manifest over what is none, such as the table that it is made of."""
    from robust_det.data.transfer.manifest import is_manifest

    if os.path.exists(path) and not is_manifest(path):
        raise UserError(f"{path} is there and is no manifest; give --manifest another name")


def verify_manifest(args: argparse.Namespace) -> int:
    """Tell whether a folder holds a manifest's images; 1 if it does not."""
    from robust_det.data.transfer.manifest import read_manifest
    from robust_det.data.transfer.verify import base_below, changed

    manifest = read_manifest(args.manifest)
    base = base_below(manifest, args.dir)
    missing, other = changed(manifest, base)
    for words, paths in (("missing", missing), ("of other content", other)):
        if paths:
            print(f"{counted(len(paths), 'image')} {words}, such as {paths[0]}")
    if not missing and not other:
        print(f"{base} holds the {sum(manifest.sizes.values()):,} images of {args.manifest}")
    return 1 if missing or other else 0


def show_reference(args: argparse.Namespace) -> None:
    """Print reported accuracies, a line each, and what their remarks mean."""
    from tabulate import tabulate

    from robust_det.core.epsilon import format_eps
    from robust_det.reference import salman2020

    words = {"set": args.set, "arch": args.arch, "norm": args.norm, "mode": args.mode}
    found: list[salman2020.Reported] | list[salman2020.BestSetting]
    found = salman2020.best_settings(**words) if args.best else salman2020.reported(**words)
    if not found:
        given = ", ".join(filter(None, words.values()))
        raise UserError(f"nothing was reported of {given} together", "leave one of them out")
    rows = [
        (
            row.set,
            row.arch,
            row.norm,
            format_eps(row.norm, row.eps),
            row.mode,
            *(
                (f"{row.lr:g}",)
                if isinstance(row, salman2020.BestSetting)
                else (row.downscale or "",)
            ),
            f"{row.accuracy:.2f}",
            row.metric or "untold",
            f"{row.test_images:,}",
            ", ".join(row.remarks),
        )
        for row in found
    ]
    head = ["set", "arch", "norm", "eps", "mode", "lr" if args.best else "px", "accuracy", "metric"]
    head += ["test images", "remarks"]
    print(f"Salman et al. 2020, {salman2020.SOURCE}")
    print(tabulate(rows, head, disable_numparse=True, colalign=_ALIGNED))
    for key in sorted({key for row in found for key in row.remarks}):
        print(f"{key}: {salman2020.REMARKS[key]}")


def main(args: argparse.Namespace) -> int | None:
    """Do what the command's own command says."""
    return args.do(args)


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    lister = commands.add_parser(
        "list",
        help="the sets, their official sizes and metrics",
        examples=("robust-det transfer-data list", "robust-det transfer-data list | grep pets"),
    )
    lister.set_defaults(do=list_sets)

    checker = commands.add_parser(
        "check",
        help="tell which copy of a set is there, and write its splits; exit code 1 if it is not"
        " the official one",
        examples=(
            "robust-det transfer-data check dtd datasets/dtd --download --manifest dtd.csv",
            "robust-det transfer-data check caltech101 datasets --protocol paper",
            "robust-det transfer-data check folder my_images --manifest my_images.csv",
        ),
    )
    checker.add_argument("name", metavar="NAME", help="such as dtd; list shows all")
    checker.add_argument("dir", metavar="DIR", help="its folder; of csv, the file")
    checker.add_argument(
        "--download", action="store_true", help="fetch it, by torchvision, if it is not there"
    )
    checker.add_argument("--manifest", metavar="OUT", help="write the splits to this CSV file")
    checker.add_argument(
        "--protocol",
        choices=_PROTOCOLS,
        default="seeded",
        help="of Caltech's sets: draw training images by the seed, or take the first of each class",
    )
    checker.add_argument("--seed", type=int, default=0, help="of a split that is drawn")
    checker.add_argument("--decode", action="store_true", help="find truncated images as well")
    checker.set_defaults(do=check_set)

    verifier = commands.add_parser(
        "verify",
        help="tell whether a folder holds the images of a manifest; exit code 1 if it does not",
        examples=(
            "robust-det transfer-data verify dtd.csv datasets/dtd",
            "robust-det transfer-data verify theirs.csv datasets",
        ),
    )
    verifier.add_argument("manifest", metavar="MANIFEST", help="what check --manifest wrote")
    verifier.add_argument("dir", metavar="DIR", help="the set's folder")
    verifier.set_defaults(do=verify_manifest)

    reference = commands.add_parser(
        "reference",
        help="accuracies that the paper reported, and what each can be compared with",
        examples=(
            "robust-det transfer-data reference --set pets --arch resnet50 --norm l2",
            "robust-det transfer-data reference --mode full-network --best",
        ),
    )
    reference.add_argument("--set", metavar="S", help="such as pets (default: all)")
    reference.add_argument("--arch", metavar="A", help="such as resnet50 (default: all)")
    reference.add_argument(
        "--mode", metavar="M", help="fixed-feature or full-network (default: both)"
    )
    reference.add_argument("--norm", metavar="N", help="l2 or linf (default: both)")
    reference.add_argument(
        "--best",
        action="store_true",
        help="the settings of the highest accuracy on the test images, which the paper's code came"
        " with",
    )
    reference.set_defaults(do=show_reference)
