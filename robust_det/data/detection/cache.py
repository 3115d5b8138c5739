"""The JSON files that Detectron2 is given, made once of each content and kept."""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from robust_det.core.errors import UserError
from robust_det.core.files import write_atomically
from robust_det.core.folders import cache_folder
from robust_det.data.detection.canonical.document import ORIGINAL_IDS
from robust_det.data.detection.canonical.entries import DIFFICULT, as_coco
from robust_det.data.detection.packed_images import PackedImages

__all__ = ["content_key", "document_json", "keep_json", "panoptic_json"]

logger = logging.getLogger(__name__)

# another one when the same content gives another file
_FORMAT = 1
# texts are given in portions, not one by one
_PORTION = 1 << 20

# gives a file's content in portions, each time from the beginning
Content = Callable[[], Iterator[bytes]]


def content_key(images: PackedImages, sha256: str = "") -> str:
    """Return 64 hexadecimal digits that stand for images and objects; see :func:`keep_json`.

    Args:
        images: of a document.
        sha256: of the file that they are all of, which spares hashing what was taken over from it.
    """
    digest = hashlib.sha256(images.ends.tobytes() + images.object_ends.tobytes())
    digest.update(f"{sha256} {images.changed}".encode() if sha256 else images.content.data)
    return digest.hexdigest()


def keep_json(name: str, key: str, content: Content, required: bool) -> tuple[str, str]:
    """Write a file below the cache folder, unless it is there already.

    One of the same key that is as long as it was written is not read again. Processes that make the
    same one at once write the same bytes.

    Args:
        name: of the data set.
        key: another one for each content, such as :func:`content_key`.
        content: of the file.
        required: whether nothing can be done without a file that stays. Otherwise it goes, where
            the cache folder cannot be written, to a temporary folder, with a warning.

    Returns:
        The path of the file, and its SHA-256.

    Raises:
        UserError: the cache folder cannot be written.
    """
    key = hashlib.sha256(f"{_FORMAT} {key}".encode()).hexdigest()
    path = cache_folder() / "datasets" / f"{name}-{key[:16]}.json"
    if found := _kept(path):
        return str(path), found
    try:
        return str(path), _write(path, content)
    except UserError as error:
        if required:
            raise
        folder = tempfile.mkdtemp(prefix="robust_det-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder, path.name)
        logger.warning(f"{error}; meanwhile the annotations of '{name}' are in {folder}")
        return str(path), _write(path, content)


class _Made(msgspec.Struct):
    """What was written, beside it."""

    bytes: int
    sha256: str


def _beside(path: Path) -> Path:
    return path.with_suffix(".made")


def _kept(path: Path) -> str:
    """Return the SHA-256 of a file as it was written; empty if it is not as long any more."""
    try:
        made = msgspec.json.decode(_beside(path).read_bytes(), type=_Made)
        return made.sha256 if path.stat().st_size == made.bytes else ""
    except (OSError, msgspec.DecodeError, ValueError):
        return ""


def _write(path: Path, content: Content) -> str:
    digest, size = hashlib.sha256(), 0

    def write(file: Any) -> None:
        nonlocal size
        for portion in content():
            digest.update(portion)
            size += len(portion)
            file.write(portion)

    write_atomically(path, write)
    made = msgspec.json.encode(_Made(size, digest.hexdigest()))
    write_atomically(_beside(path), lambda file: file.write(made))
    return digest.hexdigest()


def document_json(
    images: PackedImages, categories: Sequence[Mapping[str, Any]], own_ids: bool
) -> Iterator[bytes]:
    """Give the JSON of a document in COCO's format, in canonical form, in portions.

    Args:
        images: of the document.
        categories: of its objects, in canonical form.
        own_ids: whether to say what the images were called; see :func:`.numbered`.
    """
    heads = list(images.heads())
    objects = (text for index in range(len(images)) for text in _objects(images, index))
    yield b'{"images":%b,"annotations":' % _json([image for image, _ in heads])
    yield from _listed(objects)
    yield b',"categories":%b' % _json(categories)
    if own_ids:
        yield b',"%b":%b' % (ORIGINAL_IDS.encode(), _json([own for _, own in heads]))
    yield b"}"


def panoptic_json(images: PackedImages, categories: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    """Give the JSON of panoptic annotations whose images are numbered, in portions.

    Args:
        images: all of which have segments.
        categories: of the segments.
    """
    yield b'{"images":%b,"annotations":' % _json([image for image, _ in images.heads()])
    yield from _listed(
        _json({**segments, "image_id": image["id"]})
        for image, _, segments in images
        if segments is not None
    )
    yield b',"categories":%b}' % _json(categories)


def _listed(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Give a list of what is JSON already."""
    portion = bytearray(b"[")
    for number, text in enumerate(texts):
        portion += b"," * (number > 0) + text
        if len(portion) > _PORTION:
            yield bytes(portion)
            portion.clear()
    yield bytes(portion) + b"]"


class _Object(msgspec.Struct):
    """What of an object is handed on, most of it as it stands in its file."""

    category_id: int
    bbox: msgspec.Raw
    area: msgspec.Raw
    iscrowd: float
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    keypoints: msgspec.Raw = msgspec.Raw(b"null")
    num_keypoints: msgspec.Raw = msgspec.Raw(b"null")
    difficult: int = msgspec.field(default=0, name=DIFFICULT)


_decode = msgspec.json.Decoder(tuple[msgspec.Raw, list[_Object], msgspec.Raw]).decode
_NULL = b"null"
_NO_OUTLINE = (_NULL, b"[]", b"{}", b'""', b"0", b"false")


def _objects(images: PackedImages, index: int) -> Iterator[bytes]:
    """Give the objects of an image in JSON, those marked difficult as ``iscrowd``."""
    try:
        _, objects, _ = _decode(images.text(index))
    except (msgspec.DecodeError, ValueError, RecursionError):
        # more than JSON, see parse_json
        for entry in as_coco({"annotations": images[index].objects})["annotations"]:
            yield _json(entry)
        return
    for number, one in enumerate(objects, images.objects_before(index) + 1):
        text = b'{"id":%d,"image_id":%d,"category_id":%d,"bbox":%b,"area":%b,"iscrowd":%d' % (
            *(number, index + 1, one.category_id, one.bbox, one.area),
            one.iscrowd or one.difficult,
        )
        if (outline := bytes(one.segmentation)) not in _NO_OUTLINE:
            text += b',"segmentation":%b' % outline
        if (points := bytes(one.keypoints)) != _NULL:
            text += b',"keypoints":%b' % points
        if (count := bytes(one.num_keypoints)) != _NULL:
            text += b',"num_keypoints":%b' % count
        yield text + b"}"


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
