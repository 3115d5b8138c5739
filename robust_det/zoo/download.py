"""Downloading the original file of a published model: resumed and verified.

What has arrived is in ``FILE.HASH.part``, so that a later attempt goes on where this one broke off.
``hf_hub_download`` of today's huggingface_hub would not: it writes to a file of a random name and
removes it on failure. The ``http_get`` below it does the transfer here. A complete download keeps
that name: ``FILE`` is what people placed there themselves.
"""

from __future__ import annotations

import glob
import logging
import os
import re
from dataclasses import dataclass
from http import HTTPStatus
from http.client import responses
from pathlib import Path

from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.core.progress import progress_bar
from robust_det.zoo.published import HUB_REPOSITORY, PublishedModel

__all__ = ["SHA256", "Unavailable", "download", "wrong_with"]

logger = logging.getLogger(__name__)

SHA256 = re.compile(r"[0-9a-f]{64}")
# what a server answers that would like to be asked again later
_BUSY = (408, 429, 500, 502, 503, 504)


class Unavailable(UserError):
    """A file cannot be had from the network; the message says how to place it by hand."""


@dataclass(frozen=True)
class _Remote:
    """What the server says of a file; ``sha256`` may be its first digits only."""

    url: str
    headers: dict[str, str]
    sha256: str
    size: int | None = None


def download(model: PublishedModel, folder: Path) -> Path:
    """Download the original file of a model, or what is missing of it, and verify it.

    Not for two processes at once: see :func:`robust_det.zoo.fetch.fetch`.

    Returns:
        The file, ``FILE.HASH.part`` in the folder. It may have been there, complete.

    Raises:
        Unavailable: no network, no such file on the server, or the connection broke off.
        UserError: size or hash are not what they should be, or the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _complete(model, folder) or _downloaded(model, folder)
    except UserError:
        raise
    except Exception as error:  # httpx2, httpx or requests: the client below differs by version
        if _is_of_the_disk(error):
            raise UserError(
                f"cannot write to {folder}: {getattr(error, 'strerror', error)}; make room, or set"
                " ROBUST_DET_CACHE to another folder"
            ) from error
        raise Unavailable(
            f"cannot download {model.file}: {_reason(error)}; get it from {_url(model)} in another"
            f" way and put it into {folder}"
        ) from error


def _parts(model: PublishedModel, folder: Path) -> list[Path]:
    return list(folder.glob(f"{glob.escape(model.file)}.*.part"))


def _complete(model: PublishedModel, folder: Path) -> Path | None:
    """Return a part that is the whole file, or None."""
    for part in _parts(model, folder):
        _, sha256, _ = part.name.rsplit(".", 2)
        if not wrong_with(part, sha256):
            return part
    return None


def _downloaded(model: PublishedModel, folder: Path) -> Path:
    remote = _remote(model)
    part = folder / f"{model.file}.{remote.sha256}.part"
    for old in _parts(model, folder):
        if old != part:  # of another version of the file
            old.unlink()
    _transfer(remote, part, model.file)
    if wrong := wrong_with(part, remote.sha256, remote.size):
        part.unlink()
        raise UserError(f"the download of {model.file} has {wrong}; deleted it, try again")
    return part


def _url(model: PublishedModel) -> str:
    from huggingface_hub import hf_hub_url

    return model.url or hf_hub_url(HUB_REPOSITORY, model.file)


def _remote(model: PublishedModel) -> _Remote:
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.utils import build_hf_headers

    url = _url(model)
    if model.url:
        return _Remote(url, {}, model.sha256_prefix)
    try:
        told = get_hf_file_metadata(url)
    except Exception as error:
        # repeated for these alone: without a network, people would wait half a minute to hear it
        if _status(error) not in _BUSY:
            raise
        told = get_hf_file_metadata(url, retry_on_errors=True)
    # The hub gives large files their SHA-256 as ETag. What answers without one is something else,
    # such as the log-in page of a network.
    if told.etag is None or not SHA256.fullmatch(told.etag):
        raise ValueError("the server states no SHA-256, so it is no Hugging Face hub")
    return _Remote(url, build_hf_headers(), told.etag, told.size)


def _transfer(remote: _Remote, part: Path, label: str) -> None:
    """Append to ``part`` what is missing; it stays when the connection breaks off."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import are_progress_bars_disabled

    done = part.stat().st_size if part.exists() else 0
    how_far = f", from byte {done:,} on" if done else ""
    size = f" ({remote.size:,} bytes)" if remote.size else ""
    logger.info("downloading %s%s%s", remote.url, size, how_far)
    # a server that compresses would ignore the range
    headers = {**remote.headers, "Accept-Encoding": "identity"}
    try:
        visible = not are_progress_bars_disabled()
        with open(part, "ab") as file, progress_bar(remote.size, label, "B", visible, done) as bar:
            http_get(
                remote.url,
                file,
                resume_size=done,
                headers=headers,
                _nb_retries=1,  # until something arrives, and five from then on
                _tqdm_bar=bar,  # its own shows nothing where there is no terminal
            )
            file.flush()
            os.fsync(file.fileno())
    except Exception as error:
        if _status(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()  # or no attempt would ever get beyond it
        raise


def wrong_with(path: Path, sha256: str, size: int | None = None) -> str:
    """Return what is wrong with a file, or nothing; of ``sha256`` the first digits may do."""
    found = path.stat().st_size
    if size is not None and found != size:
        return f"{found:,} bytes instead of {size:,}"
    digest = sha256_file(path)[: len(sha256)] if sha256 else ""
    return f"SHA-256 {digest} instead of {sha256}" if digest != sha256 else ""


def _is_of_the_disk(error: Exception) -> bool:
    # the clients wrap what the network raises, in errors without an errno
    return (
        isinstance(error, OSError)
        and error.errno is not None
        and not isinstance(error, (ConnectionError, TimeoutError))
    )


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _reason(error: Exception) -> str:
    from huggingface_hub import get_token
    from huggingface_hub.utils import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    status = _status(error)
    if status is not None:
        text = f"HTTP {status} {responses.get(status, '')}".strip()
        refused = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) and get_token()
        return f"{text} (of HF_TOKEN or 'hf auth login': is that token right?)" if refused else text
    text = re.sub(r"^\[Errno -?\d+\] ", "", " ".join(str(error).split()))
    return text or type(error).__name__
