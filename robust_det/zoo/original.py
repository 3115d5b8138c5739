"""The original file of a published model: placed by hand, in the hub's own cache, or downloaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.zoo.download import SHA256, download, own_folder, wrong_with
from robust_det.zoo.published import HUB_REPOSITORY, PublishedModel

__all__ = ["Original", "find_original"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Original:
    """A model's file as it was published.

    Attributes:
        path: the file.
        verified: whether its hash is the publisher's; nobody states it for some that are there.
        download: the folder that it was downloaded to here, which may go; None if others put it
            where it is.
    """

    path: Path
    verified: bool
    download: Path | None = None


def find_original(model: PublishedModel, folder: Path) -> Original:
    """Return the original file of a model, downloading it if need be.

    Args:
        model: whose file it is.
        folder: where it is looked for first, and downloaded to.

    Raises:
        UserError: a file that is there has another hash; or see :func:`download`.
    """
    path = folder / model.file
    if path.is_file():
        if wrong := wrong_with(path, model.sha256_prefix):
            raise UserError(f"{path} has {wrong}; delete it, and it is downloaded anew")
        return _there_already(path, verified=bool(model.sha256_prefix))
    own = own_folder(model, folder)
    # of a process that was interrupted before it had converted it, or that of other programs
    found = _in_hub_cache(model, own) or _in_hub_cache(model, None)
    return found or Original(download(model, folder), verified=True, download=own)


def _there_already(path: Path, verified: bool, download: Path | None = None) -> Original:
    unknown = "" if verified else "; its hash is not known here, so it could not be checked"
    logger.info("using %s, which is there already%s", path, unknown)
    return Original(path, verified, download)


def _in_hub_cache(model: PublishedModel, cache: Path | None) -> Original | None:
    """Return the file from a cache of huggingface_hub: one of ours, or, if None, its own."""
    from huggingface_hub import try_to_load_from_cache

    found = None
    if not model.url:
        found = try_to_load_from_cache(HUB_REPOSITORY, model.file, cache_dir=cache)
    if not isinstance(found, str):
        return None
    path = Path(found)
    # it is a link to a file that is named by its hash, where the system has links
    name = path.resolve().name
    sha256 = name if SHA256.fullmatch(name) else ""
    if wrong := wrong_with(path, sha256):
        logger.warning("%s is not used, as it has %s", path, wrong)
        return None
    return _there_already(path, verified=bool(sha256), download=cache)
