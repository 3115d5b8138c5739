"""Export a trained detector or a classifier, and prove that the file computes the same.

robust-det export --config CONFIG [--weights FILE] --sample IMAGE --output FILE
                  [--format onnx|torchscript] [--overwrite] [KEY VALUE ...]
robust-det export --weights FILE_OR_NAME --output FILE [--sample IMAGE] [--size N]
                  [--arch ARCH] [--prefix PREFIX] [--format onnx|torchscript] [--overwrite]

With the config of its run it is a detector. A file alone may be any that convert reads, of a
classifier: what it holds tells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from robust_det.core.cli import Parser
from robust_det.core.errors import UserError

EXAMPLES = (
    "robust-det export --config run/config.yaml --sample photo.jpg --output run/model.onnx",
    "robust-det export --config run/config.yaml --sample a.jpg --output a.pt --format torchscript",
    "robust-det export --weights robust://resnet50_l2_eps3 --output classifier.onnx",
)


def main(args: argparse.Namespace) -> None:
    """Load, export, check and write."""
    from robust_det.core.outputs import require_new

    if args.config is None:
        _check_classifier(args)
    else:
        _check_detector(args)
    output = Path(args.output)
    require_new([output], args.overwrite)
    if args.config is None:
        _export_classifier(args, output)
    else:
        _export_detector(args, output)


def _check_detector(args: argparse.Namespace) -> None:
    """Refuse what is of no detector; before torch is imported."""
    from robust_det.core.config.reading import find_config

    if "MODEL.DEVICE" in args.overrides:
        raise UserError("MODEL.DEVICE has no effect on an export, which is made on the CPU")
    given = [name for name in ("size", "arch", "prefix") if getattr(args, name) is not None]
    if given:
        raise UserError(
            f"--{given[0]} is of a classifier, and --config of a detector; leave one of them out"
        )
    if args.sample is None:
        raise UserError("a detector needs --sample, an image with objects to check with")
    find_config(args.config)


def _check_classifier(args: argparse.Namespace) -> None:
    """Refuse what is of no classifier; before torch is imported."""
    if args.weights is None:
        raise UserError("give the --config of a detector's run, or the --weights of a classifier")
    if args.backbone is not None or args.overrides:
        what = "--backbone" if args.backbone is not None else args.overrides[0]
        raise UserError(f"{what} has no effect without the --config of a detector's run")
    if args.size is not None and args.size < 1:
        raise UserError(f"--size is {args.size}; it starts from 1 pixel")


def _export_detector(args: argparse.Namespace, output: Path) -> None:
    import robust_det.detection  # noqa: F401
    from robust_det.detection.detector import load_detector
    from robust_det.detection.export.exporting import export_detector

    # a trace keeps the device it was made on
    overrides = [*args.overrides, "MODEL.DEVICE", "cpu"]
    try:
        detector = load_detector(args.config, overrides, args.weights, args.backbone)
    except UserError as error:
        # whatever it missed first, in a file of another kind
        if args.weights is not None and _is_classifier(args.weights):
            raise UserError(
                f"{args.weights} is a classifier, and --config is of a detector",
                "leave --config out, or give the --weights of a detector",
            ) from error
        raise
    description = export_detector(detector, args.format, Path(args.sample), output, args.overwrite)
    print(f"wrote {args.output} and {description}")


def _is_classifier(weights: str) -> bool:
    """Whether it names a network with a head for classes."""
    from robust_det.checkpoints.model_file import read_model
    from robust_det.zoo.locate import PREFIX

    try:
        return weights.startswith(PREFIX) or read_model(weights).num_classes > 0
    except UserError:
        return False


def _export_classifier(args: argparse.Namespace, output: Path) -> None:
    from robust_det.checkpoints.model_file import NetworkFile
    from robust_det.classification.exporting import TOLERANCE, export_classifier
    from robust_det.conversion.doubts import doubts
    from robust_det.zoo.load import path_of

    file = NetworkFile(path_of(args.weights), args.arch, args.prefix)
    model = file.read()
    if not model.num_classes:
        raise UserError(
            f"{file.path} has {model.no_head}",
            "a detector is exported with the --config of its run",
        )
    sample = None if args.sample is None else Path(args.sample)
    done = export_classifier(
        file, model, args.format, output, sample=sample, size=args.size, overwrite=args.overwrite
    )
    for note in (*model.remarks, *doubts(model), *done.notes):
        print(f"note: {note}")
    shown = ", ".join(f"{value:.1e} on {kind}" for kind, value in done.differences.items())
    print(f"largest difference of logits: {shown} (at most {TOLERANCE:.0e} of the largest)")
    print(f"wrote {args.output} and {done.description}")


def add_arguments(parser: Parser) -> None:
    """Add what the command line may say."""
    parser.add_argument("--config", help="of a detector: config file, or its name below configs/")
    parser.add_argument("--backbone", help="that it was trained from; tells which run is meant")
    parser.add_argument(
        "--weights",
        metavar="FILE_OR_NAME",
        help="a classifier, or robust://NAME; with --config the detector,"
        " OUTPUT_DIR/model_final.pth if unset",
    )
    parser.add_argument(
        "--sample",
        metavar="IMAGE",
        help="to check with; of a detector needed, with objects, of a classifier beside photographs"
        " that come along",
    )
    parser.add_argument("--output", required=True, help="the file to write")
    parser.add_argument("--format", default="onnx", help="onnx or torchscript")
    parser.add_argument(
        "--size",
        type=int,
        metavar="N",
        help="side of a classifier's images in pixels; what the file says, or 224",
    )
    parser.add_argument("--arch", help="architecture, if the file's tensors leave it open")
    parser.add_argument("--prefix", help="which network of the file, if it holds several")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="override config keys")
