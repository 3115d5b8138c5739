"""One run of a transfer by SGD, from its settings to its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from robust_det.classification.components import build_plan
from robust_det.classification.image_sets import require_room, require_same_everywhere
from robust_det.classification.task import prepare_process
from robust_det.core.errors import UserError
from robust_det.training.engine import BEST, FINAL, LAST, Engine
from robust_det.training.run_folder import refuse_other_run
from robust_det.training.state import Progress, TrainingState
from robust_det.training.trackers.trackers import tracking_of
from robust_det.transfer.given import Given
from robust_det.transfer.sgd.planned import Run
from robust_det.transfer.sgd.task import TransferTask

__all__ = ["Ended", "trained"]


@dataclass(frozen=True)
class Ended:
    """A run that is finished.

    Attributes:
        folder: its own.
        latest, best: accuracy at its end and after its best epoch, in percent; -1 if it was not
            validated.
        epochs, best_epoch: how many it trained, and which was the best; 0 likewise.
        seconds: that it took.
    """

    folder: Path
    latest: float
    best: float
    epochs: int
    best_epoch: int
    seconds: float

    def weights(self, *, best: bool) -> Path:
        """Return the file of its last weights, or of the best.

        Raises:
            UserError: it is gone.
        """
        path = self.folder / (BEST if best else FINAL)
        if not path.exists():
            raise UserError(
                f"{self.folder} is finished, and its {path.name} is gone; put it back, or delete"
                " the folder, so that it is trained again"
            )
        return path


def trained(given: Given, run: Run) -> Ended:
    """Train to the end, or return what a run that is finished came to.

    Raises:
        UserError: the folder holds a run that this one may not go on with; data or batch do not
            fit.
        SystemExit: SIGTERM or SIGUSR1, and the state is saved.
        KeyboardInterrupt: Ctrl-C, likewise.
    """
    refuse_other_run(run.folder, (LAST, FINAL, BEST), given.resume, resumed_from=(LAST,))
    prepare_process(run.cfg, given.device)
    task = TransferTask(given, run)
    world = given.world
    require_same_everywhere(
        run.cfg, task.train_data, task.val_data, run.folder / LAST, world, run.start.sha256
    )
    plan = build_plan(run.cfg, task.images, world.size)
    require_room(
        run.cfg,
        world.size,
        training=plan.steps,
        validation=len(task.val_data) if run.judged else 0,
    )
    plan = dataclasses.replace(
        plan,
        epochs=run.epochs,
        eval_epochs=plan.eval_epochs if run.judged else 0,
        patience=run.patience,
    )
    state = TrainingState(task.model.body, task.step.update, task.average, Progress())
    run.folder.mkdir(parents=True, exist_ok=True)
    name = run.folder.name
    # name alone is that of a part, such as final
    tracking = tracking_of(run.cfg, f"{given.name}/{run.folder.relative_to(run.cfg.OUTPUT_DIR)}")
    Engine(task, plan, state, run.folder, name, given.device, world, tracking).run()
    done = state.progress
    per_epoch = plan.steps_per_epoch
    return Ended(
        run.folder,
        done.latest,
        done.best,
        done.step // per_epoch,
        done.best_step // per_epoch,
        done.seconds,
    )
