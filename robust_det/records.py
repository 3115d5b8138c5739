"""Run records: one ``record.json`` a run, all that comparison reads.

A record holds what was run (config, weights and their hash, data), on what (versions, commit,
device) and what came out (metrics). Jobs write it; :mod:`robust_det.analysis` reads it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from robust_det.config import REPOSITORY
from robust_det.errors import UserError
from robust_det.files import write_atomically

__all__ = ["RECORD_NAME", "SCHEMA", "environment", "read_record", "sha256_file", "write_record"]

SCHEMA = 1
RECORD_NAME = "record.json"
_LIBRARIES = (
    "torch",
    "torchvision",
    "detectron2",
    "numpy",
    "pillow",
    "pycocotools",
    "faster-coco-eval",
    "fvcore",
)
_REQUIRED = ("schema", "kind", "name", "arch", "norm", "eps", "metrics", "config", "environment")


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _git(*args: str) -> str | None:
    command = ["git", "-C", str(REPOSITORY), *args]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def environment(device: str) -> dict[str, Any]:
    """Describe the machine and the software: versions, commit, device.

    Args:
        device: the torch device the job ran on, such as ``"cpu"`` or ``"cuda:0"``.
    """
    import torch

    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    cuda = device.startswith("cuda")
    return {
        "python": platform.python_version(),
        "versions": versions,
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "device": torch.cuda.get_device_name() if cuda else f"cpu ({platform.machine()})",
        "threads": torch.get_num_threads(),
        "command": sys.argv,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def write_record(folder: str | Path, record: dict[str, Any]) -> Path:
    """Write ``record.json`` into ``folder`` atomically and return its path.

    Raises:
        ValueError: a required field is missing.
    """
    record = {"schema": SCHEMA, **record}
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise ValueError(f"record lacks {', '.join(missing)}")
    path = Path(folder) / RECORD_NAME
    text = json.dumps(record, indent=1, sort_keys=True) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def read_record(path: str | Path) -> dict[str, Any]:
    """Read the record of a run, given its folder or the file itself.

    Raises:
        UserError: there is no record, or it is not one this version can read.
    """
    path = Path(path)
    if path.is_dir():
        path = path / RECORD_NAME
    if not path.is_file():
        raise UserError(f"no run record at {path}; a run writes it when it ends")
    try:
        record = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"run record {path} cannot be read: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UserError(f"{path} is not a run record of schema {SCHEMA}")
    missing = [key for key in _REQUIRED if key not in record]
    if missing:
        raise UserError(f"run record {path} lacks {', '.join(missing)}")
    return record
