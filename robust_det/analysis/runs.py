"""Run records as typed values: the one place that knows how a record is laid out."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robust_det.core.config import flatten
from robust_det.core.errors import UserError
from robust_det.records import RECORD_NAME, read_record
from robust_det.records.metrics import task_of
from robust_det.records.saved import Saved, saved_files

__all__ = ["Backbone", "Picture", "Run", "load_runs"]

logger = logging.getLogger(__name__)

_NORM_NAMES = {"l2": "L2", "linf": "L∞"}
_MISSING = object()


@dataclass(frozen=True)
class Picture:
    """A picture of predictions. Paths are as in the record, relative to the run's folder."""

    image: str
    ground_truth: str
    prediction: str


@dataclass(frozen=True)
class Backbone:
    """What comparison needs of a pretraining run.

    Attributes:
        path: the record.
        name, arch, norm, eps: which backbone it is; norm is None at eps 0.
        metrics: the record's own numbers, such as ``clean_top1``.
    """

    path: Path
    name: str
    arch: str
    norm: str | None
    eps: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class Run:
    """What comparison needs of a detection run.

    Attributes:
        path: the record.
        name, arch, norm, eps: which backbone it started from; norm is None at eps 0, where the
            threat model makes no difference.
        weights, weights_hash: where the backbone came from, and its SHA-256.
        seed: of the fine-tuning.
        metrics: task (see :mod:`.metrics`) -> metric -> value in [0, 100]; NaN where undefined.
        setting: all that has to be equal for two runs to be comparable, as flat keys.
        pictures: what it drew.
        saved: the files of its test sets.
        environment: versions, commit, device, command, as recorded.
        wall_time: seconds, or None.
    """

    path: Path
    name: str
    arch: str
    norm: str | None
    eps: float
    weights: str
    weights_hash: str
    seed: int
    metrics: dict[str, dict[str, float]]
    setting: dict[str, Any]
    pictures: tuple[Picture, ...]
    saved: tuple[Saved, ...]
    environment: Mapping[str, Any]
    wall_time: float | None

    @property
    def folder(self) -> Path:
        """Where the paths of the pictures start."""
        return self.path.parent

    @property
    def test_data(self) -> str:
        """The names of the test sets, for headings."""
        names = [v for k, v in self.setting.items() if k.startswith("test data") and "name" in k]
        return ", ".join(map(str, names))


