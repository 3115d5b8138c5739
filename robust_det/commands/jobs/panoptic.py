"""Make the semantic maps that training on panoptic data sets needs, from their segments.

robust-det panoptic [--config CONFIG] [--workers N] [--overwrite] [KEY VALUE ...]

A second run goes on where the first one ended.
"""

from __future__ import annotations

import argparse
import os

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det panoptic",
    "robust-det panoptic --config coco_panoptic_fpn_1x.yaml --workers 4 --overwrite",
)


def main(args: argparse.Namespace) -> None:
    """Make the maps of one data set after the other."""
    if args.workers < 1:
        raise UserError(f"--workers is {args.workers}; it starts from 1")

    import robust_det.detection  # noqa: F401
    from robust_det.data.detection.readers.panoptic_json import PanopticSource
    from robust_det.data.detection.semantic_maps import make_semantic_maps
    from robust_det.detection.config import sources_of_config

    sources = {
        name: source
        for name, source in sources_of_config(args.config, args.overrides).items()
        if isinstance(source, PanopticSource)
    }
    if not sources:
        raise UserError(f"config {args.config} names no panoptic data sets")
    for name, source in sources.items():
        written = make_semantic_maps(name, source, args.workers, args.overwrite)
        print(f"{name}: {written} maps written to {source.stuff_root}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument(
        "--config",
        default="coco_panoptic_fpn_1x.yaml",
        help="config file, or its name below configs/",
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--overwrite", action="store_true", help="make all maps again")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
