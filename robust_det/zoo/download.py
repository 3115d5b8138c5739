"""Downloading the original file of a published model, and verifying it.

``huggingface_hub`` brings what is on the hub: it asks a busy server again, goes on where a
connection broke off, and has its own settings, such as ``HF_ENDPOINT``. ``torch.hub`` brings the
rest. A download has a folder of its own until it is converted: ``FILE`` itself is what people
placed there.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
from http import HTTPStatus
from http.client import responses
from pathlib import Path

from robust_det.core.errors import UserError, reason_of
from robust_det.core.files import sha256_file
from robust_det.zoo.published import HUB_REPOSITORY, PublishedModel

__all__ = ["SHA256", "Unavailable", "download", "own_folder", "wrong_with"]

logger = logging.getLogger(__name__)

SHA256 = re.compile(r"[0-9a-f]{64}")
# what a server answers that would like to be asked again later
_BUSY = (408, 429, 500, 502, 503, 504)


class Unavailable(UserError):
    """A file cannot be had from the network; the message says how to place it by hand."""


def own_folder(model: PublishedModel, folder: Path) -> Path:
    """Return what in the folder of downloads belongs to the download of a model, as a whole."""
    return folder / f"{model.name}.download"


def download(model: PublishedModel, folder: Path) -> Path:
    """Download the original file of a model into :func:`own_folder`, and verify it.

    Not for two processes at once: see :func:`robust_det.zoo.fetch.fetch`.

    Returns:
        The file.

    Raises:
        Unavailable: no network, no such file on the server, or the connection broke off.
        UserError: the hash is not what it should be, or the folder cannot be written to.
    """
    own = own_folder(model, folder)
    # of a process that was killed
    shutil.rmtree(own, ignore_errors=True)
    try:
        own.mkdir(parents=True)
        path, sha256 = _from_elsewhere(model, own) if model.url else _from_hub(model, own)
        if wrong := wrong_with(path, sha256):
            raise UserError(f"the download of {model.file} has {wrong}", "deleted it, try again")
        return path
    except BaseException as error:
        shutil.rmtree(own, ignore_errors=True)
        if isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        if _is_of_the_disk(error):
            raise UserError(
                f"cannot write to {folder}: {getattr(error, 'strerror', error)}",
                "make room, or set ROBUST_DET_CACHE to another folder",
            ) from error
        raise Unavailable(
            f"cannot download {model.file}: {_reason(error)}",
            f"get it from {_url(model)} in another way and put it into {folder}",
        ) from error


def _url(model: PublishedModel) -> str:
    from huggingface_hub import hf_hub_url

    return model.url or hf_hub_url(HUB_REPOSITORY, model.file)


def _from_hub(model: PublishedModel, own: Path) -> tuple[Path, str]:
    """Return the file, and the SHA-256 that the hub states."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download

    url = _url(model)
    # asked first, as the download below would take half a minute to say that there is no network
    try:
        told = get_hf_file_metadata(url)
    except Exception as error:
        if _status(error) not in _BUSY:
            raise
        told = get_hf_file_metadata(url, retry_on_errors=True)
    # The hub gives large files their SHA-256 as ETag. What answers without one is something else,
    # such as the log-in page of a network.
    if told.etag is None or not SHA256.fullmatch(told.etag):
        raise ValueError("the server states no SHA-256, so it is no Hugging Face hub")
    logger.info("downloading %s (%s bytes)", url, f"{told.size:,}" if told.size else "?")
    return Path(hf_hub_download(HUB_REPOSITORY, model.file, cache_dir=own)), told.etag


def _from_elsewhere(model: PublishedModel, own: Path) -> tuple[Path, str]:
    """Return the file, and the first digits of its SHA-256, which are part of its name."""
    from huggingface_hub import is_offline_mode
    from huggingface_hub.errors import OfflineModeIsEnabled
    from torch.hub import download_url_to_file

    if is_offline_mode():
        raise OfflineModeIsEnabled
    logger.info("downloading %s", model.url)
    path = own / model.file
    download_url_to_file(model.url, str(path), progress=sys.stderr.isatty())
    return path, model.sha256_prefix


def wrong_with(path: Path, sha256: str) -> str:
    """Return what is wrong with a file, or nothing; of ``sha256`` the first digits may do."""
    digest = sha256_file(path)[: len(sha256)] if sha256 else ""
    return f"SHA-256 {digest} instead of {sha256}" if digest != sha256 else ""


def _is_of_the_disk(error: Exception) -> bool:
    # the clients wrap what the network raises, in errors without an errno
    return (
        isinstance(error, OSError)
        and error.errno is not None
        and not isinstance(error, (ConnectionError, TimeoutError))
    )


def _status(error: BaseException) -> int | None:
    """Return the HTTP status in an error of huggingface_hub, or of urllib, which torch.hub uses."""
    return getattr(getattr(error, "response", None), "status_code", getattr(error, "code", None))


def _reason(error: BaseException) -> str:
    from huggingface_hub import get_token
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # why it was looked for in the cache, where it is not
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    status = _status(error)
    if status is not None:
        text = f"HTTP {status} {responses.get(status, '')}".strip()
        refused = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and get_token()
        return f"{text} (of HF_TOKEN or 'hf auth login': is that token right?)" if refused else text
    return re.sub(r"^\[Errno -?\d+\] ", "", reason_of(error))
