"""What a run shows and leaves: a progress bar, TensorBoard, and one JSON line an epoch."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from robust_det.files import write_atomically

__all__ = ["RunLog", "progress_bar"]


def progress_bar(total: int, label: str, unit: str, enabled: bool = True, initial: int = 0) -> tqdm:
    """A bar with rate and time left; where there is no terminal, a line every ten seconds."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=initial,
        desc=label,
        unit=unit,
        disable=not enabled,
        mininterval=0.2 if terminal else 10,
        maxinterval=1 if terminal else 30,
        delay=0 if terminal else 10,
        # a log file has no cursor to move for a bar below another
        position=None if terminal else 0,
        dynamic_ncols=terminal,
        leave=False,
    )


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
        self._lines = folder / "metrics.jsonl"
        self._board: SummaryWriter | None = None
        if not enabled:
            return
        if self._lines.exists():
            kept = "".join(
                f"{line}\n"
                for line in self._lines.read_text().splitlines()
                if _epoch_of(line) <= start_epoch
            )
            write_atomically(self._lines, lambda file: file.write(kept.encode()))
        purge = start_step + 1 if start_step else None
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

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


def _epoch_of(line: str) -> float:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(json.loads(line)["epoch"])
    return float("inf")  # cut off by a kill
