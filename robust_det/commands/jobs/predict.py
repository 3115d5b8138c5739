"""Detect objects on images or a video with a trained detector.

robust-det predict --config CONFIG [--weights FILE] --input IMAGE|FOLDER|GLOB|VIDEO
                   --output FOLDER [--batch-size N] [--score-threshold S] [--no-pictures]
                   [--overwrite] [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError


def main(args: argparse.Namespace) -> int:
    """Predict; 1 if an image could not be read."""
    from robust_det.core.config.reading import find_config

    # before torch is imported
    if args.batch_size < 1:
        raise UserError(f"--batch-size is {args.batch_size}; it starts from 1")
    if not 0 <= args.score_threshold <= 1:
        raise UserError(f"--score-threshold is {args.score_threshold:g}; it is from 0 to 1")
    output = Path(args.output)
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file; give a folder")
    find_config(args.config)

    import robust_det.detection  # noqa: F401
    from robust_det.detection.detector import load_detector
    from robust_det.detection.prediction.inputs import find_inputs
    from robust_det.detection.prediction.predict import PREDICTIONS_NAME, predict

    source = find_inputs(args.input, output)
    detector = load_detector(args.config, args.overrides, args.weights, args.backbone)
    unreadable = predict(
        detector,
        source,
        output,
        batch_size=args.batch_size,
        pictures=args.pictures,
        score_threshold=args.score_threshold,
        overwrite=args.overwrite,
    )
    print(f"wrote {output / PREDICTIONS_NAME}")
    if unreadable:
        images = "image" if len(unreadable) == 1 else "images"
        print(f"{len(unreadable)} {images} could not be read:", file=sys.stderr)
        for name, reason in unreadable.items():
            print(f"  {name}: {reason}", file=sys.stderr)
    return 1 if unreadable else 0


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("--config", required=True, help="config file, or its name below configs/")
    parser.add_argument("--backbone", help="that it was trained from; tells which run is meant")
    parser.add_argument("--weights", help="of the detector; OUTPUT_DIR/model_final.pth if unset")
    parser.add_argument("--input", required=True, help="image, folder, glob (quoted) or video")
    parser.add_argument("--output", required=True, help="folder of results; a second run goes on")
    parser.add_argument("--batch-size", type=int, default=4, help="images at a time")
    parser.add_argument(
        "--score-threshold", type=float, default=0.5, help="of an object to be drawn"
    )
    parser.add_argument(
        "--no-pictures", dest="pictures", action="store_false", help="write the JSON alone"
    )
    parser.add_argument("--overwrite", action="store_true", help="do all images again")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
