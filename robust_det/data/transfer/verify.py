"""Whether a folder holds the images of a manifest."""

from __future__ import annotations

import os
from pathlib import Path

from robust_det.data.transfer.contents import look_at
from robust_det.data.transfer.manifest import Manifest
from robust_det.data.transfer.sets.cifar import is_packed
from robust_det.data.transfer.sets.reading import bases_below

__all__ = ["base_below", "changed", "file_of"]


def base_below(manifest: Manifest, root: str | Path) -> Path:
    """Return the folder that a manifest's paths are relative to, in the folder that holds the set.

    Args:
        manifest: of the set.
        root: as it was given when the manifest was made, wherever the set is now.
    """
    root = Path(root).expanduser()
    if root.is_file():  # a table
        root = root.parent
    first = (*manifest.test, *manifest.training)[0].path
    bases = bases_below(manifest.name, root)
    return next((base for base in bases if os.path.exists(file_of(base, first))), root)


def file_of(base: Path, path: str) -> Path:
    """Return the file that holds an image."""
    return base / (path.partition("#")[0] if is_packed(path) else path)


def changed(manifest: Manifest, base: Path) -> tuple[list[str], list[str]]:
    """Return the paths of images that are missing, and of those whose content is another one."""
    entries = (*manifest.train, *manifest.val, *manifest.test)
    looks = look_at(base, (entry.path for entry in entries))
    missing = [entry.path for entry in entries if looks[entry.path].missing]
    other = [entry.path for entry in entries if looks[entry.path].sha256 != entry.sha256]
    gone = set(missing)
    return missing, [path for path in other if path not in gone]
