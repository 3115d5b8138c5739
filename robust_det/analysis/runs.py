"""What comparison needs of detection records."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from robust_det.analysis.texture_trained import shown_arch
from robust_det.core.errors import UserError
from robust_det.core.memory import without_garbage_collection
from robust_det.records import Environment
from robust_det.records.base import Change, File
from robust_det.records.detection import (
    DataSet,
    DetectionRecord,
    Detector,
    Evaluator,
    InitDetector,
    Picture,
)
from robust_det.records.metrics import task_of

__all__ = ["NO_EPS", "Conditions", "Run", "conditions_of", "runs_of", "warn_left_out"]

NO_EPS = "no eps (started from no backbone, or one of unknown eps)"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Conditions:
    """All that has to be equal for two runs to be comparable.

    Attributes:
        train, test: the data sets: what the annotations hold, not where they lie.
        evaluators: what scored them.
        config: the keys of protocol and schedule, flat.
        detector: which of a run's detectors it is, in words; empty for that of its end.
        changes: of the config on the way.
        init: what the detector that they started from was trained on, and for how many iterations,
            in words; empty for runs that started from a backbone.
    """

    train: tuple[DataSet, ...]
    test: tuple[DataSet, ...]
    evaluators: tuple[Evaluator, ...]
    config: Mapping[str, Any]
    detector: str = ""
    changes: tuple[Change, ...] = ()
    init: str = ""


@dataclass(frozen=True)
class Run:
    """What comparison needs of a detection run.

    Attributes:
        path: the record.
        name, arch, norm, eps: which backbone it started from; norm is None at eps 0, where the
            threat model makes no difference, and arch as :func:`.shown_arch` has it.
        weights, weights_hash: where the backbone came from, and its SHA-256.
        seed: of the fine-tuning.
        detector: SHA-256 of the detector that was evaluated; empty if the record does not say.
        assumed: what its file does not say, so that the record has the config's word for it.
        metrics: task (see :mod:`robust_det.records.metrics`) -> metric -> value in [0, 100]; NaN
            where undefined.
        setting: what it was run under.
        pictures: what it drew, relative to the run's folder.
        test: the test sets, with where their annotations lay.
        detections: test set -> what was found in it, relative to the run's folder.
        environment: versions, commit, device, command.
        wall_time: seconds.
    """

    path: Path
    name: str
    arch: str
    norm: str | None
    eps: float
    weights: str
    weights_hash: str
    seed: int
    detector: str
    assumed: tuple[str, ...]
    metrics: dict[str, dict[str, float]]
    setting: Conditions
    pictures: tuple[Picture, ...]
    test: tuple[DataSet, ...]
    detections: Mapping[str, File]
    environment: Environment
    wall_time: float

    @property
    def folder(self) -> Path:
        """Where the paths of the pictures start."""
        return self.path.parent

    @property
    def test_data(self) -> str:
        """The names of the test sets, for headings."""
        return ", ".join(one.name for one in self.test)


def runs_of(records: Sequence[tuple[Path, DetectionRecord]]) -> list[Run]:
    """Return the runs of records; those without an eps are left out, and a warning names them.

    Args:
        records: each with its file.

    Raises:
        UserError: a record has not what comparison needs, or none has an eps.
    """
    known = [(path, record, record.eps) for path, record in records if record.eps is not None]
    without = [path.parent for path, record in records if record.eps is None]
    warn_left_out(NO_EPS, without)
    if not known:
        raise UserError(
            "no detection run with an eps among the records; give at least one to compare"
        )
    with without_garbage_collection():
        return [_run(path, record, eps) for path, record, eps in known]


def warn_left_out(why: str, left_out: Sequence[Path]) -> None:
    """Say what a comparison goes without, if it is anything."""
    if left_out:
        logger.warning(f"left out, having {why}: {', '.join(map(str, left_out))}")


def _run(path: Path, record: DetectionRecord, eps: float) -> Run:
    if not record.data.test:
        raise UserError(f"run record {path}: field 'data.test' is empty")
    return Run(
        path=path,
        name=record.name,
        arch=shown_arch(record),
        norm=record.norm if record.norm and eps > 0 else None,
        eps=eps,
        weights=record.weights.path,
        weights_hash=record.weights.sha256,
        seed=record.seed,
        detector=record.detector.sha256 if record.detector else "",
        assumed=record.detector.assumed if record.detector else (),
        metrics=_metrics(path, record),
        setting=conditions_of(record),
        pictures=tuple(record.pictures),
        test=tuple(record.data.test),
        detections=record.detections,
        environment=record.environment,
        wall_time=record.wall_time_s,
    )


def _metrics(path: Path, record: DetectionRecord) -> dict[str, dict[str, float]]:
    if not record.metrics:
        raise UserError(f"run record {path}: field 'metrics' is empty")
    for task, values in record.metrics.items():
        if (headline := task_of(task).headline) not in values:
            raise UserError(f"run record {path}: field 'metrics.{task}.{headline}' is missing")
    return {
        task: {name: math.nan if value is None else value for name, value in values.items()}
        for task, values in record.metrics.items()
    }


def conditions_of(record: DetectionRecord) -> Conditions:
    """Return what a run was run under."""
    train, test = (
        tuple(replace(one, annotations_file="", image_folder="") for one in sets)
        for sets in (record.data.train, record.data.test)
    )
    # a key of both is one of the schedule that the protocol repeats
    config = {**record.protocol, **record.schedule}
    which = _which(record.detector) if record.detector else ""
    used = tuple(record.evaluators)
    init = _init(record.init_detector) if record.init_detector else ""
    return Conditions(train, test, used, config, which, tuple(record.changes), init)


def _init(detector: InitDetector) -> str:
    """Say how the detector that a run started from was trained: each backbone has its own."""
    if not detector.train or detector.iterations is None:
        return f"the detector of sha256 {detector.sha256[:16]}"
    sets = ", ".join(f"{one.name} ({''.join(one.content)[:12]})" for one in detector.train)
    return f"a detector of {detector.iterations} iterations on {sets}"


def _which(detector: Detector) -> str:
    """Say which of a run's detectors it is, if it is not that of its end."""
    if detector.best_by:
        # at whatever iteration: that differs between seeds
        return f"best by {detector.best_by}"
    if detector.unfinished:
        return f"after {detector.iterations} of {detector.planned} iterations"
    return ""
