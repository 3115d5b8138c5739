"""The two files of an export: the network, and the description beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from robust_det.core.errors import UserError, one_line, reason_of
from robust_det.core.files import sha256_file, write_atomically
from robust_det.core.outputs import new_file
from robust_det.export.formats import Exported

__all__ = ["ran", "write_export"]


def ran(run: Exported, images: torch.Tensor, what: str, size: str) -> list[torch.Tensor]:
    """Run an exported network.

    Args:
        run: it.
        images: its input.
        what: it is, and ``size`` the input's, for messages.

    Raises:
        UserError: it fails.
    """
    try:
        return run(images)
    except Exception as error:  # of either runtime
        raise UserError(
            f"the exported {what} fails on {size}"
            f" ({one_line(reason_of(error)[-300:])}); nothing written"
        ) from error


def write_export(
    output: Path,
    kind: str,
    said: Mapping[str, Any],
    make: Callable[[], bytes],
    *,
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
) -> Path:
    """Write an export and, as ``.json`` beside it, what a program needs to know to use it.

    Args:
        output: the file.
        kind: its format.
        said: of the network; format and SHA-256 of the file are added to it.
        make: makes the file's content once it may be written, or refuses to.
        overwrite, inputs: see :func:`~robust_det.core.outputs.new_file`.

    Returns:
        The description's path.

    Raises:
        UserError: a file exists, or cannot be written.
    """
    description = output.with_name(f"{output.name}.json")
    with new_file(output, overwrite, beside=[description], inputs=inputs):
        content = make()
        write_atomically(output, lambda file: file.write(content))
        full = {"format": kind, "sha256": sha256_file(output), **said}
        text = json.dumps(full, indent=1) + "\n"
        write_atomically(description, lambda file: file.write(text.encode()))
    return description
