"""The section of ways of training: means over the seeds of pretraining, and what stronger attacks
add to weaker ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

from robust_det.analysis.estimates import estimate, paired
from robust_det.analysis.latex import PaperTable
from robust_det.analysis.sections.section import Section
from robust_det.analysis.tables import csv_of, render_table, title
from robust_det.analysis.trainings.grouping import Training, Trial, trials_of
from robust_det.analysis.transfer.cells import NONE, difference_cell, figure_cell
from robust_det.core.epsilon import eps_label
from robust_det.core.errors import counted
from robust_det.records import Record
from robust_det.records.pretrain import PretrainRecord
from robust_det.records.robustness import RobustnessRecord

__all__ = ["training_section"]

_HOW_TO_READ = (
    "A figure is the mean over networks that differ in the seed of their pretraining, with its 95%"
    " t interval over these where there are two or more; all met the same images. left after: the"
    " accuracy in the worst case of that attack and those to its left in the same budget."
    " last - first pairs the first and the last of these network by network. Passes are forward and"
    " backward, of each training image, all told; minutes are of the run."
)
_TEXTS = 1


def training_section(records: Iterable[Record]) -> Section | None:
    """Compare ways of training by the evaluations of their networks.

    Args:
        records: of any kind; those of pretraining, and of evaluations under attack, count.

    Returns:
        None where nothing is to be compared: no two networks of the runs met the same attacks.
    """
    given = list(records)
    trials = trials_of(
        [one for one in given if isinstance(one, PretrainRecord)],
        [one for one in given if isinstance(one, RobustnessRecord)],
    )
    if not trials:
        return None
    tables = [(_heading(trial), _headers(trial), _rows(trial)) for trial in trials]

    def text(style: str) -> list[str]:
        blocks = []
        for heading, headers, rows in tables:
            blocks += [title(heading, style), render_table(headers, rows, _TEXTS, style)]
        return [*blocks, _HOW_TO_READ]

    shown = [
        {
            "heading": heading,
            "words": _HOW_TO_READ,
            "headers": headers,
            "texts": _TEXTS,
            "rows": rows,
        }
        for heading, headers, rows in tables
    ]
    return Section(
        text=text,
        template="trainings.html",
        values={"tables": shown},
        files={"trainings.csv": _csv(trials)},
        tables=[_for_paper(trial, *table) for trial, table in zip(trials, tables, strict=True)],
    )


def _for_paper(trial: Trial, heading: str, headers: list[str], rows: list[list[str]]) -> PaperTable:
    seeds = [len(one.runs) for one in trial.trainings]
    return PaperTable(heading, headers, rows, _TEXTS, seeds, "pretraining seed", _HOW_TO_READ)


def left_after(record: RobustnessRecord, eps: float) -> list[tuple[str, float]]:
    """Return the accuracy in percent after each attack of a sequence at one of its eps.

    Of an image that fell at a smaller eps no attack is asked, so it is gone from the start.
    """
    (figure,) = (one for one in record.robust if one.eps == eps)
    standing, out = record.correct - figure.earlier, []
    for member in record.members:
        standing -= figure.felled.get(member.name, 0)
        out.append((member.name, 100 * standing / record.data.images))
    return out


def _heading(trial: Trial) -> str:
    images = counted(trial.images, "image")
    return (
        f"Trainings under {eps_label(trial.norm, trial.eps)}, {' and '.join(trial.budgets)}"
        f" ({images}, {trial.first.data.digest[:8]})"
    )


def _columns(trial: Trial) -> list[tuple[str, str]]:
    """Return budget and attack of each figure."""
    evaluated = trial.trainings[0].evaluated[0]
    return [
        (budget, member.name) for budget in trial.budgets for member in evaluated[budget].members
    ]


def _left(training: Training, trial: Trial) -> list[list[float]]:
    """Return each figure of the networks, in the order of the columns; NaN where it is missing."""
    after = {
        budget: [dict(left_after(met[budget], trial.eps)) for met in training.evaluated]
        for budget in trial.budgets
    }
    return [
        [one.get(attack, math.nan) for one in after[budget]] for budget, attack in _columns(trial)
    ]


def _clean(training: Training, trial: Trial) -> list[float]:
    budget = trial.budgets[-1]
    return [100 * met[budget].correct / met[budget].data.images for met in training.evaluated]


def _headers(trial: Trial) -> list[str]:
    columns = _columns(trial)
    last = ["last - first"] if len(columns) > 1 else []
    attacks = [f"left after {attack}" for _, attack in columns]
    return ["trained", "seeds", "clean top-1 %", *attacks, *last, "passes", "minutes"]


def _rows(trial: Trial) -> list[list[str]]:
    rows = []
    for training in trial.trainings:
        figures = _left(training, trial)
        gaps = [b - a for a, b in zip(figures[0], figures[-1], strict=True)]
        rows.append(
            [
                training.label,
                str(len(training.runs)),
                figure_cell(estimate(_clean(training, trial))),
                *(figure_cell(estimate(values)) for values in figures),
                *([difference_cell(paired(gaps), mark=False)] if len(figures) > 1 else []),
                _passes(training),
                f"{statistics.fmean(run.wall_time_s for run in training.runs) / 60:.1f}",
            ]
        )
    return rows


def _passes(training: Training) -> str:
    """Return how often each image of training was passed forward and backward, all told."""
    run = training.runs[0]
    if run.cost is None:
        return NONE
    times = run.cost.images / run.data.train.images
    return f"{run.cost.forward * times:.3g} and {run.cost.backward * times:.3g}"


def _csv(trials: Sequence[Trial]) -> bytes:
    """Return the figures of each network, in full precision."""
    head = ["norm", "eps", "images_digest", "trained", "seed", "weights_sha256", "clean_top1"]
    head += ["budget", "attack", "left_top1"]
    lines = []
    for trial in trials:
        for training in trial.trainings:
            clean = _clean(training, trial)
            figures = _left(training, trial)
            for (budget, attack), values in zip(_columns(trial), figures, strict=True):
                for run, before, value in zip(training.runs, clean, values, strict=True):
                    lines.append(
                        [
                            trial.norm,
                            trial.eps,
                            trial.first.data.digest,
                            training.label,
                            run.seed,
                            run.weights.sha256,
                            before,
                            budget,
                            attack,
                            value,
                        ]
                    )
    return csv_of(head, lines).encode()
