"""What a fine-tuning leaves to look at: metrics.json, TensorBoard, and lines of the log."""

from __future__ import annotations

from pathlib import Path

from detectron2.engine import hooks
from detectron2.utils.events import CommonMetricPrinter, JSONWriter, TensorboardXWriter

from robust_det.training.logs import drop_later_lines

__all__ = ["WriterHook"]


class WriterHook(hooks.PeriodicWriter):
    """Writes every ``period`` steps, and no step twice: what a run that was killed wrote of steps
    that are to be done again goes first.

    Args:
        folder: of the run.
        period: in steps.
    """

    def __init__(self, folder: str | Path, period: int = 20) -> None:
        super().__init__([], period)
        self._folder = Path(folder)

    def before_train(self) -> None:
        # an evaluation that is due is of the step before, and is written with it
        start = self.trainer.start_iter - int(self.trainer.evaluation_due)
        folder = self._folder
        lines = folder / "metrics.json"
        drop_later_lines(lines, "iteration", start - 1)
        self._writers = [
            CommonMetricPrinter(self.trainer.max_iter),
            JSONWriter(str(lines)),
            TensorboardXWriter(str(folder / "tensorboard"), purge_step=start),
        ]

    def write_figures(self) -> None:
        """Write what an evaluation between two steps found, which the next one would replace."""
        for writer in self._writers[1:]:  # the first prints lines of steps
            writer.write()
