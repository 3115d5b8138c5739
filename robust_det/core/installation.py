"""What is installed, a checkout or a wheel: its version, its configs, its schemas, its commit.

Only the standard library is imported: ``setup.py`` runs this file, before what the project needs is
there.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

__all__ = [
    "BUILD_NAME",
    "CONFIGS",
    "PACKAGE",
    "REPOSITORY",
    "SCHEMAS",
    "__version__",
    "source_state",
    "versions_of",
]

__version__ = "0.1.0"
PACKAGE = Path(__file__).resolve().parents[1]
REPOSITORY = PACKAGE.parent  # of a wheel, the folder of all packages
SCHEMAS = PACKAGE / "schemas"
# beside the package in a checkout, inside of it in a wheel
CONFIGS = (PACKAGE if (PACKAGE / "configs").is_dir() else REPOSITORY) / "configs"
BUILD_NAME = "build.json"  # what the wheel knows of its source


def source_state() -> tuple[str | None, bool]:
    """Return the commit, None if it is unknown, and whether tracked files differ from it."""
    try:
        built = json.loads((PACKAGE / BUILD_NAME).read_text())
        return built["commit"], built["modified"]
    except FileNotFoundError:
        pass
    # else git would speak of a repository that merely has the environment inside
    if not (REPOSITORY / ".git").exists():
        return None, False
    commit = _git("rev-parse", "HEAD")
    return commit, bool(commit and _git("status", "--porcelain", "--untracked-files=no"))


def versions_of(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of distributions, those left out that are not installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(*args: str) -> str | None:
    command = ["git", "-C", str(REPOSITORY), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
