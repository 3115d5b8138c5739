"""Export a trained detector, and prove that it finds the same boxes.

robust-det export --config CONFIG [--weights FILE] --sample IMAGE --output FILE
                  [--format onnx|torchscript] [--overwrite] [KEY VALUE ...]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_det.core.cli import Parser

EXAMPLES = (
    "robust-det export --config run/config.yaml --sample photo.jpg --output run/model.onnx",
    "robust-det export --config run/config.yaml --sample a.jpg --output a.pt --format torchscript",
)


def main(args: argparse.Namespace) -> None:
    """Load, export, check and write."""
    from robust_det.core.config.reading import find_config
    from robust_det.core.errors import UserError
    from robust_det.core.outputs import require_new

    if "MODEL.DEVICE" in args.overrides:
        raise UserError("MODEL.DEVICE has no effect on an export, which is made on the CPU")
    # before torch is imported
    find_config(args.config)
    output = Path(args.output)
    require_new([output], args.overwrite)

    import robust_det.detection  # noqa: F401
    from robust_det.detection.detector import load_detector
    from robust_det.detection.export.exporting import export_detector

    # a trace keeps the device it was made on
    overrides = [*args.overrides, "MODEL.DEVICE", "cpu"]
    detector = load_detector(args.config, overrides, args.weights, args.backbone)
    description = export_detector(detector, args.format, Path(args.sample), output, args.overwrite)
    print(f"wrote {args.output} and {description}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("--config", required=True, help="config file, or its name below configs/")
    parser.add_argument("--backbone", help="that it was trained from; tells which run is meant")
    parser.add_argument("--weights", help="of the detector; OUTPUT_DIR/model_final.pth if unset")
    parser.add_argument("--sample", required=True, help="an image with objects, to check with")
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("--format", default="onnx", help="onnx or torchscript")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
