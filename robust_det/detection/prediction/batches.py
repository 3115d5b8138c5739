"""Images read and resized ahead of the model, in batches of a size that changes no result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from robust_det.detection.detector import Detector
from robust_det.detection.prediction.sources import Item, Source, Unreadable

__all__ = ["Loaded", "batches", "load_ahead"]

_THREADS = 8
# batches that may wait for images of their shape
_WAITING = 4
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Loaded:
    """An image as it is and as the model takes it.

    Attributes:
        item: which one.
        pixels: (H, W, 3) uint8, in the channel order of ``INPUT.FORMAT``.
        image: (3, h, w) uint8, resized.
        problem: why it cannot be read; the others are None then.
    """

    item: Item
    pixels: Any = None
    image: Any = None
    problem: str = ""

    def model_input(self) -> dict[str, Any]:
        """Return what Detectron2's models take; boxes come out in pixels of the original."""
        height, width = self.pixels.shape[:2]
        return {"image": self.image, "height": height, "width": width}


def load_ahead(
    detector: Detector, source: Source, items: Iterable[tuple[Item, Any]], ahead: int
) -> Iterator[Loaded]:
    """Read and resize images in threads, and yield them in their order.

    Args:
        detector: for which they are.
        source: reads them.
        items: of it, with what it needs to read them.
        ahead: how many may be ready before they are asked for.
    """
    resize, order = detector.resize, detector.cfg.INPUT.FORMAT

    def load(entry: tuple[Item, Any]) -> Loaded:
        item, what = entry
        try:
            pixels = source.read(what, order)
        except Unreadable as error:
            return Loaded(item, problem=str(error))
        try:
            resized = resize.get_transform(pixels).apply_image(pixels)
        except ValueError as error:  # a side of less than half a pixel would be left
            return Loaded(item, problem=f"cannot be resized: {error}")
        image = torch.as_tensor(np.ascontiguousarray(resized.transpose(2, 0, 1)))
        return Loaded(item, pixels, image)

    return _in_threads(load, items, ahead)


def _in_threads(work: Callable[[_In], _Out], entries: Iterable[_In], ahead: int) -> Iterator[_Out]:
    queue: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        for entry in entries:
            queue.append(pool.submit(work, entry))
            if len(queue) > ahead:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()


def batches(images: Iterable[Loaded], size: int, divisibility: int) -> Iterator[list[Loaded]]:
    """Group images that the model pads to the same shape.

    Padding an image further, to the shape of a larger one, would change its features at the
    border, and its boxes with them. An image that finds no companions soon goes in a smaller batch.

    Args:
        images: as they come.
        size: images in a batch at most.
        divisibility: of the padded sides, the backbone's ``size_divisibility``.
    """
    waiting: dict[tuple[int, ...], list[Loaded]] = {}
    for loaded in images:
        unit = max(divisibility, 1)
        shape = tuple(-(-side // unit) for side in loaded.image.shape[1:])
        group = waiting.setdefault(shape, [])
        group.append(loaded)
        if len(group) == size:
            yield waiting.pop(shape)
        elif sum(map(len, waiting.values())) >= _WAITING * size:
            yield waiting.pop(max(waiting, key=lambda shape: len(waiting[shape])))
    yield from waiting.values()
