"""Videos: their frames as images, and a video of drawn frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from robust_det.core.errors import UserError
from robust_det.detection.prediction.sources import Item, stamp_of

__all__ = ["Video", "repeats", "write_video"]

# frames a second: for a video that does not say, and the most that a drawn one has
_USUAL_RATE, _FASTEST = 25.0, 120.0
# fewer frames than a header says are no damage: many headers have it from the duration
_MISSING = 2


class Video:
    """The frames of a video, upright, named ``VIDEO_000000``, ``VIDEO_000001``, ...

    Args:
        path: the file.

    Attributes:
        rate: frames a second, as the header says.
        times: when each frame is shown, in seconds; of those that were yielded.

    Raises:
        UserError: it has no frame that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.place = path.resolve()
        self.left_out: Mapping[str, Sequence[str]] = {}
        self.problems: Sequence[str] = ()
        self.times: list[float] = []
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if rate > 0 else _USUAL_RATE  # NaN is not
        self._frames = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        if not capture.grab():
            raise UserError(f"{path} cannot be read as a video, or has no frames")

    @property
    def seconds(self) -> float:
        """How long it is, as the header says."""
        return self._frames / self.rate

    def _open(self) -> Any:
        return cv2.VideoCapture(str(self.place))

    def __len__(self) -> int:
        return self._frames

    def items(self, wanted: Callable[[Item], bool]) -> Iterator[tuple[Item, Any]]:
        """See :class:`~.sources.Source`."""
        capture, stamp, number = self._open(), stamp_of(self.place), 0
        self.times, self.problems = [], ()
        while capture.grab():
            self.times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            item = Item(f"{self.place.stem}_{number:06d}", stamp)
            # frames come in their order, so they are decoded here and not in a thread
            yield item, capture.retrieve()[1] if wanted(item) else None
            number += 1
        # of a varying rate, the header's number of frames may be that of its duration
        reached = max(number, round(self.times[-1] * self.rate) + 1) if number else 0
        if reached + _MISSING < self._frames:
            self.problems = (f"{self.place} ends after {number} of {self._frames} frames",)

    def read(self, what: Any, order: str) -> Any:
        """See :class:`~.sources.Source`."""
        return np.ascontiguousarray(what[:, :, ::-1]) if order == "RGB" else what


def repeats(times: Sequence[float], rate: float, seconds: float) -> tuple[float, list[int]]:
    """Return at which constant rate to show frames, and each how often, so that none is shown
    earlier or later than in a video of a varying rate.

    Args:
        times: when each is shown, in seconds.
        rate: frames a second, as the header says.
        seconds: how long the video is, as the header says.
    """
    since, once = np.array(times) - times[0], [1] * len(times)
    gaps = np.diff(since)
    if not len(gaps) or not np.all(gaps > 0):  # a file that says no times
        return min(rate, _FASTEST), once
    if rate <= _FASTEST and np.abs(since * rate - np.arange(len(since))).max() < 0.5:
        return rate, once
    last = seconds - since[-1]
    if not 0 < last <= gaps.max():
        last = float(np.median(gaps))
    rate = float(min(1 / gaps.min(), _FASTEST))
    ends = np.rint(np.append(since, since[-1] + last) * rate).astype(int)
    ends[-1] = max(ends[-1], ends[-2] + 1)
    return rate, np.diff(ends).tolist()


def write_video(path: Path, pictures: Sequence[Path], video: Video) -> bool:
    """Write drawn frames as an MP4 video of a constant rate that lasts as long as theirs.

    Args:
        path: of the video; written beside it first.
        pictures: of all its frames.
        video: whose frames they are.

    Returns:
        Whether this OpenCV can encode it.
    """
    temporary = path.with_name(f".{path.name}.tmp.mp4")
    rate, counts = repeats(video.times, video.rate, video.seconds)
    writer: Any = None
    for picture, count in zip(pictures, counts, strict=True):
        frame: Any = cv2.imread(str(picture))
        if writer is None:
            size = frame.shape[1::-1]
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
            if not writer.isOpened():
                return False
        if frame.shape[1::-1] != size:  # which would be left out
            frame = cv2.resize(frame, size)
        for _ in range(count):
            writer.write(frame)
    if writer is not None:
        writer.release()
        os.replace(temporary, path)
    return True
