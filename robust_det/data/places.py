"""Where the paths of data sets in a config are looked for.

A relative path is looked for in three places: beside the config file that has it, in the working
directory, and below ``$DETECTRON2_DATASETS``, by default ``datasets/``, as those of Detectron2's
own data sets. The command line has no folder but the working directory. ``~`` and ``$VARIABLES``
are expanded. What is in several of these places, and not the same there, is refused.
"""

from __future__ import annotations

import os
from pathlib import Path

from robust_det.core.errors import UserError

__all__ = ["datasets_folder", "locate", "looked_for", "nowhere"]

# by a path that leads nowhere, all those that were looked at: for messages
_looked: dict[str, tuple[str, ...]] = {}


def datasets_folder() -> Path:
    """Return ``$DETECTRON2_DATASETS``, by default ``datasets``."""
    return Path(os.path.expanduser(os.environ.get("DETECTRON2_DATASETS", "datasets")))


def locate(path: str, beside: str = "", inside: str = "") -> str:
    """Return where a path leads; below ``$DETECTRON2_DATASETS`` if it leads nowhere.

    Args:
        path: as it was written.
        beside: the folder of the config file that has it; empty for the command line.
        inside: a folder of data of which it is a part, which is looked into first.

    Raises:
        UserError: it leads to different things in several places.
    """
    # os.path's, as Path's own fails for a user that is not there
    expanded = Path(os.path.expanduser(os.path.expandvars(path)))
    if expanded.is_absolute():
        return str(expanded)
    own = str(datasets_folder() / expanded)
    others = [os.path.abspath(Path(folder) / expanded) for folder in (beside, ".") if folder]
    parts = [str(Path(inside) / expanded)] if inside else []
    looked = [*dict.fromkeys((*parts, *others, own))]
    found = [each for each in looked if os.path.exists(each)]
    different = [each for each in found if not os.path.samefile(each, found[0])]
    if different:
        raise UserError(
            f"{path} can be {found[0]} or {different[0]}, which differ; give the whole path"
        )
    # as it was written, it is found on any machine that has the folder
    chosen = own if own in found or not found else found[0]
    if not found:
        _looked[chosen] = tuple(looked)
    return chosen


def looked_for(path: str) -> tuple[str, ...]:
    """Return the paths that :func:`locate` looked at in vain, by the one that it gave."""
    return _looked.get(path, (path,))


def nowhere(path: str) -> str:
    """Return where a path that leads nowhere was looked for, and what to do, for a message."""
    others = [each for each in looked_for(path) if each != path]
    also = f", nor at {' or '.join(others)}" if others else ""
    return f"{path}{also}; set DETECTRON2_DATASETS to the folder that holds your data sets"
