"""A run on Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import wandb

from robust_det.training.trackers.tracker import Session

__all__ = ["WandbTracker"]

_LONGEST_WAIT = 300.0  # seconds for the last of its data; what is left, `wandb sync` sends


class WandbTracker:
    """A run on Weights & Biases; see :class:`.Tracker`.

    ``WANDB_MODE``, ``WANDB_PROJECT`` and others say how and where; without ``WANDB_DIR`` its files
    are in the run's folder, in ``wandb``.

    Args:
        session: of the run.
    """

    def __init__(self, session: Session) -> None:
        kept = session.kept
        self._folder = session.folder
        self._run = wandb.init(
            id=kept.get("id"),
            project=kept.get("project"),
            entity=kept.get("entity"),
            resume="allow" if kept else None,
            name=session.name,
            dir=None if "WANDB_DIR" in os.environ else str(session.folder),
            settings=_settings(),
        )
        # dotted keys, as on the command line; a run that goes on may have others
        self._run.config.update(dict(session.config), allow_val_change=True)
        # its own count of steps only rises, and a run that was killed goes back
        self._run.define_metric("*", step_metric="step")
        said = {"id": self._run.id, "project": self._run.project, "entity": self._run.entity}
        self.kept: Mapping[str, str] = {key: value for key, value in said.items() if value}

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add scalars of a step."""
        self._run.log({**values, "step": step})

    def flush(self) -> None:
        """Do nothing: its own process sends what there is."""

    def file(self, path: Path) -> None:
        """Add a file."""
        self._run.save(str(path), base_path=str(self._folder), policy="now")

    def close(self, finished: bool) -> None:
        """End the session; waits until all is sent, or ``WANDB_FINISH_TIMEOUT`` is over."""
        self._run.finish(exit_code=0 if finished else 1)


def _settings() -> wandb.Settings:
    """Let the end of a run not wait for ever for a network that is gone."""
    known = "finish_timeout" in getattr(wandb.Settings, "model_fields", {})
    if not known or "WANDB_FINISH_TIMEOUT" in os.environ:
        return wandb.Settings()
    return wandb.Settings(finish_timeout=_LONGEST_WAIT)
