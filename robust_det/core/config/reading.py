"""One config language for every job: YAML with ``_BASE_`` and ``KEY VALUE`` overrides.

Built on :class:`fvcore.common.config.CfgNode`; this module adds the look-up of bare names,
safe loading only, numbers written as fractions (``4/255``), and errors that name the key.
"""

from __future__ import annotations

import ast
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from fvcore.common.config import CfgNode
from packaging.version import InvalidVersion, Version

from robust_det.core.errors import UserError, did_you_mean, reason_of
from robust_det.core.files import expanded
from robust_det.core.installation import CONFIGS, REPOSITORY, __version__

__all__ = [
    "COMMAND_LINE",
    "REPOSITORY",
    "CfgNode",
    "Layer",
    "command_line",
    "config_differences",
    "config_folders",
    "find_config",
    "flatten",
    "load_raw",
    "merge_config",
    "merge_layers",
    "overrides_to_dict",
    "parse_number",
    "read_layers",
    "to_dict",
    "written_by",
]

# libyaml's is ten times as fast, and not in every build of PyYAML
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
COMMAND_LINE = "command line"  # the source of overrides
_WRITTEN_BY = re.compile(r"# written by robust_det (\S+)\n")
_FRACTION = re.compile(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*/\s*([\d.]+)\s*")


@dataclass(frozen=True)
class Layer:
    """The keys that one file, or the command line, sets; a later layer wins.

    Attributes:
        keys: nested, as in the file, without ``_BASE_``.
        source: the file, or what else they come from.
        version: of the robust_det that wrote the file; empty for one that people wrote.
    """

    keys: dict[str, Any]
    source: str
    version: str = ""


def config_folders() -> list[Path]:
    """Return the folders below which a bare name is looked up: the user's, then our own."""
    return list(dict.fromkeys([Path.cwd() / "configs", CONFIGS]))


def find_config(name: str) -> Path:
    """Find a config file by path, or by bare name anywhere below a ``configs/`` folder.

    ``configs/`` of the working directory is searched before those that come with robust_det.

    Raises:
        UserError: no such file, or a bare name that several files share.
    """
    path = Path(name).expanduser()
    return path if os.path.isfile(path) else _find_below_configs(name)


def _find_below_configs(name: str) -> Path:
    path = Path(name)
    roots = config_folders()
    if name and path.name == name:
        for root in roots:
            found = sorted(f for f in root.rglob("*") if f.name == name and f.is_file())
            if len(found) > 1:
                listed = ", ".join(str(f) for f in found)
                raise UserError(f"config '{name}' is ambiguous: {listed}; give the path")
            if found:
                return found[0]
    if name and path.is_dir():
        own = path / "config.yaml"
        advice = f"give its {own}" if own.is_file() else "give a file in it"
        raise UserError(f"config '{name}' is a folder", advice)
    known = [f.name for root in roots for f in root.rglob("*.yaml")]
    where = f" below {' or '.join(map(str, roots))}" if path.name == name else ""
    raise UserError(f"no config file '{name}'{where}{did_you_mean(path.name, known)}")


def load_raw(path: str | Path) -> dict[str, Any]:
    """Read a YAML file and its ``_BASE_`` files into one plain dict; see :func:`read_layers`."""
    merged: dict[str, Any] = {}
    for layer in read_layers(path):
        _overlay(merged, layer.keys)
    return merged


def read_layers(path: str | Path) -> list[Layer]:
    """Read a YAML file and its ``_BASE_`` files, the lowest first. YAML tags run no code.

    ``_BASE_`` is a path relative to the file, or a bare name as in :func:`find_config`, or a list
    of them; what comes later wins.

    Raises:
        UserError: a file is missing, is not plain YAML, or is its own base.
    """
    return _read(Path(path), ())


def _read(path: Path, readers: tuple[Path, ...]) -> list[Layer]:
    whose = f" (the _BASE_ of {readers[-1]})" if readers else ""
    if path.resolve() in [reader.resolve() for reader in readers]:
        raise UserError(f"config {path} is its own _BASE_; break the circle")
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.load(text, Loader=_LOADER)  # of plain values either way
    except (yaml.YAMLError, RecursionError) as error:
        raise UserError(f"config {path}{whose} is not plain YAML: {reason_of(error)}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"config {path}{whose} cannot be read: {reason}") from error
    if not isinstance(raw, dict):
        raise UserError(f"config {path}{whose} is not a mapping of keys to values")
    bases = raw.pop("_BASE_", [])
    layers: list[Layer] = []
    for base in bases if isinstance(bases, list) else [bases]:
        if not isinstance(base, str):
            raise UserError(f"config {path}: _BASE_ needs a file name, not {base!r}")
        layers += _read(_find_base(base, path), (*readers, path))
    written = _WRITTEN_BY.match(text)
    return [*layers, Layer(raw, str(path), written[1] if written else "")]


def written_by() -> str:
    """Return the first line of a config that this version writes: a comment, as other readers of
    the file know no key for it."""
    return f"# written by robust_det {__version__}\n"


def command_line(overrides: Sequence[str]) -> Layer:
    """Return what ``KEY VALUE`` pairs set, see :func:`overrides_to_dict`."""
    return Layer(overrides_to_dict(overrides), COMMAND_LINE)


def _find_base(base: str, reader: Path) -> Path:
    path = reader.parent / Path(base).expanduser()
    # os.path's, as Path's own fails for a name that is too long
    if os.path.exists(path) or Path(base).name != base:
        return path
    try:
        return _find_below_configs(base)
    except UserError as error:
        raise UserError(f"config {reader} needs its _BASE_: {error}") from error


def _overlay(lower: dict[str, Any], upper: Mapping[str, Any]) -> None:
    for key, value in upper.items():
        if isinstance(value, Mapping) and isinstance(lower.get(key), dict):
            _overlay(lower[key], value)
        else:
            lower[key] = value


def overrides_to_dict(overrides: Sequence[str]) -> dict[str, Any]:
    """Turn ``["A.B", "1", ...]`` into ``{"A": {"B": 1}}``. Values are literals or strings."""
    if len(overrides) % 2:
        raise UserError(f"overrides come as KEY VALUE pairs; '{overrides[-1]}' has no value")
    raw: dict[str, Any] = {}
    for key, text in zip(overrides[::2], overrides[1::2], strict=True):
        node = raw
        *parents, leaf = key.split(".")
        for part in parents:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise UserError(f"override '{key}': '{part}' was given a value before")
        try:
            node[leaf] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            node[leaf] = {"true": True, "false": False}.get(text.lower(), text)
    return raw


def parse_number(value: Any) -> float:
    """Return a float from a number, its text, or a fraction such as ``"4/255"``.

    Raises:
        ValueError: the value is none of these.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value} is not a number")
    if isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        if float(match[2]) == 0:
            raise ValueError(f"{value} divides by zero")
        return float(match[1]) / float(match[2])
    return float(value)


def _coerced(raw: Mapping[str, Any], cfg: CfgNode, prefix: str, version: str) -> dict[str, Any]:
    """Check every key of ``raw`` against ``cfg`` and bring numbers to the type of the default."""
    out: dict[str, Any] = {}
    for key, value in raw.items():
        full = f"{prefix}{key}"
        if key not in cfg:
            if isinstance(value, Mapping) and value:
                full = f"{prefix}{next(iter(flatten({key: value})), key)}"
            hint = did_you_mean(full, [f"{prefix}{name}" for name in flatten(cfg)])
            raise UserError(f"unknown config key '{full}'{_of_version(version) or hint}")
        default = cfg[key]
        if isinstance(default, CfgNode):
            if not isinstance(value, Mapping):
                raise UserError(f"config key '{full}' is a section and cannot be set to {value!r}")
            out[key] = _coerced(value, default, f"{full}.", version)
            continue
        if isinstance(default, float):
            value = _number(full, value)
        elif isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
            if default and all(isinstance(item, float) for item in default):
                value = [_number(full, item) for item in value]
            value = type(default)(value)
        if default is not None and type(value) is not type(default):
            kind = type(default).__name__
            raise UserError(f"config key '{full}' needs a {kind}, not {value!r}")
        out[key] = expanded(value)  # only a path begins with ~/
    return out


def _of_version(version: str) -> str:
    """Return what to say of a config whose key this version does not know."""
    if version in ("", __version__):
        return ""
    advice = "upgrade, or leave it out" if _is_newer(version) else "leave it out"
    return f"; robust_det {version} wrote this config, and this is {__version__}: {advice}"


def _is_newer(version: str) -> bool:
    try:
        return Version(version) > Version(__version__)
    except InvalidVersion:
        return False


def _number(key: str, value: Any) -> float:
    try:
        number = parse_number(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"config key '{key}' needs a number, not {value!r}")
    return number


def merge_config(cfg: CfgNode, raw: Mapping[str, Any], version: str = "") -> None:
    """Merge a plain dict into ``cfg`` in place.

    Args:
        cfg: has every key that there is, with its default.
        raw: what is to be set.
        version: of the robust_det that wrote ``raw``, see :class:`Layer`.

    Raises:
        UserError: a key that does not exist, or a value of another type than the default.
    """
    cfg.merge_from_other_cfg(type(cfg)(_coerced(raw, cfg, "", version)))


def merge_layers(cfg: CfgNode, layers: Sequence[Layer]) -> dict[str, str]:
    """Merge layers into ``cfg`` in place, a later one wins.

    Returns:
        The source of each key that was set, by dotted key.

    Raises:
        UserError: see :func:`merge_config`.
    """
    origins: dict[str, str] = {}
    for layer in layers:
        merge_config(cfg, layer.keys, layer.version)
        origins |= dict.fromkeys(flatten(layer.keys), layer.source)
    return origins


def to_dict(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested plain dicts, with tuples as lists: what JSON can hold."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(k): plain(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return value

    return plain(cfg)


def flatten(cfg: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return ``{"A.B": value}`` for a nested config."""
    flat: dict[str, Any] = {}
    for key, value in cfg.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def config_differences(
    old: Mapping[str, Any], new: Mapping[str, Any], ignore: Sequence[str] = ()
) -> list[str]:
    """List ``KEY: old -> new`` for every key that differs, but for those in ``ignore``."""
    # earlier versions left ~ in some
    a, b = (expanded(flatten(to_dict(each))) for each in (old, new))
    keys = sorted((set(a) | set(b)) - set(ignore))
    return [f"{k}: {a.get(k)} -> {b.get(k)}" for k in keys if a.get(k) != b.get(k)]
