"""Where the file behind ``robust://NAME`` is, and what brings it there.

In this order: the user's own conversions, the cache, the published models. A name that has none of
these may still have a recipe, whose commands the error then says.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from robust_det.config import REPOSITORY, load_raw
from robust_det.errors import UserError, did_you_mean
from robust_det.zoo.download import Unavailable
from robust_det.zoo.fetch import fetch
from robust_det.zoo.folders import backbone_folder, cached_file
from robust_det.zoo.registry import all_models, find_model

__all__ = ["PREFIX", "find_local", "is_known", "locate_backbone"]

PREFIX = "robust://"


def locate_backbone(uri: str) -> Path:
    """Resolve ``robust://NAME`` to the file of a converted backbone, fetching it if need be.

    Raises:
        UserError: it cannot be had; says what the user can do: place a file, or make it with two
            commands.
    """
    name = _name_in(uri)
    found = find_local(name)
    if found is not None:
        return found
    model = find_model(name)
    if model is not None:
        try:
            return fetch(model.name)
        except Unavailable as error:
            commands = _commands_that_make(model.name)
            raise Unavailable(
                f"{error}; or make it with: {commands}" if commands else str(error)
            ) from error
    path = _own(name)
    if commands := _commands_that_make(name):
        raise UserError(f"no backbone '{name}' at {path}; make it with: {commands}")
    have = [file.stem for file in backbone_folder().glob("*.pth")]
    hint = did_you_mean(name, [*have, *all_models(), *_pretraining_recipes()])
    raise UserError(
        f"no backbone '{name}' at {path}, no published model and no recipe of that name{hint}; put"
        " the file there or set ROBUST_DET_BACKBONES"
    )


def find_local(name: str) -> Path | None:
    """Return the file of a name that needs no network: an own conversion, or a cached one."""
    model = find_model(name)
    names = [name] if model is None else [name, model.name]
    candidates = [*map(_own, names), *([] if model is None else [cached_file(model.name)])]
    return next((path for path in candidates if path.is_file()), None)


def is_known(uri: str) -> bool:
    """Whether there is a file for ``robust://NAME``, here or among the published; no download."""
    try:
        name = _name_in(uri)
    except UserError:
        return False
    return find_local(name) is not None or find_model(name) is not None


def _name_in(uri: str) -> str:
    name = uri.removeprefix(PREFIX).strip("/")
    if not name or Path(name).name != name:
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
        ["python", "tools/pretrain.py", "--config", f"{name}.yaml"],
        ["python", "tools/convert_backbone.py", str(classifier), str(_own(name))],
    )
    return " && ".join(map(shlex.join, commands))


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
