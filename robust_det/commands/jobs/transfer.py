"""Transfer a backbone to other classes, frozen or fine-tuned, and measure it.

robust-det transfer --data DIR --backbone FILE_OR_NAME --output OUT [--mode fixed-feature]
robust-det transfer --config FILE --backbone FILE_OR_NAME [--mode full-network] [KEY VALUE ...]
                    [--protocol paper] [--resume]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

if TYPE_CHECKING:
    from robust_det.records.transfer import TransferRecord

EXAMPLES = (
    "robust-det transfer --data my_images --backbone resnet50_l2_eps3 --output output/mine",
    "robust-det transfer --config transfer_dtd.yaml --backbone b.pth --mode full-network --resume",
)
_MODES = ("fixed-feature", "full-network", "head-then-all")


def main(args: argparse.Namespace) -> None:
    """Transfer, and print one table."""
    if args.config:
        from robust_det.core.config.reading import find_config

        find_config(args.config)  # before torch is imported
    elif not args.data:
        raise UserError("nothing says which images: give --data DIR, or --config FILE")

    from robust_det.checkpoints.model_file import NetworkFile
    from robust_det.training.world import world_from_environment
    from robust_det.transfer.run import transfer
    from robust_det.transfer.settings import explain, given_backbone, paper_protocol
    from robust_det.zoo.load import path_of

    options = list(_options(args))
    cfg, _ = explain(args.config, args.overrides, options)
    if args.protocol == "paper":
        cfg, _ = explain(args.config, [*paper_protocol(cfg), *args.overrides], options)
    given = NetworkFile(path_of(given_backbone(cfg)), args.arch, args.prefix)
    cfg.freeze()
    name = Path(args.config).stem if args.config else Path(cfg.OUTPUT_DIR).name
    record = transfer(cfg, name, given, args.resume)
    if world_from_environment().is_main:
        print(f"\n{_table(record)}")


def _options(args: argparse.Namespace) -> Iterator[str]:
    """Give the options as ``KEY VALUE`` pairs; one that a pair says otherwise is refused."""
    given = dict(zip(args.overrides[::2], args.overrides[1::2], strict=False))
    for option, key in (
        ("data", "DATA.ROOT"),
        ("backbone", "TRANSFER.BACKBONE"),
        ("mode", "TRANSFER.MODE"),
        ("output", "OUTPUT_DIR"),
    ):
        value = getattr(args, option)
        if value is None:
            continue
        if given.get(key, value) != value:
            raise UserError(f"--{option} {value} and {key} {given[key]} contradict; give one")
        yield key
        yield value


def _table(record: TransferRecord) -> str:
    """Return what came out: accuracies in percent with 95% intervals over the test images."""
    from tabulate import tabulate

    from robust_det.classification.measure import wilson_interval
    from robust_det.core.epsilon import attack_label

    def shown(name: str, images: int) -> str:
        value = record.metrics.get(name)
        if value is None:
            return ""
        if not name.endswith("top1"):
            return f"{value:.2f}"
        low, high = wilson_interval(value / 100, images)
        return f"{value:.2f} [{100 * low:.1f}, {100 * high:.1f}]"

    eps = "unknown" if record.eps is None else f"{record.eps:g}"
    chosen = ", ".join(f"{name} {value:g}" for name, value in record.selection.chosen.items())
    rows = [
        ("backbone", f"{record.arch}, {f'{record.norm} eps {eps}'.strip()}"),
        ("mode", f"{record.mode}, {record.head}"),
        ("chosen", f"{chosen} (on {record.selection.on})"),
        ("top-1", shown("top1", record.data.test)),
        ("mean per class", shown("mean_per_class", record.data.test)),
    ]
    for attack in record.evaluators:
        label = attack_label(attack.name, attack.steps, attack.objective)
        words = f"top-1 under {label}, {attack.norm} eps {attack.eps:g}"
        rows.append((words, shown("adversarial_top1", attack.images)))
    if (corrupted := record.metrics.get("corrupted_top1")) is not None:
        rows.append(("top-1 under common corruptions", f"{corrupted:.2f}"))
    return tabulate(rows, tablefmt="plain")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("--config", help="config file, or its name below configs/")
    parser.add_argument(
        "--data", metavar="DIR", help="train/<class>/, test/<class>/, maybe val/; or DATA.ROOT"
    )
    parser.add_argument("--backbone", help="file, or name, of what is transferred")
    parser.add_argument("--mode", choices=_MODES, help="fixed-feature, if no config says otherwise")
    parser.add_argument("--output", metavar="OUT", help="folder of the run; OUTPUT_DIR")
    parser.add_argument(
        "--protocol",
        choices=("honest", "paper"),
        default="honest",
        help="paper: with every quirk of the paper's code that has an effect, see PAPER.*",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in OUTPUT_DIR")
    parser.add_argument("--arch", help="architecture of --backbone, if the tensors leave it open")
    parser.add_argument("--prefix", help="which network of --backbone, if it holds several")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
