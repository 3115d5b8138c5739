"""A transfer by SGD: runs that choose the settings, and the one that is tested.

While something is chosen, runs are trained on the training images without those held out, and
validated on these; then one run on both together, by the settings that were chosen, gives the
classifier. Its number of epochs is chosen too where ``TRANSFER.PATIENCE`` stops runs: it ends after
so many, its learning rate falling as it did in the run that was validated.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from pathlib import Path

from robust_det.checkpoints.model_file import read_model
from robust_det.classification.starting import Start
from robust_det.core.config.reading import CfgNode
from robust_det.core.errors import UserError
from robust_det.core.files import sha256_file
from robust_det.records.transfer import Tried
from robust_det.transfer.given import Given
from robust_det.transfer.settings import (
    FIXED_FEATURE,
    HEAD_THEN_ALL,
    Choice,
    choices_of,
    with_choice,
)
from robust_det.transfer.sgd.choosing import (
    best_counts,
    best_of,
    chosen_on,
    judged_runs,
    remarks_on,
)
from robust_det.transfer.sgd.one_run import Ended, trained
from robust_det.transfer.sgd.outcome import Outcome
from robust_det.transfer.sgd.planned import Run

__all__ = ["train_by_sgd"]


def train_by_sgd(given: Given, folder: Path) -> Outcome:
    """Train a classifier that starts from a backbone.

    Runs that choose are in ``choice/lr0.01_wd0.0005`` and so on, the last one is in ``final``;
    where the head is trained first, its runs are in ``head/choice`` and ``head/final``. By
    ``PAPER.SELECT_ON_TEST`` those that choose are trained on all training images, and the chosen
    one is the last.

    Args:
        given: what it is given; its config :func:`.settings.trains_by_sgd`.
        folder: of the transfer, whose lock the caller holds.

    Raises:
        UserError: a run in the folder is of another config, backbone or set; there is something to
            choose, and no validation image.
        SystemExit: SIGTERM or SIGUSR1, and the state is saved.
        KeyboardInterrupt: Ctrl-C, likewise.
    """
    cfg = given.cfg
    start = Start(str(given.path), given.sha256, given.model)
    begin = _Beginning(start, start)
    if cfg.TRANSFER.MODE == HEAD_THEN_ALL:
        head = _learn(given, folder / "head", begin, head_alone=True)
        # those that choose have to start from a head that has not seen the images they choose by
        heads = _Beginning(_start_at(head.when_chosen), _start_at(head.weights))
        whole = _learn(given, folder, heads, head_alone=False, new_head=False)
        parts = {"head_": head, "": whole}
    else:
        alone = cfg.TRANSFER.MODE == FIXED_FEATURE
        parts = {"": _learn(given, folder, begin, head_alone=alone)}
    weights = parts[""].weights
    # a copy, so that the file may change or go while the classifier is in use
    classifier = copy.deepcopy(read_model(weights).classifier()).to(given.device)
    named = list(parts.items())
    return Outcome(
        classifier,
        weights,
        {f"{prefix}{key}": value for prefix, part in named for key, value in part.chosen.items()},
        chosen_on(cfg),
        [_prefixed(prefix, one) for prefix, part in named for one in part.tried],
        [
            f"Of the head alone: {remark}" if prefix else remark
            for prefix, part in named
            for remark in part.remarks
        ],
        sum(part.seconds for part in parts.values()),
    )


@dataclass(frozen=True)
class _Beginning:
    """The weights that runs start from: those that choose, and the last."""

    choosing: Start
    last: Start


@dataclass(frozen=True)
class _Learnt:
    """A network that has learnt by chosen settings.

    Attributes:
        weights: the file of its weights.
        when_chosen: that of the chosen run, which has not seen the images it was chosen by; that of
            the weights if nothing was chosen.
        chosen, tried, remarks, seconds: see :class:`Outcome`.
    """

    weights: Path
    when_chosen: Path
    chosen: dict[str, float]
    tried: list[Tried]
    remarks: list[str]
    seconds: float


def _learn(
    given: Given, folder: Path, begin: _Beginning, *, head_alone: bool, new_head: bool = True
) -> _Learnt:
    """Choose the settings, and train by them."""
    cfg, on = given.cfg, chosen_on(given.cfg)
    choice = choices_of(cfg)[0]
    run = Run(
        folder / "final",
        with_choice(cfg, choice),
        head_alone,
        trained="training",
        judged="test" if cfg.PAPER.BEST_EPOCH else "",
        start=begin.last,
        new_head=new_head,
        epochs=cfg.TRAIN.EPOCHS,
    )
    if on == "none":
        return _learnt(cfg, choice, trained(given, run))
    if on == "validation" and not given.data.used.val:
        raise UserError(
            "there is no class with two training images, of which one could be held out to choose"
            " by; add images, or give one OPTIM.LR, one OPTIM.WEIGHT_DECAY and no TRANSFER.PATIENCE"
        )
    judging = dataclasses.replace(
        run,
        trained="training" if on == "test" else "train",
        judged="test" if on == "test" else "val",
        start=begin.choosing,
        patience=cfg.TRANSFER.PATIENCE,
    )
    judged = judged_runs(given, folder / "choice", judging)
    best = best_of(judged)
    assert best.ended is not None
    if on == "test":  # trained on all images already, it would come out the same once more
        learnt = _learnt(cfg, best.choice, best.ended, best=best_counts(cfg))
    else:
        own = with_choice(cfg, best.choice)
        last = trained(given, dataclasses.replace(run, cfg=own, epochs=best.epochs))
        learnt = _learnt(cfg, best.choice, last)
    return dataclasses.replace(
        learnt,
        when_chosen=best.ended.weights(best=best_counts(cfg)),
        tried=[one.tried for one in judged],
        remarks=[*remarks_on(cfg, judged, best), *learnt.remarks],
        seconds=sum(one.ended.seconds for one in judged if one.ended)
        + (learnt.seconds if on != "test" else 0),
    )


def _learnt(cfg: CfgNode, choice: Choice, last: Ended, *, best: bool | None = None) -> _Learnt:
    """Return what the last run came to; by default its best epoch is a quirk's alone."""
    best = bool(cfg.PAPER.BEST_EPOCH) if best is None else best
    epochs = last.best_epoch if best else last.epochs
    remarks = []
    if cfg.PAPER.BEST_EPOCH:
        remarks.append(f"The weights are those of epoch {epochs}, the best on the test images.")
    weights = last.weights(best=best)
    chosen = {**dataclasses.asdict(choice), "epochs": float(epochs)}
    return _Learnt(weights, weights, chosen, [], remarks, last.seconds)


def _prefixed(prefix: str, one: Tried) -> Tried:
    settings = {f"{prefix}{key}": value for key, value in one.settings.items()}
    return Tried(settings, one.accuracy, one.converged)


def _start_at(path: Path) -> Start:
    return Start(str(path), sha256_file(path), read_model(path))
