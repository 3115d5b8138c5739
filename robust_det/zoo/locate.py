"""Where converted backbones live: ``robust://NAME``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from robust_det.config import REPOSITORY, load_raw
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
    recipes = _pretraining_recipes()
    if name not in recipes:
        have = [f.stem for f in backbone_folder().glob("*.pth")]
        hint = did_you_mean(name, have) or did_you_mean(name, recipes)
        raise UserError(
            f"no backbone '{name}' at {path}, and no recipe of that name{hint}; put the file"
            " there or set ROBUST_DET_BACKBONES"
        )
    classifier = Path(load_raw(recipes[name])["OUTPUT_DIR"], "final.pth")
    commands = (
        ["python", "tools/pretrain.py", "--config", f"{name}.yaml"],
        ["python", "tools/convert_backbone.py", str(classifier), str(path)],
    )
    raise UserError(
        f"no backbone '{name}' at {path}; make it with: {' && '.join(map(shlex.join, commands))}"
    )


def _pretraining_recipes() -> dict[str, Path]:
    """Return the recipes of tools/pretrain.py by name, where that tool looks for them."""
    recipes: dict[str, Path] = {}
    for root in (Path.cwd() / "configs", REPOSITORY / "configs"):
        for file in sorted(root.rglob("*.yaml")):
            if file.stem not in recipes and not file.stem.startswith("base_"):
                recipes[file.stem] = file
    return {name: file for name, file in recipes.items() if _is_pretraining(file)}


def _is_pretraining(file: Path) -> bool:
    try:
        raw = load_raw(file)
    except UserError:  # somebody's broken file is not what was asked for
        return False
    # the other jobs' recipes name their data sets
    return "OUTPUT_DIR" in raw and "DATASETS" not in raw
