"""Write a data set in any form that is read as COCO JSON.

robust-det convert-data IN OUT [--copy-images] [--lenient] [--overwrite]

IN is COCO JSON, CSV, data.yaml, a folder in VOC's or YOLO's layout, or a config: an entry of its
DATASETS.CUSTOM says what no folder can tell, such as what the values of masks mean. OUT is a
folder; its files are instances_train.json and so on, or instances.json where nothing is split;
then it may be a file as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det convert-data photos-with-annotations coco",
    "robust-det convert-data boxes.csv coco --copy-images",
    "robust-det convert-data my.yaml coco",
)


def main(args: argparse.Namespace) -> None:
    """Convert one part after the other."""
    from robust_det.commands.data.given import given_data
    from robust_det.core.locks import sole_writer
    from robust_det.core.outputs import require_new
    from robust_det.data.detection.writing.coco_file import (
        copy_images,
        file_of,
        in_words,
        read_sound,
        write_coco,
    )

    data, folder = given_data(args.input), Path(args.output)
    paths = {key: folder / file_of(key) for key in data.sources}
    if folder.suffix.lower() == ".json":
        if len(paths) > 1:
            raise UserError(
                f"{args.input} has the parts {', '.join(paths)}, and {args.output} is one file;"
                " give a folder"
            )
        paths, folder = dict.fromkeys(paths, folder), folder.parent
    with sole_writer(folder):
        require_new(paths.values(), args.overwrite, [args.input])
        # all of them first, so that nothing is half done
        readings = {
            key: read_sound(name, source, args.lenient)
            for key, (name, source) in data.sources.items()
        }
        for key, reading in readings.items():
            if reading.report.problems:
                print(reading.report.cleaned())
            for remark in reading.report.remarks:
                print(f"note: {remark}")
            # parts of folders of their own may call their images alike
            copies = f"images/{key}" if len(readings) > 1 else "images"
            if args.copy_images:
                copy_images(folder, reading, copies, overwrite=args.overwrite)
            write_coco(paths[key], reading, copies=copies if args.copy_images else "")
            print(f"wrote {paths[key]}: {in_words(reading)}, from {data.form}")
    print(f"images are named relative to {folder}, which is their folder (IMAGES)")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("input", help="COCO JSON, CSV, data.yaml, a folder, or a config")
    parser.add_argument("output", help="folder for the JSON files; or FILE.json of a single part")
    parser.add_argument("--copy-images", action="store_true", help="copy the images as well")
    parser.add_argument(
        "--lenient", action="store_true", help="leave out or mend what is unsound, and say so"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
