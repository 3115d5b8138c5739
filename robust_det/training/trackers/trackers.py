"""All trackers that a run was asked for, none of which can end it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robust_det.core.config.reading import CfgNode, flatten
from robust_det.core.config.setting import Setting
from robust_det.core.errors import UserError, reason_of
from robust_det.core.files import write_atomically
from robust_det.training.trackers.tracker import Session, Tracker

__all__ = ["SETTINGS", "TRACKERS_NAME", "Trackers", "Tracking", "require_installed", "tracking_of"]

logger = logging.getLogger(__name__)

TRACKERS_NAME = "trackers.json"

SETTINGS = {
    "LOG.WANDB": Setting(False, "scalars to Weights & Biases as well; by WANDB_MODE and others"),
    "LOG.MLFLOW": Setting(False, "scalars to MLflow as well; by MLFLOW_TRACKING_URI and others"),
}


def _on_wandb(session: Session) -> Tracker:
    from robust_det.training.trackers.on_wandb import WandbTracker

    return WandbTracker(session)


def _on_mlflow(session: Session) -> Tracker:
    from robust_det.training.trackers.on_mlflow import MlflowTracker

    return MlflowTracker(session)


@dataclass(frozen=True)
class _Kind:
    """A library of trackers: what it is called, its package, and how a run of it is begun."""

    name: str
    package: str
    open: Callable[[Session], Tracker]


_KINDS = {
    "LOG.WANDB": _Kind("Weights & Biases", "wandb", _on_wandb),
    "LOG.MLFLOW": _Kind("MLflow", "mlflow", _on_mlflow),
}


@dataclass(frozen=True)
class Tracking:
    """Which trackers a run has.

    Attributes:
        keys: of the config, that ask for them.
        name: of the run.
    """

    keys: Sequence[str] = ()
    name: str = ""


def tracking_of(cfg: CfgNode, name: str) -> Tracking:
    """Return the trackers that a config asks for."""
    values = flatten(cfg)
    return Tracking([key for key in _KINDS if values[key]], name)


def require_installed(cfg: CfgNode) -> None:
    """Refuse a config that asks for a tracker whose package is not there.

    Raises:
        UserError: says how to install it.
    """
    for key in tracking_of(cfg, "").keys:
        package = _KINDS[key].package
        spec = find_spec(package)
        # without a file it is a folder of that name, such as W&B's own files
        if spec is None or spec.origin is None:
            raise UserError(
                f"{key} needs the package {package}: pip install {package}", "or leave the key out"
            )


class Trackers:
    """The trackers of a session. One that fails is left out from there on, with a warning.

    Which run of theirs this is stands in ``trackers.json`` in the run's folder, so that a session
    that resumes continues it.

    Args:
        tracking: which; none by default.
        folder: of the run.
        config: of the run, nested.
        resumed: whether the run goes on from a checkpoint; otherwise it is a new one of theirs.
    """

    def __init__(
        self,
        tracking: Tracking | None = None,
        folder: Path | None = None,
        config: Mapping[str, Any] | None = None,
        resumed: bool = False,
    ) -> None:
        self._open: dict[str, Tracker] = {}
        if tracking is None or folder is None or not tracking.keys:
            return
        path = folder / TRACKERS_NAME
        known = _read(path) if resumed else {}
        flat = flatten(config or {})
        for key in tracking.keys:
            kept = known.get(_KINDS[key].package, {})
            session = Session(folder, tracking.name, flat, kept)
            self._do(key, lambda key=key, session=session: self._begin(key, session))  # type: ignore[misc]
        new = {_KINDS[key].package: dict(one.kept) for key, one in self._open.items()}
        text = json.dumps({**known, **new}, indent=1) + "\n"
        write_atomically(path, lambda file: file.write(text.encode()))

    def _begin(self, key: str, session: Session) -> None:
        self._open[key] = _KINDS[key].open(session)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Hand scalars of a step on."""
        self._each(lambda one: one.scalars(step, values))

    def flush(self) -> None:
        """Hand on what was held back."""
        self._each(lambda one: one.flush())

    def files(self, paths: Iterable[Path]) -> None:
        """Hand on those of the files that are there."""
        for path in paths:
            if path.exists():
                self._each(lambda one, path=path: one.file(path))  # type: ignore[misc]

    def close(self, finished: bool) -> None:
        """End the session.

        Args:
            finished: whether the run is.
        """
        self._each(lambda one: one.close(finished))
        self._open.clear()

    def _each(self, use: Callable[[Tracker], None]) -> None:
        for key, one in list(self._open.items()):
            self._do(key, lambda one=one: use(one))  # type: ignore[misc]

    def _do(self, key: str, use: Callable[[], None]) -> None:
        try:
            use()
        except Exception as error:  # whatever other libraries raise
            self._open.pop(key, None)
            logger.warning(
                f"{_KINDS[key].name} failed ({reason_of(error)}): the run goes on without it;"
                " TensorBoard and metrics.jsonl have all, and --resume tries it again"
            )


def _read(path: Path) -> dict[str, dict[str, str]]:
    """Return what was kept; nothing if it cannot be read, and then the run is a new one."""
    try:
        found = json.loads(path.read_text())
        return {name: {k: str(v) for k, v in kept.items()} for name, kept in found.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, OSError) as error:
        logger.warning(f"{path} cannot be read ({reason_of(error)}): trackers get a new run")
        return {}
