"""What is asked of a comparison beyond its tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes:
        significance: intervals and paired differences.
        errors: the kinds of errors.
        resamples, seed: of the bootstrap.
        annotations: ground truth to use where its hash is a record's.
        interval: of single figures, one of :data:`~.significance.bootstrap.INTERVALS`.
        pictures: how many images of a setting are drawn, at most.
        where_possible: leave out the backbones whose runs have not what intervals and errors need,
            with a note, rather than refuse all.
        images: folders in which images are looked for before those that records name.
        latex: the tables for a paper as well.
    """

    significance: bool = False
    errors: bool = False
    resamples: int = 1000
    seed: int = 0
    annotations: tuple[str | Path, ...] = ()
    interval: str = "basic"
    pictures: int = 6
    images: tuple[str | Path, ...] = ()
    where_possible: bool = False
    latex: bool = False

    def check(self) -> None:
        """Refuse options that say what is not so, or that have no effect.

        Raises:
            UserError: one does.
        """
        for path in self.annotations:
            if not Path(path).is_file():
                raise UserError(f"--annotations {path} is not a file; give the ground truth's JSON")
        for path in self.images:
            if not Path(path).is_dir():
                raise UserError(f"--images {path} is not a folder; give that of the test images")
        if self.pictures < 0:
            raise UserError("--pictures is a number of images, from 0 on")
        if self.images and not self.pictures:
            raise UserError("--images is of pictures, and there are none; leave it out")
        if self.annotations and not (self.pictures or self.wanted):
            raise UserError(
                "--annotations is of pictures, --significance and --errors; leave it out"
            )

    @property
    def wanted(self) -> bool:
        """Whether intervals or errors are asked for, which need the detections."""
        return self.significance or self.errors
