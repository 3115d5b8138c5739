"""COCO JSON that was made from other files, or cleaned, kept under the hash of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robust_det.core.files import sha256_file, write_atomically
from robust_det.core.folders import cache_folder

__all__ = ["keep_document"]


def keep_document(name: str, document: Mapping[str, Any]) -> tuple[Path, str]:
    """Write a document below the cache folder, unless it is there already.

    The name holds the content's hash: other sources give another file, and processes that convert
    the same one at once write the same bytes.

    Args:
        name: of the data set.
        document: in COCO format; it may not depend on where the data lie.

    Returns:
        The file, and its SHA-256.

    Raises:
        UserError: the cache folder cannot be written.
    """
    content = json.dumps(document, separators=(",", ":")).encode()
    digest = hashlib.sha256(content).hexdigest()
    path = cache_folder() / "datasets" / f"{name}-{digest[:16]}.json"
    if not path.is_file() or sha256_file(path) != digest:
        write_atomically(path, lambda file: file.write(content))
    return path, digest
