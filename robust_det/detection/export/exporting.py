"""The job of ``robust-det export`` for a detector."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robust_det.core.errors import UserError, naming, reason_of
from robust_det.core.files import sha256_file
from robust_det.detection.detector import Detector
from robust_det.detection.export.agreement import Comparison, compare
from robust_det.detection.export.traceable import Traceable, traceable_modules
from robust_det.detection.mapping.decoding import decode
from robust_det.export.files import ran, write_export
from robust_det.export.formats import Exported, Format, Interface, format_named

__all__ = ["export_detector"]

logger = logging.getLogger(__name__)


@torch.no_grad()
def export_detector(
    detector: Detector, kind: str, sample: Path, output: Path, overwrite: bool = False
) -> Path:
    """Export a detector, check the file on images of three sizes, and write it if all boxes agree.

    Args:
        detector: to export, on the CPU.
        kind: of file, one of :data:`robust_det.export.formats.FORMATS`.
        sample: an image with objects that the detector finds.
        output: the file; a description of its inputs and outputs goes beside it, as ``.json``.
        overwrite: replace them if they exist.

    Returns:
        The description's path.

    Raises:
        UserError: an unknown format, a sample without objects, other boxes, or files that exist;
            nothing is written.
    """
    if kind == "torch_export":
        raise UserError(
            "torch.export cannot take Detectron2's detectors, which branch on what the network"
            " computes, such as whether any box is left (aten.item, aten.nonzero); use onnx or"
            " torchscript"
        )
    export = format_named(kind)
    if detector.finder is not detector.model:
        raise UserError("an exported detector looks at an image once; set TEST.AUG.ENABLED False")
    model = Traceable(detector).eval()
    said = _describe(detector, model.outputs)
    return write_export(
        output,
        kind,
        said,
        lambda: _proved(model, export, said, _images(detector, sample), sample),
        overwrite=overwrite,
        inputs=[sample, detector.path],
    )


def _proved(
    model: Traceable,
    export: Format,
    said: dict[str, Any],
    images: list[torch.Tensor],
    sample: Path,
) -> bytes:
    """Export a model; return the content of a file that finds the same on all images.

    Raises:
        UserError: it does not, or there is nothing to be found.
    """
    ours = [list(model(image)) for image in images]
    if not len(ours[0][0]):
        raise UserError(
            f"the detector finds nothing on {sample}, which would prove nothing; give another"
            " --sample"
        )
    with traceable_modules():
        content, run = export(model, images[0], _interface(model.outputs), said)
    comparisons = [
        _compare(model, image, expected, run) for image, expected in zip(images, ours, strict=True)
    ]
    for comparison in comparisons:
        logger.info(str(comparison))
    if wrong := [c for c in comparisons if not c.same]:
        raise UserError(f"the exported detector finds other objects ({wrong[0]}); nothing written")
    return content


def _interface(outputs: Sequence[str]) -> Interface:
    sides = {1: "height", 2: "width"}
    varying = {"image": sides, **{name: {0: "objects"} for name in outputs}}
    return Interface("image", tuple(outputs), varying)


def _images(detector: Detector, sample: Path) -> list[torch.Tensor]:
    """Return the sample as the model takes it, in another shape, and a black image."""
    try:
        with naming(f"--sample {sample}"):
            pixels = decode(str(sample), detector.cfg.INPUT.FORMAT)
    except OSError as error:
        raise UserError(f"--sample {sample} cannot be read: {reason_of(error)}") from error
    resized = detector.resize.get_transform(pixels).apply_image(pixels)
    image = torch.as_tensor(resized.transpose(2, 0, 1).astype("float32"))
    height, width = image.shape[1:]
    other = torch.nn.functional.interpolate(image[None], (width, max(3 * height // 4, 1)))[0]
    return [image, other, torch.zeros_like(other[:, : width // 2 + 1])]


def _compare(
    model: Traceable, image: torch.Tensor, expected: list[torch.Tensor], run: Exported
) -> Comparison:
    height, width = image.shape[1:]
    found = ran(run, image, "detector", f"an image of {height} x {width}")
    return compare(model.outputs, (height, width), expected, found)


def _describe(detector: Detector, outputs: list[str]) -> dict[str, Any]:
    """Return what a program needs to know to use the file."""
    cfg = detector.cfg
    meanings = {
        "boxes": "(N, 4) float32: x0, y0, x1, y1 in pixels of the input",
        "scores": "(N) float32 in [0, 1], in decreasing order",
        "classes": "(N) int64: place in categories, from 0",
        "masks": "(N, M, M) float32 in [0, 1]: probabilities on a grid that fills the box",
    }
    return {
        "input": {
            "name": "image",
            "shape": ["3", "height", "width"],
            "type": "float32",
            "range": [0, 255],
            "channels": cfg.INPUT.FORMAT,
            "normalised": "by the model",
            "resized": {
                "short_side": cfg.INPUT.MIN_SIZE_TEST,
                "long_side_at_most": cfg.INPUT.MAX_SIZE_TEST,
                "how": "bilinear, as Pillow does",
            },
        },
        "outputs": {name: meanings[name] for name in outputs},
        "categories": detector.categories,
        "detector_sha256": sha256_file(detector.path),
    }
