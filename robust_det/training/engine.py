"""Training by epochs: the one loop of all that learns from a set of images and is validated.

What is learnt is a :class:`Task`; the engine does the rest: the order of things, checkpoints,
resumption, validation, the best weights, logs, progress and stopping.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from tqdm import tqdm

from robust_det.checkpoints.io import load_checkpoint, save_checkpoint
from robust_det.core.cli import resuming_command
from robust_det.core.errors import UserError
from robust_det.core.files import remove_leftovers
from robust_det.core.progress import progress_bar
from robust_det.core.signals import StopRequest, WaitCutShort
from robust_det.training.logs import RunLog, epoch_values
from robust_det.training.schedule import LearningRate
from robust_det.training.state import TrainingState
from robust_det.training.trackers.trackers import Trackers, Tracking
from robust_det.training.world import World

__all__ = ["BEST", "FINAL", "LAST", "DivergedError", "Engine", "Plan", "Task", "Update"]

logger = logging.getLogger(__name__)

LAST, FINAL, BEST = "last.pth", "final.pth", "best.pth"
# of the values of an epoch
_SHOWN = (
    "train_loss",
    "train_top1",
    "clean_top1",
    "clean_top5",
    "mean_per_class",
    "adversarial_top1",
    "adversarial_mean_per_class",
)
# steps whose loss waits on a GPU before it is read; reading stalls the GPU
_UNREAD_STEPS = 20


class DivergedError(UserError):
    """The network computes NaN or infinite numbers: a smaller learning rate may help."""


@dataclass(frozen=True)
class Update:
    """What one optimiser step found in this process.

    Attributes:
        loss: the mean over its images, a scalar on the device.
        correct: how many of them were classified right, likewise.
        images: how many there were.
        corrupt: how many could not be read.
    """

    loss: torch.Tensor
    correct: torch.Tensor
    images: int
    corrupt: int = 0


class Task(Protocol):
    """What a run learns: all that differs between jobs.

    Attributes:
        images, classes: of the training data.
        products: the files that :meth:`conclude` writes.
        shown: files that the task may leave beside those, to look at.
    """

    images: int
    classes: int
    products: Sequence[str]
    shown: Sequence[str]

    def begin(self, folder: Path, step: int) -> None:
        """Do what comes before the first batch of a session that begins at a step; in the main
        process."""
        ...

    def batches(self, start_step: int) -> Generator[Any, None, None]:
        """Give this process's batches from a step on, a function of the seed and the step."""
        ...

    def update(self, batch: Any, step: int) -> Update:
        """Do the optimiser step of that number, from 0, on one batch."""
        ...

    def validate(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """Return the validation's figures in percent, and words of what they are; those of one
        that ``stop`` cut off mean nothing."""
        ...

    def score(self, values: Mapping[str, float]) -> float:
        """Return what the best weights are chosen by."""
        ...

    def watch(
        self, values: Mapping[str, float], best: float, best_epoch: int, weights: Path
    ) -> None:
        """Look at a validation beside the best before it; in the main process.

        Args:
            values: of the epoch.
            best, best_epoch: the highest score before, and when that was; -1 and 0 at first.
            weights: the file that has the weights of then.
        """
        ...

    def description(self) -> dict[str, Any]:
        """Return what a checkpoint says of itself beside its tensors."""
        ...

    def check(self, content: Mapping[str, Any], path: Path) -> None:
        """Refuse to resume from a checkpoint of another run.

        Raises:
            UserError: says in what it differs.
        """
        ...

    def conclude(self, weights: Path, values: Mapping[str, Any], seconds: float) -> None:
        """Write the products of a finished run; in the main process."""
        ...


@dataclass(frozen=True)
class Plan:
    """How long a run is, and how often it looks up.

    Attributes:
        epochs, steps_per_epoch: its length.
        batch_size: images of a step, over all processes.
        checkpoint_steps: also save every so many steps; 0 saves at the end of epochs only.
        eval_epochs: validate every so many epochs, and at the end; 0 never does.
        learning_rate: of each step; a group of parameters that has a ``factor`` learns by so many
            times of it.
        patience: stop after so many validations without a better one; 0 does not.
    """

    epochs: int
    steps_per_epoch: int
    batch_size: int
    checkpoint_steps: int
    eval_epochs: int
    learning_rate: LearningRate
    patience: int = 0

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch


class Engine:
    """One run. Its folder gets ``last.pth`` (to resume), ``best.pth``, ``final.pth`` (weights
    only), ``metrics.jsonl``, ``tensorboard/`` and what the task writes.

    Args:
        task: what is learnt.
        plan: how long.
        state: what changes; restored from ``last.pth`` if that is there.
        folder, name: of the run.
        device, world: where it runs, and beside whom.
        tracking: where else its scalars go; None is nowhere.
    """

    def __init__(
        self,
        task: Task,
        plan: Plan,
        state: TrainingState,
        folder: Path,
        name: str,
        device: torch.device,
        world: World,
        tracking: Tracking | None = None,
    ) -> None:
        self.task, self.plan, self.state = task, plan, state
        self._tracking = tracking or Tracking()
        self.folder, self.name, self.device, self.world = folder, name, device, world
        self._stop = StopRequest()
        self._cut_short = False
        # what is not yet read into the progress: the updates of the latest steps
        self._unread: list[tuple[int, Update]] = []
        last = folder / LAST
        if last.exists():
            content = load_checkpoint(last)
            task.check(content, last)
            state.restore(content, last, world)

    def run(self) -> None:
        """Train to the end.

        Raises:
            SystemExit: SIGTERM or SIGUSR1 came before, and the state is saved.
            KeyboardInterrupt: Ctrl-C did, and the state is saved.
        """
        plan, progress = self.plan, self.state.progress
        if self._over():
            self._replace_products()
            self._say(f"{self.folder} is finished already; nothing to do")
            return
        if self.world.is_main:
            self.task.begin(self.folder, progress.step)
        if progress.step:
            self._say(f"resuming {self.folder} at {self._position()}")
        self._say(
            f"{self.name}: {self.task.images} training images of {self.task.classes} classes,"
            f" {plan.steps} steps on {self.device}"
        )
        if self.world.is_main:
            for name in (LAST, FINAL, BEST):
                remove_leftovers(self.folder / name)
        self.log = RunLog(
            self.folder,
            self.world.is_main,
            self._finished_epochs(),
            progress.step,
            self._trackers() if self.world.is_main else None,
        )
        # closed whatever happens: the loader's workers ignore SIGTERM, so that an exiting process
        # would wait for them for ever
        batches = contextlib.closing(self.task.batches(progress.step))
        bar = progress_bar(
            plan.steps * plan.batch_size,
            f"train {self.name}",
            "img",
            self.world.is_main,
            initial=progress.step * plan.batch_size,
        )
        with bar, contextlib.closing(self.log), self._stop, batches as stream:
            while not self._over():
                stopped = not self._train_epoch(stream, bar)
                if stopped:
                    self._save_last()
                if stopped or not self._finish_epoch():
                    self._say(
                        f"stopped by {self._stop.source} at {self._position()}, saved in"
                        f" {self.folder / LAST}; to go on: {resuming_command()}"
                    )
                    self._stop.leave()

    def _trackers(self) -> Trackers:
        config = self.task.description().get("config", {})
        return Trackers(self._tracking, self.folder, config, self.state.progress.step > 0)

    def _replace_products(self) -> None:
        """Write again what is gone of a finished run's results; ``last.pth`` and the log have them.

        Raises:
            UserError: the log does not.
        """
        products = (FINAL, *self.task.products)
        gone = [name for name in products if not (self.folder / name).exists()]
        if not gone or not self.world.is_main:
            return
        epoch = self._finished_epochs()
        values = epoch_values(self.folder, epoch)
        if values is None:
            raise UserError(
                f"{self.folder} is finished, {' and '.join(gone)} gone, and metrics.jsonl does not"
                f" have epoch {epoch}",
                f"put the files back, or measure {LAST} by --eval-only --weights",
            )
        self._save_weights(FINAL)
        self.task.conclude(self.folder / FINAL, values, self.state.progress.seconds)
        self._say(f"{self.folder}: {' and '.join(gone)} had gone, written again")

    def _finished_epochs(self) -> int:
        """Epochs trained and validated: the sums are emptied once an epoch is dealt with."""
        epochs, step = divmod(self.state.progress.step, self.plan.steps_per_epoch)
        return epochs - int(step == 0 and self.state.progress.images > 0)

    def _over(self) -> bool:
        """Whether there is nothing left to train."""
        return self._finished_epochs() == self.plan.epochs or self._waited_enough()

    def _waited_enough(self) -> bool:
        """Whether as many validations as patience lasts have found nothing better."""
        plan = self.plan
        if not plan.patience:
            return False
        best = self.state.progress.best_step // plan.steps_per_epoch
        waited = self._finished_epochs() // plan.eval_epochs - best // plan.eval_epochs
        return waited >= plan.patience

    def _train_epoch(self, batches: Generator[Any, None, None], bar: tqdm) -> bool:
        """Train to the end of the current epoch; False when asked to stop before."""
        plan, progress = self.plan, self.state.progress
        epoch = self._finished_epochs() + 1
        end = epoch * plan.steps_per_epoch
        bar.set_description(f"{self.name}, epoch {epoch}/{plan.epochs}", refresh=False)
        often = 1 if self.device.type == "cpu" else _UNREAD_STEPS
        clock = time.perf_counter()
        while progress.step < end:
            batch = self._next(batches)
            # together, before any process waits for the others in the step
            if self.world.any(self._stop.asked or batch is None):
                self._read_updates()
                return False
            rate = plan.learning_rate(progress.step)
            for group in self.state.step.optimizer.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
            update = self.task.update(batch, progress.step)
            progress.step += 1
            self._unread.append((progress.step, update))
            every = plan.checkpoint_steps
            due = bool(every) and progress.step % every == 0 and progress.step < end
            if len(self._unread) >= often or due or progress.step == end:
                self._read_updates()
                mean = progress.loss / progress.images
                bar.set_postfix(loss=f"{mean:.3f}", lr=f"{rate:.4f}", refresh=False)
            now = time.perf_counter()
            progress.seconds, clock = progress.seconds + now - clock, now
            bar.update(plan.batch_size)
            if due:
                self._save_last()
        return True

    def _next(self, batches: Generator[Any, None, None]) -> Any:
        """Return the next batch; None if it does not come and this process was asked to stop."""
        try:
            return next(batches)
        except WaitCutShort:
            return None

    def _finish_epoch(self) -> bool:
        """Validate, log, keep the best, save; at the end of the run also the final weights.

        Returns False when a signal came during validation, which a resumed run then repeats.
        """
        progress = self.state.progress
        values = self._epoch_values()
        often = self.plan.eval_epochs
        if often and (progress.step == self.plan.steps or values["epoch"] % often == 0):
            # validation may take longer than a scheduler waits after SIGTERM
            self._save_last()
            values.update(self.task.validate(self._stop_validation))
            if self.world.any(self._cut_short):
                return False
            if self.world.is_main:
                before = progress.best_step // self.plan.steps_per_epoch
                self.task.watch(values, progress.best, before, self.folder / BEST)
            progress.latest = self.task.score(values)
            if progress.latest > progress.best:
                progress.best, progress.best_step = progress.latest, progress.step
                self._save_weights(BEST)
        progress.begin_epoch()
        self.log.epoch(progress.step, values)
        self._say_epoch(values)
        if self._over():
            if progress.step < self.plan.steps:
                self._say(
                    f"{self.name} ends here: {self.plan.patience} validations were not better than"
                    f" that of epoch {progress.best_step // self.plan.steps_per_epoch}"
                )
            self._save_weights(FINAL)
            if self.world.is_main:
                self.task.conclude(self.folder / FINAL, values, progress.seconds)
            names = (*self.task.products, *self.task.shown)
            self.log.conclude(self.folder / name for name in names)
        self._save_last()
        return True

    def _epoch_values(self) -> dict[str, Any]:
        """Return the line of ``metrics.jsonl`` before validation, over all processes."""
        plan, progress = self.plan, self.state.progress
        sums = torch.tensor(
            [progress.loss, progress.correct, progress.images, progress.corrupt],
            dtype=torch.float64,
            device=self.device,
        )
        loss, correct, images, corrupt = self.world.sum(sums).tolist()
        return {
            "epoch": progress.step // plan.steps_per_epoch,
            "step": progress.step,
            "lr": plan.learning_rate(progress.step - 1),
            "train_loss": loss / images,
            "train_top1": 100 * correct / images,
            "corrupt_skipped": int(corrupt),
            "seconds": round(progress.seconds, 3),
            "images_per_second": round(progress.step * plan.batch_size / progress.seconds, 2),
        }

    def _read_updates(self) -> None:
        """Add the losses and hits of the latest steps to the progress.

        Raises:
            DivergedError: a loss is not finite.
        """
        progress = self.state.progress
        if not self._unread:
            return
        updates = [update for _, update in self._unread]
        losses = torch.stack([update.loss for update in updates]).tolist()
        hits = torch.stack([update.correct for update in updates]).tolist()
        for (step, update), loss, correct in zip(self._unread, losses, hits, strict=True):
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss is {loss} at step {step}; lower OPTIM.LR, lengthen"
                    " OPTIM.WARMUP_EPOCHS or set OPTIM.CLIP_NORM, and begin anew in another"
                    " OUTPUT_DIR"
                )
            progress.loss += loss * update.images
            progress.correct += correct
            progress.images += update.images
            progress.corrupt += update.corrupt
            self.log.step(step, {"loss": loss, "lr": self.plan.learning_rate(step - 1)})
        self._unread.clear()

    def _stop_validation(self) -> bool:
        self._cut_short = self._stop.asked
        return self._cut_short

    def _save_last(self) -> None:
        self.state.save(self.folder / LAST, self.task.description(), self.world)

    def _save_weights(self, name: str) -> None:
        if self.world.is_main:
            content = {**self.task.description(), **self.state.weights()}
            save_checkpoint(self.folder / name, content)

    def _position(self) -> str:
        epoch, step = divmod(self.state.progress.step, self.plan.steps_per_epoch)
        return f"epoch {epoch + 1}, step {step}/{self.plan.steps_per_epoch}"

    def _say_epoch(self, values: Mapping[str, Any]) -> None:
        text = ", ".join(f"{k} {values[k]:.2f}" for k in _SHOWN if k in values)
        self._say(f"epoch {values['epoch']}/{self.plan.epochs}: {text}")
        if corrupt := values["corrupt_skipped"]:
            self._say(f"skipped {corrupt} corrupt images in this epoch")

    def _say(self, text: str) -> None:
        if self.world.is_main:
            logger.info(text)
