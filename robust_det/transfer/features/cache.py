"""Features that were extracted once, kept under what they depend on.

A file of safetensors, named by the digest of its key, with the key and a checksum in its metadata.
What is not whole, or of another key, is told of, and extracted anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from robust_det.classification.image_sets import CorruptImageError
from robust_det.core.errors import FileError, UserError, reason_of
from robust_det.core.files import remove_leftovers, require_regular, write_atomically
from robust_det.core.folders import cache_folder
from robust_det.core.locks import in_turn, sole_writer
from robust_det.data.transfer.manifest import Entry
from robust_det.transfer.features.extraction import Features

__all__ = ["EXTRACTOR", "FeatureKey", "cached_features", "images_digest"]

logger = logging.getLogger(__name__)

EXTRACTOR = 1  # another one when the same key gives other features
_DTYPES = {"values": torch.float32, "targets": torch.int64, "indices": torch.int64}
_WORDS = {
    "weights_sha256": "weights",
    "images": "images",
    "transform": "sizes or normalisation",
    "precision": "precision",
    "extractor": "version",
}


@dataclass(frozen=True)
class FeatureKey:
    """What features depend on.

    Attributes:
        weights_sha256: of the file of the network's weights.
        images: see :func:`images_digest`.
        transform: what is done to an image: resizing, size, downscaling, mean and std; as a text,
            or as plain values.
        precision: of the passes, see :func:`.extraction.extract`.
        extractor: the version of the code that extracts.
    """

    weights_sha256: str
    images: str
    transform: str | Mapping[str, Any]
    precision: str = "fp32"
    extractor: int = EXTRACTOR

    @property
    def json(self) -> str:
        """The key in canonical form."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(self.json.encode()).hexdigest()


def images_digest(entries: Iterable[Entry], classes: Sequence[str]) -> str:
    """Return 64 hexadecimal digits that stand for images, their order, and their targets.

    Where the images lie, and what their files are called, does not matter.

    Args:
        entries: the images, in the order in which features are extracted.
        classes: the names of the classes, whose order makes labels numbers.
    """
    digest = hashlib.sha256(json.dumps(list(classes)).encode())
    for entry in entries:
        digest.update(json.dumps([entry.label, entry.sha256]).encode())
    return digest.hexdigest()


def cached_features(
    key: FeatureKey,
    compute: Callable[[], Features],
    folder: Path | None = None,
    on_corrupt: str = "stop",
    what: str = "images",
) -> Features:
    """Return the features of a key: those that were kept, or computed and kept.

    Of processes that ask for the same at once, one computes it, and the others wait. What cannot be
    kept, since the disk is full or may not be written, is returned all the same, with a warning.

    Args:
        key: all that the features depend on.
        compute: extracts them.
        folder: of the files, by default ``features`` in the cache folder.
        on_corrupt: ``stop``, or ``skip``: whether the features may lack images that could not be
            decoded. They may have been kept by who skips such.
        what: the features are of, in messages.

    Raises:
        CorruptImageError: they lack such, and may not.
    """
    path = (folder or cache_folder() / "features") / f"{key.digest}.safetensors"
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):  # nothing can be kept there, as a warning will say
            held.enter_context(in_turn(path, f"extracting features of the same {what}"))
        features = _kept(path, key, what)
        if features is None:
            features = compute()
            _keep(path, key, features, what)
    if features.corrupt and on_corrupt == "stop":
        raise CorruptImageError(
            f"cannot decode {features.corrupt[0]}",
            "put a whole image in its place, or set DATA.ON_CORRUPT skip",
        )
    return features


def _kept(path: Path, key: FeatureKey, what: str) -> Features | None:
    """Return what was kept; None if there is nothing, or nothing that can be used."""
    try:
        features = _read(path, key)
    except FileNotFoundError:
        return None
    except (FileError, OSError) as error:
        reason = error.reason if isinstance(error, FileError) else f"cannot be read: {error}"
        logger.warning(f"the cached features in {path} are not used: it {reason}; extracted anew")
        return None
    without = f", without {len(features.corrupt)} corrupt ones" if features.corrupt else ""
    logger.info(f"features of {len(features.values):,} {what}{without} from the cache {path}")
    return features


def _keep(path: Path, key: FeatureKey, features: Features, what: str) -> None:
    tensors = {name: getattr(features, name).contiguous() for name in _DTYPES}
    corrupt = json.dumps(features.corrupt)
    metadata = {"key": key.json, "corrupt": corrupt, "sha256": _checksum(tensors, corrupt)}
    try:
        with sole_writer(path.parent, path.name):
            remove_leftovers(path)
            content = safetensors_bytes(tensors, metadata)
            write_atomically(path, lambda file: file.write(content))
    except UserError as error:
        logger.warning(f"features of {len(features.values):,} {what} are not cached: {error}")
    else:
        logger.info(f"features of {len(features.values):,} {what} extracted, cached in {path}")


def _read(path: Path, key: FeatureKey) -> Features:
    """Read a file and check all of it.

    Raises:
        FileError: it does not hold whole features of the key.
        OSError: it is not there, or cannot be read.
    """
    require_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            _require_key(metadata["key"], key)
            if set(file.keys()) != _DTYPES.keys():
                raise ValueError(file.keys())
            # copies: what the file itself becomes then does not matter
            tensors = {name: file.get_tensor(name).clone() for name in _DTYPES}
        if metadata["sha256"] != _checksum(tensors, metadata["corrupt"]):
            raise ValueError("another checksum")
        features = Features(**tensors, corrupt=tuple(json.loads(metadata["corrupt"])))
        _require_whole(features)
    except (FileError, OSError):
        raise
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        what = reason_of(error)
        raise FileError(f"is damaged or cut off, or something else ({what})") from error
    return features


def _require_key(found: str, key: FeatureKey) -> None:
    """Raise :class:`FileError` if a file was kept under another key; says which part differs."""
    if found == key.json:
        return
    theirs, ours = json.loads(found), json.loads(key.json)
    if not isinstance(theirs, dict) or theirs.keys() != ours.keys():
        raise ValueError("a key of another form")
    odd = next((name for name in _WORDS if theirs[name] != ours[name]), None)
    if odd is None:
        raise ValueError("a key of another form")
    raise FileError(
        f"holds features of other {_WORDS[odd]} ({_short(theirs[odd])}, not {_short(ours[odd])})"
    )


def _short(value: Any) -> str:
    """Return a value for a message, of a hash its beginning."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}..." if len(text) == 64 else text


def _require_whole(features: Features) -> None:
    values, targets, indices = features.values, features.targets, features.indices
    for name, dtype in _DTYPES.items():
        if getattr(features, name).dtype != dtype:
            raise ValueError(f"{name} of another type")
    if (
        values.ndim != 2
        or not values.numel()
        or not targets.shape == indices.shape == values.shape[:1]
    ):
        raise ValueError("another shape")
    if not values.sum(dtype=torch.float64).isfinite():
        raise ValueError("features that are not finite")
    if int(targets.min()) < 0 or int(indices[0]) < 0 or not bool((indices.diff() > 0).all()):
        raise ValueError("impossible targets or indices")


def _checksum(tensors: Mapping[str, torch.Tensor], corrupt: str) -> str:
    """Return the SHA-256 of what is kept beside the key."""
    digest = hashlib.sha256(corrupt.encode())
    for name in _DTYPES:
        digest.update(repr([name, *tensors[name].shape]).encode())
        digest.update(tensors[name].numpy().data)
    return digest.hexdigest()
