"""The folders of the zoo: the user's own conversions, and the cache."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["backbone_folder", "cache_folder", "cached_file", "download_folder"]


def backbone_folder() -> Path:
    """Return ``$ROBUST_DET_BACKBONES``, by default ``output/backbones``: own conversions."""
    return Path(os.environ.get("ROBUST_DET_BACKBONES") or "output/backbones").expanduser()


def cache_folder() -> Path:
    """Return ``$ROBUST_DET_CACHE``, by default ``robust_det`` in ``$XDG_CACHE_HOME``, ~/.cache."""
    named = os.environ.get("ROBUST_DET_CACHE")
    folder = Path(named or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "robust_det"))
    # absolute: error messages tell people to put files there
    return folder.expanduser().absolute()


def cached_file(name: str) -> Path:
    """Return where the conversion of a published model is cached, be it there or not."""
    return cache_folder() / "backbones" / f"{name}.pth"


def download_folder() -> Path:
    """Return where originals can be placed by hand, and downloads are while they are needed."""
    return cache_folder() / "downloads"
