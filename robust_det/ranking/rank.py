"""The ranking from backbones and a data set to a folder with table, plot and record."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from robust_det.core.device import resolve_device
from robust_det.core.errors import UserError, counted
from robust_det.core.figures import image_bytes
from robust_det.core.locks import sole_writer
from robust_det.core.progress import progress_bar
from robust_det.core.resampling import FEWEST_RESAMPLES
from robust_det.core.seeding import check_seed
from robust_det.ranking.comparison import Row, compare
from robust_det.ranking.findings import findings
from robust_det.ranking.plot import score_figure
from robust_det.ranking.reached import Correlation, Reached, correlations, require_common, sentence
from robust_det.ranking.record import (
    RankedBackbone,
    RankedRow,
    RankRecord,
    figure_of,
    refuse_others,
    write_ranking,
)
from robust_det.ranking.scores import LOGME, Score, figures_of, score
from robust_det.ranking.subject import Subject
from robust_det.ranking.table import csv_text, markdown, table
from robust_det.ranking.words import TITLES, listed
from robust_det.records.environment import environment
from robust_det.zoo.backbone_files import BackboneFile

__all__ = ["Options", "rank"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How to rank.

    Attributes:
        resamples: of the bootstrap.
        seed: of all draws.
        separate: let each file be a row of its own, also several of one eps.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    """

    resamples: int = 1000
    seed: int = 0
    separate: bool = False
    device: str = "auto"

    def check(self) -> None:
        """Refuse what has no meaning.

        Raises:
            UserError: says what.
        """
        check_seed(self.seed)
        if self.resamples < FEWEST_RESAMPLES:
            raise UserError(
                f"{counted(self.resamples, 'resample')} give no 95% interval; take"
                f" {FEWEST_RESAMPLES} or more"
            )


def rank(
    subject: Subject,
    files: Sequence[BackboneFile],
    output: str | Path,
    options: Options | None = None,
    reached: Sequence[Reached] = (),
) -> tuple[RankRecord, str]:
    """Rank backbones, and write ``rank.json``, ``ranking.md``, ``.csv`` and ``.png``.

    Args:
        subject: the data set.
        files: the backbones, at least one.
        output: a new or empty folder, or one of an earlier ranking, which is replaced.
        options: how to rank.
        reached: of finished runs, to correlate scores with.

    Returns:
        The record, and the table and what it says as text for a terminal.

    Raises:
        UserError: an option is wrong, an image or a backbone cannot be read, or ``output`` holds
            something else. Nothing is written then.
    """
    options, output = options or Options(), Path(output)
    options.check()
    refuse_others(output)
    if reached:
        require_common(reached, [file.origin for file in files])
    with sole_writer(output):
        return _rank(subject, files, output, options, reached)


def _rank(
    subject: Subject,
    files: Sequence[BackboneFile],
    output: Path,
    options: Options,
    reached: Sequence[Reached],
) -> tuple[RankRecord, str]:
    start, task = time.monotonic(), subject.task
    device = resolve_device(options.device)
    scores = []
    with progress_bar(len(files) * subject.images, "rank", "images") as bar:
        for number, file in enumerate(files, 1):
            features = subject.features(file, device, bar.update)
            bar.update(number * subject.images - bar.n)  # of what was kept
            try:
                scores.append(score(features, task))
            except UserError as error:
                raise UserError(f"the features of {file.path}: {error}") from error
    figures = [figures_of(each, task, options.resamples, options.seed) for each in scores]
    rows = compare(files, figures, task.headline, separate=options.separate, seed=options.seed)
    by_file = {
        metric: {f.origin: each.values[metric] for f, each in zip(files, figures, strict=True)}
        for metric in (task.headline, LOGME)
    }
    found = correlations(reached, by_file)
    said = [*findings(rows, task.headline, task.what), *_remarks(files, scores, found)]
    how = f"{subject.how} {_how(options, task.headline)}"
    record = RankRecord(
        what=task.what,
        data=dict(subject.data),
        settings={**subject.settings, **_settings(options)},
        classes=list(task.classes),
        headline=task.headline,
        backbones=[
            RankedBackbone(
                file.name,
                str(file.path),
                file.sha256,
                file.card.arch,
                file.card.norm,
                file.card.eps,
                one.penalty,
                each.values,
            )
            for file, one, each in zip(files, scores, figures, strict=True)
        ],
        rows=[_row(row) for row in rows],
        findings=said,
        reached=found,
        environment=environment(str(device)),
        wall_time_s=round(time.monotonic() - start, 3),
    )
    plot = image_bytes(score_figure(rows, task.headline, subject.title), "png")
    page = markdown(f"Backbones for {subject.title}", rows, task.headline, said, how)
    others = {
        "ranking.md": page.encode(),
        "ranking.csv": csv_text(rows).encode(),
        "ranking.png": plot,
    }
    write_ranking(output, record, others)
    return record, "\n\n".join([table(rows, task.headline), "\n".join(said), how])


def _settings(options: Options) -> dict[str, object]:
    return {
        "resamples": options.resamples,
        "seed": options.seed,
        "separate": options.separate,
    }


def _how(options: Options, headline: str) -> str:
    return (
        f"Accuracies, in percent, are of a ridge that has not seen the image; {TITLES[headline]}"
        f" decides. Intervals are 95% of {options.resamples:,} resamples of the images, and of the"
        " files of a row where n is above 1; those of differences are paired, and allow for how"
        " many there are."
    )


def _remarks(
    files: Sequence[BackboneFile], scores: Sequence[Score], found: Sequence[Correlation]
) -> list[str]:
    edge = [file.name for file, one in zip(files, scores, strict=True) if one.at_edge]
    remarks = [sentence(one, TITLES[one.score]) for one in found]
    if edge:
        remarks.append(
            f"The best ridge penalty is the largest or smallest of those tried, for {listed(edge)};"
            " another might be better."
        )
    return remarks


def _row(row: Row) -> RankedRow:
    return RankedRow(
        row.label,
        [file.sha256 for file in row.files],
        {metric: figure_of(one) for metric, one in row.figures.items()},
        row.sure,
        figure_of(row.behind) if row.behind is not None else None,
    )
