"""From the name of a published model to its converted file in the cache, once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robust_det.errors import UserError
from robust_det.files import remove_leftovers
from robust_det.zoo.download import download
from robust_det.zoo.folders import cached_file, download_folder
from robust_det.zoo.registry import PublishedModel, get_model

__all__ = ["fetch"]

logger = logging.getLogger(__name__)


def fetch(name: str) -> Path:
    """Return the cached conversion of a published model; download and convert it if need be.

    Of several processes that ask at once, one does the work and the others wait for it. The
    original is removed after a verified conversion, unless it was there before.

    Args:
        name: of a published model.

    Raises:
        Unavailable: it would have to be downloaded and cannot be; says how to place it by hand.
        UserError: unknown name, a damaged file, or a folder that cannot be written to.
    """
    model = get_model(name)
    target = cached_file(model.name)
    if target.is_file():
        return target
    with _alone(target):
        if target.is_file():  # the process that was waited for made it
            return target
        remove_leftovers(target)
        source, downloaded = download(model, download_folder())
        _convert(model, source, target, verified=downloaded)
        if downloaded:
            source.unlink(missing_ok=True)
    return target


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock of a cached file. The system frees it when its holder dies."""
    from filelock import FileLock, Timeout

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(target.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.info("waiting for another process, which is fetching %s", target.stem)
            lock.acquire()
    except OSError as error:
        raise UserError(
            f"cannot write to the cache {target.parent}: {error.strerror or error};"
            " set ROBUST_DET_CACHE to a folder of yours"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _convert(model: PublishedModel, source: Path, target: Path, verified: bool) -> None:
    from robust_det.conversion.convert import convert

    logger.info("converting %s, with proof that its features survive", source.name)
    try:
        done = convert(
            source,
            target,
            arch=model.arch,
            norm=model.norm or None,
            eps=model.eps,
            overwrite=True,
        )
    except UserError as error:
        if verified:
            raise
        raise UserError(
            f"{error}; if {source} is damaged, delete it, and it is downloaded anew"
        ) from error
    for note in done.notes:
        logger.info("%s: %s", source.name, note)
    both = zip(*(done.differences[kind].items() for kind in ("random", "real")), strict=True)
    stages = ", ".join(f"{stage} {a:.1e} / {b:.1e}" for (stage, a), (_, b) in both)
    logger.info("largest difference of each stage, random / real images: %s", stages)
    logger.info("cached %s", target)
