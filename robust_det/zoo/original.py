"""The original file of a published model: placed by hand, in the hub's own cache, or downloaded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.zoo.download import SHA256, download, wrong_with
from robust_det.zoo.published import HUB_REPOSITORY, PublishedModel

__all__ = ["Original", "find_original"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Original:
    """A model's file as it was published.

    Attributes:
        path: the file.
        verified: whether its hash is the publisher's; nobody states it for some that are there.
        ours: whether it was downloaded here, and may go.
    """

    path: Path
    verified: bool
    ours: bool


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
    return _in_hub_cache(model) or Original(download(model, folder), verified=True, ours=True)


def _there_already(path: Path, verified: bool) -> Original:
    unknown = "" if verified else "; its hash is not known here, so it could not be checked"
    logger.info("using %s, which is there already%s", path, unknown)
    return Original(path, verified, ours=False)


def _in_hub_cache(model: PublishedModel) -> Original | None:
    """Return the file from huggingface_hub's own cache, where other programs may have put it."""
    from huggingface_hub import try_to_load_from_cache

    found = None if model.url else try_to_load_from_cache(HUB_REPOSITORY, model.file)
    if not isinstance(found, str):
        return None
    path = Path(found)
    # it is a link to a file that is named by its hash, where the system has links
    name = path.resolve().name
    sha256 = name if SHA256.fullmatch(name) else ""
    if wrong := wrong_with(path, sha256):
        logger.warning("%s is not used, as it has %s", path, wrong)
        return None
    return _there_already(path, verified=bool(sha256))
