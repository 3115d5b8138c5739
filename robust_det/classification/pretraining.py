"""Adversarial training of a classifier, from a config to a run folder (Salman et al. 2020)."""

from __future__ import annotations

import contextlib
import logging
import math
import random
import signal
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from robust_det.checkpoints.io import save_checkpoint
from robust_det.classification.build import build_model, build_state, build_step
from robust_det.classification.image_sets import batches_of, training_set, validation_set
from robust_det.classification.logs import RunLog
from robust_det.classification.record import write_pretrain_record
from robust_det.classification.validate import validate
from robust_det.core.config import CfgNode
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError
from robust_det.core.files import remove_leftovers
from robust_det.core.progress import progress_bar
from robust_det.data.classification.image_folder import Batch
from robust_det.data.classification.sampling import TrainBatches
from robust_det.models import Classifier
from robust_det.records import RECORD_NAME
from robust_det.training.schedule import LearningRate, steps_per_epoch
from robust_det.training.world import World, joined_world, world_from_environment

__all__ = ["BEST", "FINAL", "LAST", "Pretrainer", "pretrain"]

logger = logging.getLogger(__name__)

LAST, FINAL, BEST = "last.pth", "final.pth", "best.pth"
# steps whose loss waits on a GPU before it is read; reading stalls the GPU
_UNREAD_STEPS = 20


def pretrain(cfg: CfgNode, name: str, resume: bool = False) -> bool:
    """Run a config to its end, or until SIGTERM.

    Args:
        cfg: a checked pretraining config.
        name: of the run, for its record.
        resume: continue from ``OUTPUT_DIR/last.pth`` if it is there.

    Returns:
        Whether the run is finished; False after SIGTERM.

    Raises:
        UserError: data, device, or output folder do not fit.
    """
    device = resolve_device(cfg.DEVICE, world_from_environment().local_rank)
    with joined_world(device) as world:
        return Pretrainer(cfg, name, device, world, resume).run()


