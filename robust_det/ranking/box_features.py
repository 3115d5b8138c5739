"""Features of boxes on a frozen backbone: ROIAlign of two stages, averaged over each box.

A detector without a feature pyramid pools its boxes from ``res4`` and computes ``res5`` of them;
one with a pyramid mixes all stages. Here both stages are pooled as they are, and put side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from detectron2.data import transforms as T
from detectron2.layers import ROIAlign
from detectron2.modeling import Backbone
from numpy.typing import NDArray

from robust_det.core.errors import FileError
from robust_det.detection.mapping.decoding import read_image
from robust_det.ranking.boxes import BoxImage
from robust_det.zoo.load import load_backbone

__all__ = ["STAGES", "Pixels", "box_features", "usual_size"]

STAGES = ("res4", "res5")
_BINS = 7  # of a box, a side, as detectors pool them
_LONGEST = 1333 / 800  # longer over shorter side, as detectors limit it
_SMALLEST, _LARGEST, _STEP = 64, 256, 32  # of sizes that are chosen
_BATCH = 8  # images
_KEPT = 1 << 30  # bytes of decoded images, for the next backbone
_THREADS = 2


def usual_size(images: Sequence[BoxImage]) -> int:
    """Return the shorter side that images are brought to: their median, from 64 to 256 pixels."""
    median = float(np.median([min(image.width, image.height) for image in images]))
    return int(min(max(median // _STEP * _STEP, _SMALLEST), _LARGEST))


class Pixels:
    """Images of one shorter side, which are decoded once if they fit into some memory.

    Args:
        images: in their order.
        size: of the shorter side in pixels.
    """

    def __init__(self, images: Sequence[BoxImage], size: int) -> None:
        self.images = images
        self._resize = T.ResizeShortestEdge(size, round(size * _LONGEST))
        self._kept: dict[int, NDArray[np.uint8]] = {}
        self._bytes = 0

    def shape(self, index: int) -> tuple[int, int]:
        """Return height and width of an image as it is used."""
        transform = self._transform(index)
        return transform.new_h, transform.new_w

    def _transform(self, index: int) -> T.ResizeTransform:
        image = self.images[index]
        # the transform looks at the shape alone
        return self._resize.get_transform(
            np.broadcast_to(np.uint8(0), (image.height, image.width, 3))
        )

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Return the pixels (H, W, 3), RGB, uint8.

        Raises:
            FileError: it is no whole image, or not of the size that the annotations say.
            OSError: it is not there.
        """
        if index in self._kept:
            return self._kept[index]
        image = self.images[index]
        pixels = read_image(image.file, "RGB")
        height, width = pixels.shape[:2]
        if (width, height) != (image.width, image.height):
            raise FileError(
                f"has {width} x {height} pixels, and its annotations say"
                f" {image.width} x {image.height}",
                "robust-det inspect shows all such images; mend the annotations",
                f"image {image.file}",
            )
        pixels = self._transform(index).apply_image(pixels)
        if self._bytes + pixels.nbytes <= _KEPT:
            self._bytes += pixels.nbytes
            self._kept[index] = pixels
        return pixels


@torch.inference_mode()
def box_features(
    backbone: str | Path,
    pixels: Pixels,
    device: torch.device,
    advance: Callable[[int], object],
) -> torch.Tensor:
    """Return the features of all boxes, one image after the other.

    Each stage is divided by the root of its features' summed variances, so that neither of the two
    outweighs the other by its scale, which networks choose freely.

    Args:
        backbone: a file, or a name of the zoo.
        pixels: of the images.
        device: where to compute.
        advance: is told how many images were done.

    Returns:
        (N, D) float32 on the CPU, D being the channels of :data:`STAGES`.

    Raises:
        UserError: the backbone cannot be read.
        FileError, OSError: see :class:`Pixels`.
    """
    # the layout that is faster on CPUs too
    network = load_backbone(backbone, out_features=STAGES)
    network.to(device, memory_format=torch.channels_last)
    poolers = {
        name: ROIAlign((_BINS, _BINS), 1 / shape.stride, 0, aligned=True)
        for name, shape in network.output_shape().items()
    }
    mean, std = (torch.tensor(each, device=device)[:, None, None] for each in _scaling(network))
    found: dict[int, torch.Tensor] = {}
    for batch, images in _batches(pixels):
        stacked = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
        stages = network((stacked.float() - mean) / std)
        rois = torch.cat([_rois(pixels, index, place) for place, index in enumerate(batch)])
        pooled = torch.cat(
            [poolers[n](stages[n], rois.to(device)).mean((2, 3)) for n in STAGES], dim=1
        )
        counts = [len(pixels.images[index].labels) for index in batch]
        found |= zip(batch, pooled.cpu().split(counts), strict=True)
        advance(len(batch))
    features = torch.cat([found[index] for index in range(len(pixels.images))])
    widths = [network.output_shape()[name].channels for name in STAGES]
    return torch.cat([_of_unit_variance(part) for part in features.split(widths, dim=1)], dim=1)


def _scaling(network: Backbone) -> tuple[list[float], list[float]]:
    """Return mean and std of a backbone's normalisation, for pixels from 0 to 255."""
    card = network.card
    return [255 * v for v in card.mean], [255 * v for v in card.std]


def _batches(pixels: Pixels) -> Iterator[tuple[tuple[int, ...], NDArray[np.uint8]]]:
    """Give numbers of images of one shape, and their pixels (n, H, W, 3); the next ones are decoded
    meanwhile."""
    of_shape: dict[tuple[int, int], list[int]] = {}
    for index in range(len(pixels.images)):
        of_shape.setdefault(pixels.shape(index), []).append(index)
    todo = [
        tuple(members[start : start + _BATCH])
        for members in of_shape.values()
        for start in range(0, len(members), _BATCH)
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead = [pool.submit(pixels.__getitem__, index) for index in todo[0]]
        for number, batch in enumerate(todo):
            images = np.stack([each.result() for each in ahead])
            following = todo[number + 1] if number + 1 < len(todo) else ()
            ahead = [pool.submit(pixels.__getitem__, index) for index in following]
            yield batch, images


def _rois(pixels: Pixels, index: int, place: int) -> torch.Tensor:
    """Return (n, 5): the place in the batch, and the corners of an image's boxes as it is used."""
    image = pixels.images[index]
    height, width = pixels.shape(index)
    corners = image.boxes * np.tile([width / image.width, height / image.height], 2)
    boxes = torch.from_numpy(corners).float()
    return torch.cat([torch.full((len(boxes), 1), float(place)), boxes], dim=1)


def _of_unit_variance(features: torch.Tensor) -> torch.Tensor:
    total = float(features.var(0, correction=0).double().sum())
    # of features that do not vary at all, whoever fits them says so
    return features / total**0.5 if total > 0 else features
