"""From the name of a published model to its converted file in the cache, once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from robust_det.core.errors import FileError, UserError
from robust_det.core.files import remove_leftovers
from robust_det.core.folders import cached_file, download_folder
from robust_det.core.locks import in_turn
from robust_det.zoo.original import Original, find_original
from robust_det.zoo.published import PublishedModel, get_model

__all__ = ["fetch"]

logger = logging.getLogger(__name__)


def fetch(name: str) -> Path:
    """Return the cached conversion of a published model; download and convert it if need be.

    Of several processes that ask at once, one does the work and the others wait for it. The
    original is removed after a verified conversion, unless it was there before. A cached file that
    cannot be read is made anew.

    Args:
        name: of a published model.

    Raises:
        Unavailable: it would have to be downloaded and cannot be; says how to place it by hand.
        UserError: unknown name, a damaged file, or a folder that cannot be written to.
    """
    model = get_model(name)
    target = cached_file(model.name)
    if not _problem(model, target):
        return target
    with _alone(target):
        problem = _problem(model, target)
        if not problem:  # the process that was waited for made it
            return target
        if target.is_file():
            logger.warning("making it anew: %s", problem)
        remove_leftovers(target)
        original = find_original(model, download_folder())
        _convert(model, original, target)
        if original.download is not None:
            shutil.rmtree(original.download, ignore_errors=True)
    return target


def _problem(model: PublishedModel, target: Path) -> str:
    """Return why the cached file of a model cannot be used, or nothing."""
    if not target.is_file():
        return f"there is no {target}"
    from robust_det.checkpoints.backbone_file import read_card

    try:
        contradiction = model.contradiction(read_card(target))
    except UserError as error:
        return str(error)
    return f"{target} {contradiction}" if contradiction else ""


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Hold the lock of a cached file. The system frees it when its holder dies."""
    with ExitStack() as held:
        try:
            held.enter_context(in_turn(target, f"fetching {target.stem}"))
        except OSError as error:
            raise UserError(
                f"cannot write to the cache {target.parent}: {error.strerror or error};"
                " set ROBUST_DET_CACHE to a folder of yours"
            ) from error
        yield


def _convert(model: PublishedModel, original: Original, target: Path) -> None:
    from robust_det.conversion.convert import convert

    logger.info("converting %s, with proof that its features survive", model.file)
    try:
        done = convert(
            original.path,
            target,
            arch=model.arch,
            norm=model.norm or None,
            eps=model.eps,
            overwrite=True,
        )
    except FileError as error:
        if original.verified:
            raise
        # what it advises is for a file of one's own
        raise FileError(
            f"{error.problem}, so it is not the published {model.name}",
            "delete it, and that is downloaded",
            error.source,
        ) from error
    for note in done.notes:
        logger.info("%s: %s", model.file, note)
    both = zip(*(done.differences[kind].items() for kind in ("random", "real")), strict=True)
    stages = ", ".join(f"{stage} {a:.1e} / {b:.1e}" for (stage, a), (_, b) in both)
    logger.info("largest difference of each stage, random / real images: %s", stages)
    logger.info("cached %s", target)