class Pretrainer:
    """One run. Its folder gets ``last.pth`` (to resume), ``best.pth``, ``final.pth`` (weights
    only), ``metrics.jsonl``, ``tensorboard/`` and ``record.json``.

    Args:
        cfg: a checked pretraining config.
        name: of the run.
        device, world: where it runs, and beside whom.
        resume: continue from ``last.pth`` if it is there.
    """

    def __init__(
        self, cfg: CfgNode, name: str, device: torch.device, world: World, resume: bool
    ) -> None:
        self.cfg, self.name, self.device, self.world = cfg, name, device, world
        self.folder = Path(cfg.OUTPUT_DIR)
        self.stop_requested = self._cut_short = False
        last = self.folder / LAST
        self._refuse_foreign_folder(resume)
        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # all training batches have one shape

        random.seed(cfg.SEED)
        np.random.seed(cfg.SEED)
        torch.manual_seed(cfg.SEED)
        self.train_data = training_set(cfg)
        self.val_data = validation_set(cfg, self.train_data.classes)
        self.steps_per_epoch = steps_per_epoch(cfg, len(self.train_data), world.size)
        self.learning_rate = LearningRate(cfg, self.steps_per_epoch)
        self.total_steps = self.learning_rate.total

        self.model, card = build_model(cfg, self.train_data.classes, device)
        self.step = build_step(cfg, self.model, device, world)
        self.state = build_state(cfg, self.model, card, self.step, len(self.train_data))
        # what is not yet read into the progress: the loss and hits of the latest steps
        self._unread: list[tuple[int, int, torch.Tensor, torch.Tensor]] = []
        self._stream: Generator[Batch, None, None] | None = None
        if last.exists():
            self.state.restore(last, world)

    def run(self) -> bool:
        """Train to the end; returns False when SIGTERM stopped it before."""
        cfg, progress = self.cfg, self.state.progress
        if self._finished_epochs() == cfg.TRAIN.EPOCHS and (self.folder / FINAL).exists():
            self._say(f"{self.folder} is finished already; nothing to do")
            return True
        if progress.step:
            self._say(f"resuming {self.folder} at {self._position()}")
        self._say(
            f"{self.name}: {len(self.train_data)} training images of {len(self.state.card.classes)}"
            f" classes, {self.total_steps} steps on {self.device}"
        )
        if self.world.is_main:
            for name in (LAST, FINAL, BEST):
                remove_leftovers(self.folder / name)
        self.log = RunLog(self.folder, self.world.is_main, self._finished_epochs(), progress.step)
        batch = cfg.TRAIN.BATCH_SIZE
        bar = progress_bar(
            self.total_steps * batch,
            f"train {self.name}",
            "img",
            self.world.is_main,
            initial=progress.step * batch,
        )
        with bar, contextlib.closing(self.log), self._sigterm_stops(), self._workers_end():
            while self._finished_epochs() < cfg.TRAIN.EPOCHS:
                stopped = not self._train_epoch(bar)
                if stopped:
                    self.state.save(self.folder / LAST, self.world)
                if stopped or not self._finish_epoch():
                    self._say(f"stopped by SIGTERM at {self._position()}; --resume continues")
                    return False
        return True

    def _finished_epochs(self) -> int:
        """Epochs trained and validated: the sums are emptied once an epoch is dealt with."""
        epochs, step = divmod(self.state.progress.step, self.steps_per_epoch)
        return epochs - int(step == 0 and self.state.progress.images > 0)

    def _train_epoch(self, bar: tqdm) -> bool:
        """Train to the end of the current epoch; False when asked to stop before."""
        cfg, progress, step = self.cfg, self.state.progress, self.step
        epoch = self._finished_epochs() + 1
        end = epoch * self.steps_per_epoch
        bar.set_description(f"{self.name}, epoch {epoch}/{cfg.TRAIN.EPOCHS}", refresh=False)
        often = 1 if self.device.type == "cpu" else _UNREAD_STEPS
        stop = self.world.any(self.stop_requested)
        clock = time.perf_counter()
        while progress.step < end and not stop:
            batch = next(self._batches())
            rate = self.learning_rate(progress.step)
            for group in self.state.optimizer.param_groups:
                group["lr"] = rate
            loss, correct = step(
                batch.images.to(self.device, non_blocking=True),
                batch.targets.to(self.device, non_blocking=True),
                self._noise(),
            )
            self.world.average_buffers(self.model.body)
            if self.state.ema is not None:
                self.state.ema.update_parameters(self.model.body)
            progress.step += 1
            progress.corrupt += len(batch.corrupt)
            self._unread.append((progress.step, len(batch.targets), loss, correct))
            every = cfg.TRAIN.CHECKPOINT_STEPS
            due = bool(every) and progress.step % every == 0 and progress.step < end
            stop = self.world.any(self.stop_requested) and progress.step < end
            if len(self._unread) >= often or due or stop or progress.step == end:
                self._read_losses()
                bar.set_postfix(
                    loss=f"{progress.loss / progress.images:.3f}", lr=f"{rate:.4f}", refresh=False
                )
            now = time.perf_counter()
            progress.seconds, clock = progress.seconds + now - clock, now
            bar.update(cfg.TRAIN.BATCH_SIZE)
            if due and not stop:
                self.state.save(self.folder / LAST, self.world)
        return not stop

    def _read_losses(self) -> None:
        """Add the losses and hits of the latest steps to the progress.

        Raises:
            UserError: a loss is not finite.
        """
        progress, unread = self.state.progress, self._unread
        losses = torch.stack([loss for _, _, loss, _ in unread]).tolist()
        hits = torch.stack([correct for _, _, _, correct in unread]).tolist()
        for (step, images, _, _), loss, correct in zip(unread, losses, hits, strict=True):
            if not math.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at step {step}; lower OPTIM.LR,"
                    " lengthen OPTIM.WARMUP_EPOCHS or set OPTIM.CLIP_NORM"
                )
            progress.loss += loss * images
            progress.correct += correct
            progress.images += images
            self.log.step(step, {"loss": loss, "lr": self.learning_rate(step - 1)})
        unread.clear()

    @contextlib.contextmanager
    def _workers_end(self) -> Iterator[None]:
        """End the loader's workers; they ignore SIGTERM, so an exiting process would wait on."""
        try:
            yield
        finally:
            if self._stream is not None:
                self._stream.close()

    def _batches(self) -> Iterator[Batch]:
        """The one stream of batches of this session; made at its first use."""
        if self._stream is None:
            cfg = self.cfg
            order = TrainBatches(
                len(self.train_data),
                cfg.TRAIN.BATCH_SIZE,
                cfg.TRAIN.EPOCHS,
                cfg.SEED,
                start_step=self.state.progress.step,
                rank=self.world.rank,
                world_size=self.world.size,
            )
            self._stream = batches_of(cfg, self.train_data, order, self.device)
        return self._stream

    def _noise(self) -> torch.Generator:
        """Random starts as a function of seed, step and process, so that resuming repeats them."""
        key = [self.cfg.SEED, self.state.progress.step, self.world.rank]
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        return torch.Generator(device=self.device).manual_seed(seed)

    def _finish_epoch(self) -> bool:
        """Validate, log, keep the best, save; at the end of the run also the final weights.

        Returns False when SIGTERM came during validation, which a resumed run then repeats.
        """
        cfg, progress = self.cfg, self.state.progress
        epoch = progress.step // self.steps_per_epoch
        sums = torch.tensor(
            [progress.loss, progress.correct, progress.images, progress.corrupt],
            dtype=torch.float64,
            device=self.device,
        )
        loss, correct, images, corrupt = self.world.sum(sums).tolist()
        values: dict[str, Any] = {
            "epoch": epoch,
            "step": progress.step,
            "lr": self.learning_rate(progress.step - 1),
            "train_loss": loss / images,
            "train_top1": 100 * correct / images,
            "corrupt_skipped": int(corrupt),
            "seconds": round(progress.seconds, 3),
            "images_per_second": round(progress.step * cfg.TRAIN.BATCH_SIZE / progress.seconds, 2),
        }
        finished = progress.step == self.total_steps
        if finished or epoch % cfg.EVAL.EPOCHS == 0:
            # validation may take longer than a scheduler waits after SIGTERM
            self.state.save(self.folder / LAST, self.world)
            values.update(self._validate())
            if self.world.any(self._cut_short):
                return False
            # a robust model is chosen by its robustness, a standard one by its accuracy
            robust = cfg.ATTACK.EPS > 0 and "adversarial_top1" in values
            score = values["adversarial_top1" if robust else "clean_top1"]
            if score > progress.best:
                progress.best = score
                if self.world.is_main:
                    save_checkpoint(self.folder / BEST, self.state.weights())
        progress.loss, progress.correct, progress.images, progress.corrupt = 0.0, 0, 0, 0
        self.log.epoch(progress.step, values)
        shown = ("train_loss", "train_top1", "clean_top1", "clean_top5", "adversarial_top1")
        text = ", ".join(f"{k} {values[k]:.2f}" for k in shown if k in values)
        self._say(f"epoch {epoch}/{cfg.TRAIN.EPOCHS}: {text}")
        if corrupt:
            self._say(f"skipped {int(corrupt)} corrupt images in this epoch")
        if finished and self.world.is_main:
            save_checkpoint(self.folder / FINAL, self.state.weights())
            write_pretrain_record(
                self.folder / FINAL,
                name=self.name,
                cfg=cfg,
                card=self.state.card,
                values=values,
                train_images=len(self.train_data),
                val_images=len(self.val_data),
                device=str(self.device),
                processes=self.world.size,
                seconds=progress.seconds,
            )
        self.state.save(self.folder / LAST, self.world)
        return True

    def _validate(self) -> dict[str, float]:
        model: nn.Module = self.model
        if self.state.ema is not None:
            card = self.state.card
            model = Classifier(self.state.ema.module, card.mean, card.std).to(self.device)
        return validate(
            self.cfg, model, self.val_data, self.device, self.world, self._stop_validation
        )

    def _stop_validation(self) -> bool:
        self._cut_short = self.stop_requested
        return self._cut_short

    def _refuse_foreign_folder(self, resume: bool) -> None:
        found = [n for n in (LAST, FINAL, BEST, RECORD_NAME) if (self.folder / n).exists()]
        if resume and LAST in found:
            return
        if LAST in found:
            raise UserError(
                f"{self.folder} holds another run; pass --resume to continue it"
                " or choose another OUTPUT_DIR"
            )
        if found:
            raise UserError(
                f"{self.folder} holds another run ({found[0]}) and no {LAST} to resume from;"
                " choose another OUTPUT_DIR"
            )

    @contextlib.contextmanager
    def _sigterm_stops(self) -> Iterator[None]:
        def request(*_: object) -> None:
            self.stop_requested = True

        before = signal.signal(signal.SIGTERM, request)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _position(self) -> str:
        epoch, step = divmod(self.state.progress.step, self.steps_per_epoch)
        return f"epoch {epoch + 1}, step {step}/{self.steps_per_epoch}"

    def _say(self, text: str) -> None:
        if self.world.is_main:
            logger.info(text)
