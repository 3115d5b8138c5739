"""Hold out a part of a data set, and write both parts as COCO JSON.

robust-det split IN --output OUT [--fraction 0.2] [--seed 0] [--copy-images] [--lenient]
                 [--overwrite]

IN is COCO JSON, CSV, a folder in VOC's or YOLO's layout, or a config with one data set to train on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det split photos-with-annotations --output split",
    "robust-det split annotations.json --output split --fraction 0.1 --seed 1 --copy-images",
)


def main(args: argparse.Namespace) -> None:
    """Split and say which class has how many objects on which side."""
    if args.seed < 0:
        raise UserError(f"--seed is {args.seed}; it starts from 0")
    if not 0 < args.fraction < 1:
        raise UserError(f"--fraction is {args.fraction:g}; it is above 0 and below 1")

    from robust_det.commands.data.given import given_data
    from robust_det.core.outputs import require_new
    from robust_det.data.detection.layouts.layout import TRAIN, VAL
    from robust_det.data.detection.writing.coco_file import file_of, read_sound
    from robust_det.data.detection.writing.splitting import split_images, write_split

    data = given_data(args.input)
    others = [key for key in data.sources if key not in data.train]
    if len(data.train) != 1 or "val" in others:
        raise UserError(
            f"{args.input} has the parts {', '.join(data.sources)}, and not one that is to be"
            " split; give the file or folder of that one"
        )
    if others:
        print(f"note: {' and '.join(others)} stays as it is")
    name, source = data.sources[data.train[0]]
    folder = Path(args.output)
    # before all is read
    require_new((folder / file_of(role) for role in (TRAIN, VAL)), args.overwrite)
    reading = read_sound(name, source, args.lenient)
    split = split_images(reading, args.fraction, args.seed)
    copies = "images" if args.copy_images else ""
    parts, said = write_split(name, reading, split, folder, copies, args.overwrite)
    print("\n".join(said))
    for role, part in parts.items():
        print(f"wrote {role}: {part['JSON']}")
    print(f"images are named relative to {folder}, which is their folder (IMAGES)")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("input", help="COCO JSON, CSV, data.yaml, a folder, or a config")
    parser.add_argument("--output", required=True, help="folder for both files")
    parser.add_argument("--fraction", type=float, default=0.2, help="of the images to hold out")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another split")
    parser.add_argument("--copy-images", action="store_true", help="copy the images as well")
    parser.add_argument(
        "--lenient", action="store_true", help="leave out or mend what is unsound, and say so"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
