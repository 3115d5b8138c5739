"""What ``robust-det inspect`` says and draws of one data set."""

from __future__ import annotations

import io
import json
from operator import methodcaller
from pathlib import Path
from typing import Any

from robust_det.core.errors import UserError
from robust_det.core.figures import image_bytes
from robust_det.core.files import write_atomically
from robust_det.data.detection.checking.images import Depth
from robust_det.data.detection.checking.report import Finding
from robust_det.data.detection.source import Reading, Source
from robust_det.data.detection.statistics import dataset_statistics, statistics_text
from robust_det.detection.datasets.sample_sheet import histograms, sample_sheet

__all__ = ["inspect_dataset", "refuse_others"]

_STATISTICS, _HISTOGRAMS, _SAMPLES = "stats.json", "histograms.png", "samples.png"


def inspect_dataset(
    name: str,
    source: Source,
    *,
    decode: bool = False,
    folder: Path | None = None,
    samples: int = 16,
    seed: int = 0,
) -> bool:
    """Print statistics and problems of a data set.

    Args:
        name: for messages.
        source: where it is.
        decode: decode all images, not only their headers: finds truncated ones.
        folder: where to write ``stats.json``, ``histograms.png`` and ``samples.png``.
        samples, seed: see :func:`~.sample_sheet.sample_sheet`.

    Returns:
        Whether there are no problems.

    Raises:
        UserError: there is nothing that could be checked, or the files cannot be written.
    """
    reading = source.read(name, Depth.PIXELS if decode else Depth.HEADERS)
    report, document = reading.report, reading.document()
    statistics = dataset_statistics(document)
    print(f"{name}\n\n{statistics_text(statistics)}\n")
    print("\n".join(report.lines()) or "nothing to complain of")
    if report.problems:
        print("the statistics are of what is left without the problems")
    if folder is not None:
        _write(folder, reading, document, statistics, samples, seed)
        print(f"statistics and pictures: {folder}")
    return not report.problems


def refuse_others(folder: Path) -> None:
    """Refuse to replace files of these names that no inspection wrote.

    Raises:
        UserError: names one.
    """
    try:
        ours = {"name", "problems", "notes"} <= set(json.loads((folder / _STATISTICS).read_bytes()))
    except (OSError, ValueError, TypeError):
        ours = False
    for name in () if ours else (_STATISTICS, _HISTOGRAMS, _SAMPLES):
        if (folder / name).exists():
            raise UserError(
                f"{folder / name} is there, and no inspection wrote it; choose another --output"
            )


def _write(
    folder: Path,
    reading: Reading,
    document: dict[str, Any],
    statistics: dict[str, Any],
    samples: int,
    seed: int,
) -> None:
    report = reading.report
    found = {
        "problems": [_plain(finding) for finding in report.problems],
        "notes": [_plain(finding) for finding in report.notes],
    }
    text = json.dumps({"name": report.name, **statistics, **found}, indent=1) + "\n"
    figure = image_bytes(histograms(document, report.name), "png")
    sheet = io.BytesIO()
    sample_sheet(document, reading.image_root, samples, seed).save(sheet, "PNG")
    contents = {_STATISTICS: text.encode(), _HISTOGRAMS: figure, _SAMPLES: sheet.getvalue()}
    for name, content in contents.items():
        write_atomically(folder / name, methodcaller("write", content))


def _plain(finding: Finding) -> dict[str, Any]:
    return {"kind": finding.kind.one, "count": finding.count, "examples": finding.examples}
