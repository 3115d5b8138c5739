"""Where converted backbones live: ``robust://NAME``."""

from __future__ import annotations

import os
from pathlib import Path

from robust_det.config import REPOSITORY
from robust_det.errors import UserError, did_you_mean

__all__ = ["PREFIX", "backbone_folder", "locate_backbone"]

PREFIX = "robust://"


def backbone_folder() -> Path:
    """Return ``$ROBUST_DET_BACKBONES``, by default ``output/backbones``."""
    return Path(os.environ.get("ROBUST_DET_BACKBONES", "output/backbones")).expanduser()


def locate_backbone(uri: str) -> Path:
    """Resolve ``robust://NAME`` to the file of a converted backbone.

    Raises:
        UserError: it is not there; says which two commands make it.
    """
    name = uri.removeprefix(PREFIX).strip("/")
    path = backbone_folder() / f"{name}.pth"
    if not name or Path(name).name != name:
        raise UserError(
            f"'{uri}' is not of the form {PREFIX}NAME, such as {PREFIX}resnet50_l2_eps1"
        )
    if path.is_file():
        return path
    recipes = {f.stem: f for f in (REPOSITORY / "configs").rglob("*.yaml") if "base" not in f.stem}
    folder = f"output/pretrain/{name}"
    if name not in recipes:
        have = [f.stem for f in backbone_folder().glob("*.pth")]
        hint = did_you_mean(name, have) or did_you_mean(name, recipes)
        raise UserError(
            f"no backbone '{name}' at {path}, and no recipe of that name{hint or ''}; put the file"
            " there or set ROBUST_DET_BACKBONES"
        )
    raise UserError(
        f"no backbone '{name}' at {path}; make it with:"
        f" python tools/pretrain.py --config {name}.yaml &&"
        f" python tools/convert_backbone.py {folder}/final.pth {path}"
    )
