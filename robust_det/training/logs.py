"""What a run leaves to look at: TensorBoard, one JSON line an epoch, and trackers if asked for."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from robust_det.core.files import write_atomically
from robust_det.training.trackers.trackers import Trackers

__all__ = ["RunLog", "drop_later_lines", "epoch_values"]

_LINES = "metrics.jsonl"


class RunLog:
    """Writes the metrics of a run; does nothing in processes other than the main one.

    Args:
        folder: run folder; gets ``metrics.jsonl`` and ``tensorboard/``.
        enabled: whether this is the main process.
        start_epoch: epochs finished so far; lines of later ones, left by a run that was killed,
            are dropped.
        start_step: steps done so far, likewise for TensorBoard.
        trackers: get the same scalars.
    """

    def __init__(
        self,
        folder: Path,
        enabled: bool,
        start_epoch: int,
        start_step: int = 0,
        trackers: Trackers | None = None,
    ) -> None:
        self._lines = folder / _LINES
        self._board: SummaryWriter | None = None
        self._trackers = trackers or Trackers()
        self._concluded = False
        if not enabled:
            return
        drop_later_lines(self._lines, "epoch", start_epoch)
        # also of a run that begins: one that was killed before its first checkpoint may have left
        # its steps
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_step + 1)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Add scalars of a training step."""
        self._add(step, {f"train/{name}": value for name, value in values.items()})

    def epoch(self, step: int, values: dict[str, Any]) -> None:
        """Write the JSON line of an epoch and its scalars."""
        if self._board is None:
            return
        with open(self._lines, "a") as file:
            file.write(json.dumps(values) + "\n")
        numbers = {k: v for k, v in values.items() if isinstance(v, (int, float))}
        self._add(step, {f"epoch/{name}": value for name, value in numbers.items()})
        self._board.flush()
        self._trackers.flush()

    def _add(self, step: int, scalars: dict[str, float]) -> None:
        if self._board is None:
            return
        for name, value in scalars.items():
            self._board.add_scalar(name, value, step)
        self._trackers.scalars(step, scalars)

    def conclude(self, products: Iterable[Path]) -> None:
        """Hand the files of a finished run on; those that are not there are left out."""
        self._trackers.files(products)
        self._concluded = True

    def close(self) -> None:
        """Flush and close what is written to."""
        if self._board is not None:
            self._board.close()
        self._trackers.close(self._concluded)


def drop_later_lines(path: Path, key: str, last: int) -> None:
    """Leave those lines of a file of JSON whose ``key`` is ``last`` or less; no file is left so."""
    if path.exists():
        lines = path.read_text().splitlines()
        kept = "".join(f"{line}\n" for line in lines if _number_of(line, key) <= last)
        write_atomically(path, lambda file: file.write(kept.encode()))


def epoch_values(folder: Path, epoch: int) -> dict[str, Any] | None:
    """Return what the log of a run says of an epoch; None if it does not."""
    path = folder / _LINES
    for line in reversed(path.read_text().splitlines() if path.exists() else []):
        if _number_of(line, "epoch") == epoch:
            values: dict[str, Any] = json.loads(line)
            return values
    return None


def _number_of(line: str, key: str) -> float:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(json.loads(line)[key])
    return float("inf")  # cut off by a kill
