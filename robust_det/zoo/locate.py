"""Where the file behind ``robust://NAME`` is, and what brings it there.

In this order: the user's own conversions, the cache, the published models. A name that has none of
these may still have a recipe, whose commands the error then says.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from robust_det.core.config.reading import config_folders, load_raw
from robust_det.core.errors import UserError, did_you_mean
from robust_det.core.folders import backbone_folder, cached_file
from robust_det.zoo.download import Unavailable
from robust_det.zoo.fetch import fetch
from robust_det.zoo.published import all_models, find_model

__all__ = ["PREFIX", "find_here", "find_own", "is_known", "is_name", "locate_backbone"]

PREFIX = "robust://"
_SUFFIXES = {".ckpt", ".pkl", ".pt", ".pth", ".safetensors", ".tar"}
_LONGEST_NAME = 200  # file systems take 255 bytes, and a suffix belongs to it


def is_name(text: str) -> bool:
    """Whether a backbone is given by its name, with ``robust://`` or without, not by its file.

    A name is what has no folder and no suffix of a checkpoint, and is not a file.
    """
    path = Path(text).expanduser()
    # os.path's, as Path's own fails for a name that is too long
    bare = path.name == text and path.suffix not in _SUFFIXES and not os.path.isfile(path)
    return bare or text.startswith(PREFIX)


def locate_backbone(uri: str) -> Path:
    """Resolve ``robust://NAME`` to the file of a converted backbone, fetching it if need be.

    Raises:
        UserError: it cannot be had; says what the user can do: place a file, or make it with two
            commands. Or an own conversion is of another model than the published one of its name.
    """
    name = _name_in(uri)
    model, own = find_model(name), find_own(name)
    if own is not None:
        from robust_det.checkpoints.backbone_file import read_card

        if model is not None and (odd := model.contradiction(read_card(own))):
            raise UserError(f"{own} {odd}; give it another name than a published model's")
        return own
    if model is not None:
        try:
            return fetch(model.name)
        except Unavailable as error:
            if commands := _commands_that_make(model.name):
                error.advice += f"; or make it with: {commands}"
            raise
    path = _own(name)
    if commands := _commands_that_make(name):
        raise UserError(f"no backbone '{name}' at {path}; make it with: {commands}")
    have = [file.stem for file in backbone_folder().glob("*.pth")]
    hint = did_you_mean(name, [*have, *all_models(), *_pretraining_recipes()])
    raise UserError(
        f"no backbone '{name}' at {path}, no published model and no recipe of that name{hint}; put"
        " the file there or set ROBUST_DET_BACKBONES"
    )


def find_own(name: str) -> Path | None:
    """Return the user's own conversion of that name, which comes before all others, or None."""
    model = find_model(name)
    names = [name] if model is None else [name, model.name]
    return next((path for path in map(_own, names) if path.is_file()), None)


def find_here(uri: str) -> Path | None:
    """Return the file of ``robust://NAME`` if it is on this machine; no download."""
    name = _name_in(uri)
    model, own = find_model(name), find_own(name)
    if own is not None or model is None:
        return own
    cached = cached_file(model.name)
    return cached if cached.is_file() else None


def is_known(uri: str) -> bool:
    """Whether there is a file for ``robust://NAME``, here or among the published; no download."""
    try:
        name = _name_in(uri)
    except UserError:
        return False
    return find_own(name) is not None or find_model(name) is not None


def _name_in(uri: str) -> str:
    name = uri.removeprefix(PREFIX).strip("/")
    sound = name and Path(name).name == name and name.isprintable()
    if not sound or len(os.fsencode(name)) > _LONGEST_NAME:
        raise UserError(
            f"'{uri}' is not of the form {PREFIX}NAME, such as {PREFIX}resnet50_l2_eps1"
        )
    return name


def _own(name: str) -> Path:
    return backbone_folder() / f"{name}.pth"


def _commands_that_make(name: str) -> str:
    """Return the two commands that train and convert a recipe of that name, or nothing."""
    recipe = _pretraining_recipes().get(name)
    if recipe is None:
        return ""
    classifier = Path(load_raw(recipe)["OUTPUT_DIR"], "final.pth")
    commands = (
        ["robust-det", "pretrain", "--config", f"{name}.yaml"],
        ["robust-det", "convert", str(classifier), str(_own(name))],
    )
    trained = Path(commands[1][2]).is_file()
    return " && ".join(map(shlex.join, commands[1:] if trained else commands))


def _pretraining_recipes() -> dict[str, Path]:
    """Return the recipes of robust-det pretrain by name, where that tool looks for them."""
    recipes: dict[str, Path] = {}
    for root in config_folders():
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
