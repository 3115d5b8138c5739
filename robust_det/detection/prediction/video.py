"""Videos: their frames as images, and a video of drawn frames."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robust_det.core.errors import UserError
from robust_det.detection.prediction.sources import Item, stamp_of

__all__ = ["VIDEO_SUFFIXES", "Video", "write_video"]

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_USUAL_RATE = 25.0  # frames a second, for a video that does not say


class Video:
    """The frames of a video, named ``VIDEO_000000``, ``VIDEO_000001``, ...

    Args:
        path: the file.

    Raises:
        UserError: it has no frame that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.place = path.resolve()
        capture = self._open()
        self.rate = capture.get(cv2.CAP_PROP_FPS) or _USUAL_RATE
        self._frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        if not capture.grab():
            raise UserError(f"{path} cannot be read as a video")

    def _open(self) -> Any:
        return cv2.VideoCapture(str(self.place))

    def __len__(self) -> int:
        return self._frames

    def items(self, wanted: Callable[[Item], bool]) -> Iterator[tuple[Item, Any]]:
        """See :class:`~.sources.Source`."""
        capture, stamp, number = self._open(), stamp_of(self.place), 0
        while capture.grab():
            item = Item(f"{self.place.stem}_{number:06d}", stamp)
            # frames come in their order, so they are decoded here and not in a thread
            yield item, capture.retrieve()[1] if wanted(item) else None
            number += 1
        if number < self._frames:
            logger.warning(f"{self.place} ends after {number} of {self._frames} frames")

    def read(self, what: Any, order: str) -> Any:
        """See :class:`~.sources.Source`."""
        return np.ascontiguousarray(what[:, :, ::-1]) if order == "RGB" else what


def write_video(path: Path, pictures: Iterable[Path], rate: float) -> bool:
    """Write drawn frames as an MP4 video.

    Args:
        path: of the video; written beside it first.
        pictures: of one size.
        rate: frames a second.

    Returns:
        Whether this OpenCV can encode it.
    """
    temporary = path.with_name(f".{path.name}.tmp.mp4")
    writer: Any = None
    for picture in pictures:
        frame: Any = cv2.imread(str(picture))
        if writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(temporary), code, rate, frame.shape[1::-1])
            if not writer.isOpened():
                return False
        writer.write(frame)
    if writer is not None:
        writer.release()
        os.replace(temporary, path)
    return True
