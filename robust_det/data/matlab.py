"""Variables of MATLAB files, in which several sets keep their lists."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

from robust_det.core.errors import FileError, naming, reason_of
from robust_det.core.files import require_regular

__all__ = ["matlab"]


def matlab(file: Path | IO[bytes], *names: str) -> list[Any]:
    """Return variables of a MATLAB file, each as an array of one dimension.

    Args:
        file: its path, or its content.
        names: of the variables.

    Raises:
        FileError: it is no such file, or lacks one of them.
    """
    if isinstance(file, Path):
        require_regular(file)
        with naming(file), open(file, "rb") as content:
            return _read(content, names)
    return _read(file, names)


def _read(file: IO[bytes], names: tuple[str, ...]) -> list[Any]:
    import numpy as np
    from scipy.io import loadmat  # here: it takes long, and few sets need it

    try:
        content = loadmat(file, squeeze_me=True)
    except Exception as error:  # whatever a damaged file does to SciPy
        raise FileError(
            f"is no MATLAB file that SciPy reads: {reason_of(error)}", "take the official file"
        ) from error
    if lost := [name for name in names if name not in content]:
        raise FileError(f"has no variable '{lost[0]}'", "take the official file")
    return [np.atleast_1d(content[name]) for name in names]
