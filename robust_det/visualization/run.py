"""From networks and images to a folder with a picture, a page, figures and a record."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from robust_det.core.files import sha256_file
from robust_det.core.locks import sole_writer
from robust_det.records.environment import environment
from robust_det.visualization.drawing import sheet_png
from robust_det.visualization.job import Job, Mean, Result
from robust_det.visualization.kinds import KINDS
from robust_det.visualization.page import sheet_html
from robust_det.visualization.record import (
    ShownImage,
    ShownMean,
    ShownNetwork,
    VisualRecord,
    refuse_others,
    write_visual,
)
from robust_det.visualization.summary import summary

__all__ = ["visualize"]


def visualize(
    what: str, job: Job, output: Path, said: Sequence[str] = ()
) -> tuple[VisualRecord, str]:
    """Draw networks side by side, and write ``WHAT.png``, ``.html``, ``.csv`` and ``.json``.

    Args:
        what: of :data:`~robust_det.visualization.kinds.KINDS`.
        job: what to draw.
        output: a folder; earlier pictures of the kind in it are replaced.
        said: sentences about what was given, for the page and the record.

    Returns:
        The record, and what it says as text for a terminal.

    Raises:
        UserError: something does not fit, or ``output`` holds something else. Nothing is written
            then.
    """
    refuse_others(output, what)
    with sole_writer(output):
        start = time.monotonic()
        result = KINDS[what].load()(job)
        spent = round(time.monotonic() - start, 3)
        sentences = [*said, *result.said]
        record = VisualRecord(
            what=what,
            networks=list(result.networks),
            images=[ShownImage(str(path), sha256_file(path)) for path in _images(job)],
            settings=dict(result.settings),
            rows=[dict(row) for row in result.rows],
            means=[_shown(mean) for mean in result.means],
            said=sentences,
            environment=environment(str(job.device)),
            wall_time_s=spent,
        )
        lines = [_line(network) for network in result.networks]
        page = sheet_html(result.sheet, sentences, summary(result.means), result.settings, lines)
        others = {
            "png": sheet_png(result.sheet),
            "html": page.encode(),
            "csv": _csv(result).encode(),
        }
        write_visual(output, record, others)
    # what was given is said before it is drawn
    return record, _text(what, result, result.said)


def _images(job: Job) -> list[Path]:
    seed = [] if job.seed_image is None else [job.seed_image]
    return [*job.images, *(path for path in seed if path not in job.images)]


def _line(network: ShownNetwork) -> str:
    return f"{': '.join(network.heading.splitlines())}, {network.path}, {network.sha256[:12]}"


def _shown(mean: Mean) -> ShownMean:
    low, high = (None if math.isnan(v) else v for v in (mean.interval.low, mean.interval.high))
    return ShownMean(mean.network, mean.metric, mean.interval.value, low, high, mean.minus)


def _csv(result: Result) -> str:
    out = io.StringIO()
    if result.rows:
        writer = csv.DictWriter(out, list(result.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.rows)
    return out.getvalue()


def _text(what: str, result: Result, said: Sequence[str]) -> str:
    """Return what a terminal shows: of inversion the error of each image, means, sentences."""
    parts = []
    if what == "inversion":
        images = [[row["network"], Path(row["image"]).name] for row in result.rows]
        errors = [f"{row['inversion_error']:.4f}" for row in result.rows]
        lines = [[*names, error] for names, error in zip(images, errors, strict=True)]
        parts.append(_plain(lines, ["network", "image", "inversion error"]))
    head, rows = summary(result.means)
    if rows:
        parts.append(_plain(rows, head))
    return "\n\n".join([*parts, *(["\n".join(said)] if said else [])])


def _plain(rows: Sequence[Sequence[str]], head: Sequence[str]) -> str:
    return tabulate(rows, head, tablefmt="simple", disable_numparse=True)
