"""Detect objects on images or a video with a trained detector.

robust-det predict --config CONFIG [--weights FILE] --input IMAGE|FOLDER|GLOB|VIDEO
                   --output FOLDER [--batch-size N] [--score-threshold S] [--no-pictures]
                   [--overwrite] [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError, counted, one_line

EXAMPLES = (
    "robust-det predict --config run/config.yaml --input photos --output found",
    "robust-det predict --config run/config.yaml --input 'photos/**/*.jpg' --output found"
    " --no-pictures",
    "robust-det predict --config run/config.yaml --input clip.mp4 --output clip"
    " --score-threshold 0.7",
)


def main(args: argparse.Namespace) -> int:
    """Predict; 1 if an image could not be read, or anything else that was asked for is missing."""
    from robust_det.core.config.reading import find_config

    # before torch is imported
    if args.batch_size < 1:
        raise UserError(f"--batch-size is {args.batch_size}; it starts from 1")
    if not 0 <= args.score_threshold <= 1:
        raise UserError(f"--score-threshold is {args.score_threshold:g}; it is from 0 to 1")
    if not args.input.strip() or not args.output.strip():
        raise UserError("--input and --output must not be empty; give files and a folder")
    output = Path(args.output)
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is a file; give a folder")
    find_config(args.config)

    import robust_det.detection  # noqa: F401
    from robust_det.core.locks import sole_writer
    from robust_det.detection.detector import load_detector
    from robust_det.detection.prediction.inputs import find_inputs, left_out_lines
    from robust_det.detection.prediction.output_folder import PICTURES_NAME, PREDICTIONS_NAME
    from robust_det.detection.prediction.predict import predict

    start = time.perf_counter()
    source = find_inputs(args.input)
    detector = load_detector(args.config, args.overrides, args.weights, args.backbone)
    for line in left_out_lines(source.left_out):
        print(line, flush=True)
    with sole_writer(output):
        done = predict(
            detector,
            source,
            output,
            batch_size=args.batch_size,
            pictures=args.pictures,
            score_threshold=args.score_threshold,
            overwrite=args.overwrite,
        )
    pictures = f", pictures in {output / PICTURES_NAME}" if args.pictures else ""
    print(f"wrote {output / PREDICTIONS_NAME}{pictures}")
    left_out = sum(map(len, source.left_out.values()))
    print(
        f"{counted(done.images, 'image')} ({done.reused} done before), "
        f"{counted(done.detections, 'detection')}, {len(done.unreadable)} could not be read,"
        f" {counted(left_out, 'file')} left out, {time.perf_counter() - start:.1f} s"
    )
    if done.unreadable:
        print(f"{counted(len(done.unreadable), 'image')} could not be read:", file=sys.stderr)
        for name, reason in done.unreadable.items():
            print(f"  {one_line(name)}: {reason}", file=sys.stderr)
    for problem in done.problems:
        print(problem, file=sys.stderr)
    return 1 if done.unreadable or done.problems else 0


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
