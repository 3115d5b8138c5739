"""An evaluation from a file and images to its record."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from operator import methodcaller
from pathlib import Path

import torch

from robust_det.attacks.budgets import Budget
from robust_det.attacks.threat import make_threat
from robust_det.checkpoints.model_file import NetworkFile
from robust_det.classification.class_order import class_indices, class_names
from robust_det.classification.examples.choice import Examples
from robust_det.classification.examples.drawing import EXAMPLES_NAME, Picture, write_picture
from robust_det.classification.examples.example import load_examples, save_examples
from robust_det.classification.per_class.table import CLASSES_NAME
from robust_det.classification.robustness.asked import Asked
from robust_det.classification.robustness.batches import batches_at
from robust_det.classification.robustness.checks import checked
from robust_det.classification.robustness.fates import fates_csv, name_of
from robust_det.classification.robustness.figures import (
    class_table,
    correct_of,
    robust_accuracies,
    telling_eps,
)
from robust_det.classification.robustness.folder import (
    IMAGES_NAME,
    KEPT_NAME,
    finished_record,
    open_journal,
    refuse_other,
)
from robust_det.classification.robustness.loop import fates_of_all
from robust_det.classification.robustness.record import robustness_record, settings_of
from robust_det.classification.robustness.subject import Subject, open_subject
from robust_det.classification.robustness.words import announcement
from robust_det.core.cli import resuming_command
from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError, counted
from robust_det.core.files import write_atomically
from robust_det.core.journal import Journal
from robust_det.core.locks import sole_writer
from robust_det.core.signals import Terminated
from robust_det.records import write_record
from robust_det.records.robustness import Checks, RobustnessRecord

__all__ = ["evaluate_robustness"]

logger = logging.getLogger(__name__)


def evaluate_robustness(
    file: NetworkFile,
    folder: str | Path,
    output: str | Path,
    asked: Asked,
    resume: bool = False,
) -> RobustnessRecord:
    """Evaluate a classifier under attack, and write ``record.json`` and ``images.csv``.

    Each batch that is done is kept in ``images.jsonl`` until the record is written, so that an
    evaluation that was ended goes on after it.

    Args:
        file: of any format that :func:`.read_model` reads.
        folder: of the images, see :func:`robust_det.classification.measure.open_validation`.
        output: a folder for the results.
        asked: of the evaluation.
        resume: go on with the evaluation in ``output`` if there is one; of a finished one the
            record is returned.

    Raises:
        UserError: something does not fit; an image cannot be read; a batch has no room in the
            memory of the GPU; ``output`` holds another run, or its evaluation was made otherwise.
    """
    output = Path(output)
    asked.check()
    device = resolve_device(asked.device)
    refuse_other(output, resume)  # before anything is made
    with sole_writer(output):
        refuse_other(output, resume)
        subject = open_subject(file, folder, asked)
        settings = settings_of(subject, asked)
        if record := finished_record(output, settings):
            logger.info(f"{output} is finished already; nothing to do")
            return record
        named = asked.budgets(subject.model.num_classes)
        budgets = list(zip(asked.radii, named, strict=True))
        _say(subject, asked, budgets)
        subject.classifier.to(device)
        journal = open_journal(output, settings)
        if resume and not journal.results:
            logger.info(f"{output} holds no evaluation to go on with: one begins")
        kept = output / KEPT_NAME
        before = load_examples(kept) if journal.results else []
        examples = Examples(len(subject.data), asked.seed, kept=before)
        with _saying_what_is_kept(journal, len(subject.data), asked.batch_size):
            fates = fates_of_all(
                subject,
                asked,
                budgets,
                journal,
                device,
                examples,
                lambda: save_examples(kept, examples.kept),
            )
            begun = time.monotonic()
            targets = subject.data.targets.tolist()
            folders = [name_of(name).partition("/")[0] for name in subject.data.names]
            correct = correct_of(fates, targets)
            classes = class_table(fates, targets, folders, asked)
            robust = robust_accuracies(fates, correct, budgets, classes)
            checks = None
            if count := asked.checks_of(len(targets)):
                checks = _checks(subject, asked, telling_eps(robust, correct), count, device)
        table = output / IMAGES_NAME
        rows = zip(folders, targets, fates, strict=True)
        content = fates_csv(rows, asked.norm, asked.radii)
        write_atomically(table, methodcaller("write", content))
        write_atomically(output / CLASSES_NAME, methodcaller("write", classes.csv()))
        if budgets and examples.kept:
            write_picture(output / EXAMPLES_NAME, _picture(subject, asked, budgets, examples))
        record = robustness_record(
            subject,
            asked,
            budgets,
            fates,
            robust,
            table=table,
            classes=classes,
            settings=settings,
            checks=checks,
            not_finite=sum(part["not_finite"] for part in journal.results),
            device=str(device),
            seconds=sum(part["seconds"] for part in journal.results) + time.monotonic() - begun,
        )
        if worst := classes.worst():
            logger.info(worst)
        write_record(output, record)
        journal.path.unlink()
        kept.unlink(missing_ok=True)
        return record


def _picture(
    subject: Subject, asked: Asked, budgets: Sequence[tuple[float, Budget]], examples: Examples
) -> Picture:
    data, model = subject.data, subject.model
    names = class_names(model, data.classes, class_indices(data.classes, model, data.folder))
    attacks = ", ".join(member.name for member in budgets[0][1].members)
    title = f"{subject.file.path.name}: worst case of {attacks}"
    return Picture(examples.kept, names, asked.norm, asked.radii, title)


def _say(subject: Subject, asked: Asked, budgets: Sequence[tuple[float, Budget]]) -> None:
    for line in announcement(subject, asked, budgets):
        logger.info(line)
    of_budget = [f"budget {asked.budget} {note}" for _, one in budgets[:1] for note in one.notes]
    for remark in (*subject.notes, *asked.doubts(), *of_budget):
        logger.warning(remark)


@contextlib.contextmanager
def _saying_what_is_kept(journal: Journal, images: int, batch_size: int) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Terminated):
        done = sum(len(part["images"]) for part in journal.results)
        logger.info(
            f"{done:,} of {counted(images, 'image')} are done and kept; {resuming_command()} goes"
            " on"
        )
        raise
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(
            f"{batch_size} images at a time do not fit into the memory of the GPU",
            "lower --batch-size, and pass --resume",
        ) from error


def _checks(subject: Subject, asked: Asked, eps: float, count: int, device: torch.device) -> Checks:
    """Check so many of the images at an eps."""
    images = len(subject.data)
    logger.info(f"checks on {counted(count, 'image')} at eps {eps:g}")
    places = [number * images // count for number in range(count)]
    ((x, y, _),) = batches_at(subject, asked, places, device)
    return checked(subject.classifier, x, y, make_threat(asked.norm, eps), asked.seed)
