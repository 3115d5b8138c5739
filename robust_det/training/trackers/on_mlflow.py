"""A run in MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from robust_det.training.trackers.tracker import Session

__all__ = ["MlflowTracker"]

# of MLflow's REST API: parameters a request, and characters of one
_PARAMS, _LONGEST = 100, 500
# scalars a request; it takes 1,000
_METRICS = 500
_SECONDS = 10.0  # between requests, at most
_EXPERIMENT = "Default"


class MlflowTracker:
    """A run in MLflow; see :class:`.Tracker`.

    ``MLFLOW_TRACKING_URI`` and others say where; the experiment is that of
    ``MLFLOW_EXPERIMENT_NAME`` or ``MLFLOW_EXPERIMENT_ID``, and is made if it is not there.

    Args:
        session: of the run.
    """

    def __init__(self, session: Session) -> None:
        self._client = MlflowClient()
        self._waiting: list[Metric] = []
        self._sent = time.monotonic()
        if session.kept:
            self._id = session.kept["run_id"]
            self._client.update_run(self._id, status="RUNNING")
        else:
            run = self._client.create_run(self._experiment(), run_name=session.name)
            self._id = run.info.run_id
        self.kept: Mapping[str, str] = {"run_id": self._id}
        # of a run that goes on parameters cannot change: the file has those of now
        known = self._client.get_run(self._id).data.params
        new = [Param(k, str(v)[:_LONGEST]) for k, v in session.config.items() if k not in known]
        for start in range(0, len(new), _PARAMS):
            self._client.log_batch(self._id, params=new[start : start + _PARAMS])
        self._client.log_dict(self._id, dict(session.config), "config.json")

    def _experiment(self) -> str:
        if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return number
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        return str(self._client.create_experiment(name))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add scalars of a step; they are sent together with those of other steps."""
        now = int(1000 * time.time())
        self._waiting += [Metric(name, value, now, step) for name, value in values.items()]
        if len(self._waiting) >= _METRICS or time.monotonic() > self._sent + _SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), _METRICS):
            self._client.log_batch(self._id, metrics=waiting[start : start + _METRICS])
        self._sent = time.monotonic()

    def file(self, path: Path) -> None:
        """Add a file."""
        self._client.log_artifact(self._id, str(path))

    def close(self, finished: bool) -> None:
        """Send what waits, and end the session."""
        self.flush()
        self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED")
