"""What a run leaves to look at: TensorBoard, and one JSON line an epoch."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from robust_det.core.files import write_atomically

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
    """

    def __init__(self, folder: Path, enabled: bool, start_epoch: int, start_step: int = 0) -> None:
        self._lines = folder / _LINES
        self._board: SummaryWriter | None = None
        if not enabled:
            return
        drop_later_lines(self._lines, "epoch", start_epoch)
        # also of a run that begins: one that was killed before its first checkpoint may have left
        # its steps
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=start_step + 1)

    def step(self, step: int, values: dict[str, float]) -> None:
        """Add scalars of a training step to TensorBoard."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"train/{name}", value, step)

    def epoch(self, step: int, values: dict[str, Any]) -> None:
        """Write the JSON line of an epoch and its scalars."""
        if self._board is None:
            return
        with open(self._lines, "a") as file:
            file.write(json.dumps(values) + "\n")
        for name, value in values.items():
            if isinstance(value, (int, float)):
                self._board.add_scalar(f"epoch/{name}", value, step)
        self._board.flush()

    def close(self) -> None:
        """Flush and close TensorBoard."""
        if self._board is not None:
            self._board.close()


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
