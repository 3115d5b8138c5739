"""``model_best.pth``: the best of all evaluations of a run, whatever stopped it in between."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase, hooks

from robust_det.checkpoints.io import peek_checkpoint
from robust_det.detection.provenance import BEST_KEY, provenance_in, same_data

__all__ = ["BEST", "KeepBest", "PeriodicSaving"]

logger = logging.getLogger(__name__)

BEST = "model_best.pth"


class PeriodicSaving(hooks.PeriodicCheckpointer):
    """Detectron2's hook; a checkpoint of a step that is evaluated afterwards says so, and a run
    that was killed in between does the evaluation when it goes on."""

    def after_step(self) -> None:
        trainer = self.trainer
        done, period = trainer.iter + 1, trainer.cfg.TEST.EVAL_PERIOD
        trainer.evaluation_due = period > 0 and done % period == 0 and done < trainer.max_iter
        super().after_step()
        trainer.evaluation_due = False


class KeepBest(HookBase):
    """Writes ``model_best.pth`` when an evaluation is better than all before; after the evaluation.

    Of equal ones the first is kept. The file itself says how good it is, so that nothing that
    happens between two checkpoints is forgotten.

    Args:
        metric: as the storage names it, such as ``bbox/AP``.
        checkpointer: of the run.
    """

    def __init__(self, metric: str, checkpointer: Any) -> None:
        self.metric, self.checkpointer = metric, checkpointer
        self.best, self.seen = -math.inf, -1

    def before_train(self) -> None:
        path = Path(self.checkpointer.save_dir) / BEST
        if self.trainer.start_iter == 0:
            self.best = -math.inf
        elif not path.exists():
            if math.isfinite(self.best):
                logger.warning(f"{path} is gone; the best is chosen anew from here")
            self.best = -math.inf
        else:
            self._take_up(path)

    def _take_up(self, path: Path) -> None:
        """Go on from what the file itself says, which may be newer than the checkpoint."""
        content = peek_checkpoint(path)
        kept, made = content.get(BEST_KEY), provenance_in(content, path)
        if kept is None:  # of versions that told the checkpoint alone
            return
        now = self.checkpointer.provenance
        measured, today = ((each.test or [] if each else []) for each in (made, now))
        if kept["metric"] == self.metric and same_data(measured, today):
            self.best = kept["value"]
        else:
            logger.warning(f"{path} is the best on other test data; it is chosen anew from here")
            self.best = -math.inf

    def after_step(self) -> None:
        self._look()

    def after_train(self) -> None:
        self._look()  # at the evaluation after the last step
        trainer = self.trainer
        if trainer.iter >= trainer.max_iter and not math.isfinite(self.best):
            logger.warning(f"{self.metric} was never a number: there is no {BEST}")

    def _look(self) -> None:
        value, iteration = self.trainer.storage.latest().get(self.metric, (math.nan, -1))
        if iteration == self.seen:
            return
        self.seen = iteration
        if value > self.best:
            self.best = value
            last = min(self.trainer.iter, self.trainer.max_iter - 1)
            best = {"metric": self.metric, "value": value}
            self.checkpointer.save_beside(
                BEST.removesuffix(".pth"), iteration=last, **{BEST_KEY: best}
            )

    def state_dict(self) -> dict[str, float]:
        """Return what resuming needs."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Continue from an earlier session's best."""
        self.best = state["best"]