class _Fields:
    """Checked access to a record: every complaint names the file and the field."""

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self.path = path
        self.record = record

    def fail(self, field: str, problem: str) -> UserError:
        return UserError(f"run record {self.path}: field '{field}' {problem}")

    def get(self, field: str, kind: type | tuple[type, ...], default: Any = _MISSING) -> Any:
        value: Any = self.record
        for part in field.split("."):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is _MISSING or (value is None and default is not _MISSING):
            if default is _MISSING:
                raise self.fail(field, "is missing")
            return default
        if not isinstance(value, kind) or isinstance(value, bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(k.__name__ for k in kinds)
            raise self.fail(field, f"is a {type(value).__name__}, not a {wanted}")
        return value

    def number(self, field: str, value: Any) -> float:
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fail(field, f"is {value!r}, not a number")
        return float(value)

    def backbone(self) -> dict[str, Any]:
        """Name, arch, norm and eps, which both kinds of record have."""
        eps = float(self.get("eps", (int, float)))
        if not 0 <= eps < math.inf:
            raise self.fail("eps", f"is {eps}, not a number from 0 up")
        norm = self.get("norm", str, None)
        if eps > 0 and norm is None:
            raise self.fail("norm", f"is missing, with eps {eps:g}")
        return {
            "path": self.path,
            "name": self.get("name", str),
            "arch": self.get("arch", str),
            "norm": _NORM_NAMES.get(norm.lower(), norm) if norm and eps > 0 else None,
            "eps": eps,
        }


def _metrics(fields: _Fields) -> dict[str, dict[str, float]]:
    tasks: dict[str, dict[str, float]] = {}
    for task in fields.get("metrics", dict):
        values = fields.get(f"metrics.{task}", dict)
        tasks[task] = {
            name: fields.number(f"metrics.{task}.{name}", value) for name, value in values.items()
        }
        if (headline := task_of(task).headline) not in values:
            raise fields.fail(f"metrics.{task}.{headline}", "is missing")
    if not tasks:
        raise fields.fail("metrics", "is empty")
    return tasks


def _setting(fields: _Fields) -> dict[str, Any]:
    setting: dict[str, Any] = {}
    for part in ("train", "test"):
        sets = fields.get(f"data.{part}", list)
        if part == "test" and not sets:
            raise fields.fail("data.test", "is empty")
        for number, item in enumerate(sets, start=1):
            if not isinstance(item, dict) or not isinstance(item.get("name"), str):
                raise fields.fail(f"data.{part}", "needs entries with a name")
            label = f"{part} data" if len(sets) == 1 else f"{part} data {number}"
            # what the annotations hold makes a setting, not where they lie
            facts = {k: v for k, v in item.items() if k != "annotations_file"}
            setting.update({f"{label}: {key}": value for key, value in facts.items()})
    setting["evaluator"] = fields.get("evaluator.name", str)
    setting["evaluator library"] = fields.get("evaluator.library", str)
    # a key of both is one of the schedule that the protocol repeats
    setting.update(flatten(fields.get("protocol", dict)))
    setting.update(flatten(fields.get("schedule", dict)))
    return setting


def _pictures(fields: _Fields) -> tuple[Picture, ...]:
    pictures = []
    for item in fields.get("pictures", list, []):
        names = Picture.__dataclass_fields__
        if not isinstance(item, dict) or not all(isinstance(item.get(n), str) for n in names):
            raise fields.fail("pictures", f"needs entries with {', '.join(names)}")
        pictures.append(Picture(**{n: item[n] for n in names}))
    return tuple(pictures)


def _saved(fields: _Fields) -> tuple[Saved, ...]:
    try:
        return saved_files(fields.record)
    except ValueError as error:
        raise fields.fail("detections", str(error)) from error


def _detection(fields: _Fields) -> Run:
    return Run(
        **fields.backbone(),
        weights=fields.get("weights.path", str),
        weights_hash=fields.get("weights.sha256", str),
        seed=fields.get("seed", int),
        metrics=_metrics(fields),
        setting=_setting(fields),
        pictures=_pictures(fields),
        saved=_saved(fields),
        environment=fields.get("environment", dict),
        wall_time=fields.get("wall_time_s", (int, float), None),
    )


def _pretraining(fields: _Fields) -> Backbone:
    values = fields.get("metrics", dict)
    # whatever else a pretraining run records there is not ours to refuse
    numbers = {k: float(v) for k, v in values.items() if type(v) in (int, float)}
    return Backbone(**fields.backbone(), metrics=numbers)


def load_runs(paths: Sequence[str | Path]) -> tuple[list[Run], list[Backbone]]:
    """Read run records; a path given twice counts once.

    Folders without a record, as of a run that goes on or has failed, and detection runs without an
    eps are left out, and a warning names them.

    Args:
        paths: run folders or ``record.json`` files.

    Returns:
        The detection runs and the pretraining runs, each in the order given.

    Raises:
        UserError: a file is missing or all records are, a record is malformed, or none is of a
            detection run with an eps.
    """
    runs: list[Run] = []
    backbones: list[Backbone] = []
    without_eps: list[Path] = []
    seen = set()
    for given in _finished(paths):
        path = given / RECORD_NAME if given.is_dir() else given
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        fields = _Fields(path, read_record(path))
        kind = fields.get("kind", str)
        if kind == "detection" and fields.record["eps"] is None:
            without_eps.append(path.parent)
        elif kind == "detection":
            runs.append(_detection(fields))
        elif kind == "pretrain":
            backbones.append(_pretraining(fields))
        else:
            known = "'detection' or 'pretrain'"
            raise fields.fail("kind", f"is {json.dumps(kind)}; comparison knows {known}")
    _warn("no eps (started from no backbone, or one of unknown eps)", without_eps)
    if not runs:
        advice = "give at least one to compare"
        raise UserError(f"no detection run with an eps among the records; {advice}")
    return runs, backbones


def _finished(paths: Sequence[str | Path]) -> list[Path]:
    """Leave folders without a record out, unless nothing else is given."""
    given = [Path(path) for path in paths]
    without = [p for p in given if p.is_dir() and not (p / RECORD_NAME).is_file()]
    rest = [p for p in given if p not in without]
    if not rest:
        return given
    _warn("no run record (a run writes it when it ends)", without)
    return rest


def _warn(why: str, left_out: Sequence[Path]) -> None:
    if left_out:
        logger.warning(f"left out, having {why}: {', '.join(map(str, left_out))}")
