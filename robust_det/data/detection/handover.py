"""One process of a machine checks a data set, and the others take over what it found.

Processes that belong together share a folder: those of torchrun the one that it makes for each
start, those that a process starts the one it has named in the environment.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from filelock import FileLock

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.data.detection.dataset_facts import DatasetFacts
from robust_det.data.detection.packed_images import PackedImages
from robust_det.data.detection.prepared import Prepared, check_and_pack
from robust_det.data.detection.source import Panoptic, Source

__all__ = ["prepare", "share_with_children"]

_VARIABLE = "ROBUST_DET_SHARED_FOLDER"
_LENGTH = 8  # bytes that say how long the head is


@functools.cache
def prepare(name: str, source: Source, lenient: bool = False) -> Prepared:
    """Do what :func:`~.prepared.check_and_pack` does, once on a machine.

    Whoever comes first does it, so that nobody waits for a process that has failed; the others
    are given the same, or refuse the data set with the same words.
    """
    folder = _shared_folder()
    if folder is None:
        return check_and_pack(name, source, lenient)
    key = hashlib.sha256(repr((name, source, lenient)).encode()).hexdigest()
    path = folder / f"{name}-{key[:16]}"
    with FileLock(f"{path}.lock"):
        if path.is_file():
            return _take(path)
        # gone with this process; those that have opened it keep it
        atexit.register(_remove, path)
        try:
            prepared = check_and_pack(name, source, lenient)
        except UserError as error:
            _leave(path, {"refusal": str(error)})
            raise
        _leave(path, _plain(prepared), prepared.images)
        return prepared


def share_with_children() -> None:
    """Let the processes that this one is going to start take over what it prepares from now on."""
    folder = tempfile.mkdtemp(prefix="robust_det-")
    os.environ[_VARIABLE] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def _shared_folder() -> Path | None:
    if named := os.environ.get(_VARIABLE):
        return Path(named)
    # torchrun: ATTEMPT/RANK/error.json, in a folder of its own for each start
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    return Path(file).parents[1] if file and Path(file).parent.is_dir() else None


class _Head(msgspec.Struct):
    """All of a :class:`Prepared` but the content of its images; or the refusal."""

    refusal: str = ""
    facts: DatasetFacts | None = None
    image_root: str = ""
    json_file: str = ""
    panoptic_file: str = ""
    own_ids: bool = False
    categories: tuple[dict[str, Any], ...] = ()
    panoptic: Panoptic | None = None
    arrays: dict[str, tuple[str, bytes]] = {}
    of_class: dict[int, int] = {}
    masks: str = ""
    changed: str = ""


def _plain(prepared: Prepared) -> dict[str, Any]:
    plain = {key: value for key, value in vars(prepared).items() if key != "images"}
    plain["arrays"] = {}
    if (images := prepared.images) is not None:
        for key, value in vars(images).items():
            if key == "content":
                continue
            if isinstance(value, np.ndarray):
                plain["arrays"][key] = (value.dtype.str, value.tobytes())
            else:
                plain[key] = value
    return plain


def _leave(path: Path, plain: dict[str, Any], images: PackedImages | None = None) -> None:
    head = json.dumps(msgspec.to_builtins(plain)).encode()

    def write(file: Any) -> None:
        file.write(len(head).to_bytes(_LENGTH, "little"))
        file.write(head)
        if images is not None:
            file.write(images.content.data)

    write_atomically(path, write)


def _take(path: Path) -> Prepared:
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        head = msgspec.convert(json.loads(file.read(length)), _Head, str_keys=True)
    if head.facts is None:
        raise UserError(head.refusal)
    images = None
    if head.arrays:
        images = PackedImages(
            content=np.memmap(path, np.uint8, "r", offset=_LENGTH + length),
            of_class=head.of_class,
            masks=head.masks,
            changed=head.changed,
            **{k: np.frombuffer(values, kind) for k, (kind, values) in head.arrays.items()},
        )
    return Prepared(
        head.facts,
        head.image_root,
        head.json_file,
        head.panoptic_file,
        head.own_ids,
        head.categories,
        head.panoptic,
        images,
    )


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
