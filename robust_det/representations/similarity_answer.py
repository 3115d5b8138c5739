"""What CKA says of standard and robust backbones: sentences, tables and heat maps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from robust_det.analysis.estimates import LEVEL
from robust_det.analysis.questions.answer import Answer, Sheet
from robust_det.analysis.tables import csv_of
from robust_det.analysis.transfer.blocks import Block
from robust_det.analysis.transfer.cells import NONE, p_cell
from robust_det.core.errors import counted
from robust_det.core.resampling import Interval
from robust_det.representations.given_images import GivenImages
from robust_det.representations.pairs import Pair
from robust_det.representations.similarity_maps import MOST_MAPS, heat_maps
from robust_det.representations.stage_features import grid_words
from robust_det.representations.trainings import STANDARD, training_of
from robust_det.representations.yardstick import MEAN, Contrast, Yardstick
from robust_det.visualization.networks import ShownBackbone

__all__ = ["NAME", "Compared", "answer_of", "figure_words", "tables_of"]

NAME = "similarity"
ASKS = (
    "How alike are the stages of standard and robust backbones, and are they less alike than those"
    " of two standard ones?"
)
_HOW_TO_READ = (
    "CKA (centred kernel alignment, Kornblith et al. 2019) is 1 of features that are the same but"
    " for rotation, shift and scale, whatever their widths. Kernels are linear, and HSIC is the"
    " unbiased estimator (Song et al. 2012; Nguyen et al. 2021), exact over all images and no mean"
    " over batches: features that have nothing in common give 0 on average, where the usual"
    " estimator nears 1 once there are as many features as images (the column 'biased' of the CSV"
    " file has it, to compare with what others report). It is of the directions in which features"
    " vary most, and few images that lie far out can move it (Davari et al. 2022).",
    "Intervals are of 95% over images, by the jackknife: how far a figure of these networks may lie"
    " off, had other images been drawn. They say nothing of other pretraining runs. p does: it is"
    " how often the gap is as far from 0 or farther when it is drawn anew which of the backbones"
    " are the robust ones, of those that began from the same weights among these alone (an exact"
    " permutation test; Holm's correction where there are several).",
)


@dataclass(frozen=True)
class Compared:
    """What was compared.

    Attributes:
        backbones, images: of which.
        grid: cells a side that positions are averaged in.
        pairs: all of the backbones.
        yardsticks: of robust trainings against the standard one.
        cautions: what keeps figures from being taken as they are, in sentences.
    """

    backbones: Sequence[ShownBackbone]
    images: GivenImages
    grid: int
    pairs: Sequence[Pair]
    yardsticks: Sequence[Yardstick]
    cautions: Sequence[str] = ()


def answer_of(compared: Compared, notes: Sequence[str]) -> Answer:
    """Return the answer.

    Args:
        compared: what was.
        notes: what is to be known of networks and images, in sentences.
    """
    findings = [sentence for one in compared.yardsticks for sentence in _findings(one)]
    if not findings:
        findings = [_no_yardstick(compared)]
    findings += compared.cautions
    if len(compared.pairs) > MOST_MAPS:
        notes = [
            *notes,
            f"{len(compared.pairs)} pairs are too many to draw each; the CSV file has all.",
        ]
    sheets = [_pairs_sheet(compared)]
    if compared.yardsticks:
        sheets.append(_yardstick_sheet(compared))
    return Answer(
        NAME,
        ASKS,
        _basis(compared),
        findings,
        sheets,
        heat_maps(NAME, compared.pairs),
        _HOW_TO_READ,
        notes,
    )


def tables_of(compared: Compared) -> dict[str, list[dict[str, Any]]]:
    """Return all figures by the name of their table."""
    return {
        NAME: list(_pair_rows(compared)),
        f"{NAME}_yardstick": list(_yardstick_rows(compared)),
    }


def figure_words(one: Interval, sign: bool = False) -> str:
    """``0.61 [0.60, 0.63]``; a dash if undefined."""
    if math.isnan(one.value):
        return NONE
    value, low, high = (_two_digits(each, sign) for each in (one.value, one.low, one.high))
    return value if math.isnan(one.low) else f"{value} [{low}, {high}]"


def _two_digits(value: float, sign: bool) -> str:
    text = f"{value:{'+' if sign else ''}.2f}"
    return "0.00" if not math.isnan(value) and float(text) == 0 else text.replace("-", "−")


def _basis(compared: Compared) -> str:
    trainings = [training_of(each) for each in compared.backbones]
    each = ", ".join(f"{trainings.count(name)} {name}" for name in dict.fromkeys(trainings))
    images = compared.images
    return (
        f"From {counted(len(trainings), 'backbone')} ({each}) on {counted(len(images), 'image')}"
        f" at {images.size} px: debiased linear CKA of features {grid_words(compared.grid)}."
    )


def _no_yardstick(compared: Compared) -> str:
    shared = [pair for pair in compared.pairs if pair.shared]
    said = "; ".join(f"{pair.title}, {_diagonal(pair)}" for pair in shared[:6])
    return (
        "Not known: what robustness has to do with it, as no standard and robust backbone of one"
        f" architecture are among these. Of the same stage: {said or 'none has one'}"
        f"{'; ...' if len(shared) > 6 else ''}."
    )


def _diagonal(pair: Pair) -> str:
    return ", ".join(f"{n} {figure_words(pair.cells[n, n].figure)}" for n in pair.shared)


def _findings(one: Yardstick) -> Iterator[str]:
    names = list(one.stages)[:-1]
    mean = one.stages[MEAN]
    whose = f"{STANDARD} and {one.training} backbones of {one.arch}"
    over = "" if len(names) < 2 else f", mean of {names[0]} to {names[-1]}"
    if math.isnan(mean.standard.value):
        yield (
            f"Not known: whether {whose} are less alike than two standard ones, "
            + (
                "with 1 standard backbone: give one of another pretraining seed as a yardstick."
                if one.standard < 2
                else "as a stage of these does not vary."
            )
            + f" Of these networks CKA of the same stage is {figure_words(mean.crossed)}{over}."
        )
    else:
        yield _verdict(one, whose, over)
    each = "; ".join(_stage_words(name, one.stages[name]) for name in names)
    against = "" if math.isnan(mean.standard.value) else " against two standard ones"
    yield f"By stage, {whose}{against}: {each}."
    if not math.isnan(mean.robust.value):
        pairs = math.comb(one.robust, 2)
        yield (
            f"Two {one.training} backbones of {one.arch}: {figure_words(mean.robust)}{over}, of"
            f" {counted(pairs, 'pair')}."
        )
    if one.beginnings:
        whose = f"{counted(one.beginnings, 'pair')} of {one.arch} began from the same weights"
        if one.left_out:
            yield (
                f"{whose}, by their records. Such keep more in common, and do not count in these"
                " means."
            )
        else:
            yield f"{whose}. They count: without them there would be nothing to compare with."


def _verdict(one: Yardstick, whose: str, over: str) -> str:
    mean = one.stages[MEAN]
    figures = (
        f"CKA of the same stage is {figure_words(mean.crossed)} against"
        f" {figure_words(mean.standard)}{over}, a gap of {figure_words(mean.gap)} over images"
    )
    runs = f"{one.standard} standard and {one.robust} robust pretraining runs"
    if math.isnan(one.p):
        return f"Not known: whether {whose} are less alike than two standard ones."
    # at most, and not below: an exact test of few runs has p of just 1 in 20
    if one.p <= LEVEL:
        answer = "Yes" if mean.gap.value > 0 else "No"
        word = "less" if mean.gap.value > 0 else "more"
        start = f"{answer}, on this data: {whose} are {word} alike than two standard ones"
        return f"{start}: {figures} (p {p_cell(one.p)}, {runs})."
    tested = f"p {p_cell(one.p)}, {runs}, which cannot have one below {p_cell(one.fewest)}"
    if one.fewest > LEVEL:
        start = f"Not known beyond these networks: whether {whose} are less alike than"
        return f"{start} two standard ones. Of them, {figures} ({tested})."
    start = f"Not shown: that {whose} are less or more alike than two standard ones"
    return f"{start}: {figures} ({tested})."


def _stage_words(name: str, one: Contrast) -> str:
    if math.isnan(one.standard.value):
        return f"{name} {figure_words(one.crossed)}"
    gap = f"gap {figure_words(one.gap)}"
    return f"{name} {one.crossed.value:.2f} against {one.standard.value:.2f}, {gap}"


def _pairs_sheet(compared: Compared) -> Sheet:
    stages = list(dict.fromkeys(name for pair in compared.pairs for name in pair.shared))
    rows = []
    for pair in compared.pairs:
        kind = " and ".join(pair.trainings) + (", one beginning" if pair.one_beginning else "")
        cells = [
            figure_words(pair.cells[name, name].figure) if name in pair.shared else NONE
            for name in stages
        ]
        rows.append([pair.first.name, pair.second.name, kind, *cells])
    block = Block("CKA of the same stage", ["backbone", "and", "trained", *stages], rows, 3)
    lines = list(_pair_rows(compared))
    return Sheet(NAME, block, csv_of(list(lines[0]), [list(line.values()) for line in lines]))


def _pair_rows(compared: Compared) -> Iterator[dict[str, Any]]:
    for pair in compared.pairs:
        first, second = pair.trainings
        for (row, column), cell in pair.cells.items():
            yield {
                "first": pair.first.name,
                "second": pair.second.name,
                "first_sha256": pair.first.file.sha256,
                "second_sha256": pair.second.file.sha256,
                "first_arch": pair.first.model.arch,
                "second_arch": pair.second.model.arch,
                "first_training": first,
                "second_training": second,
                "one_beginning": int(pair.one_beginning),
                "first_stage": row,
                "second_stage": column,
                "cka": cell.figure.value,
                "low": cell.figure.low,
                "high": cell.figure.high,
                "biased": cell.biased,
                "images": len(compared.images),
            }


def _yardstick_sheet(compared: Compared) -> Sheet:
    rows = [
        [
            one.arch,
            one.training,
            stage,
            figure_words(contrast.standard),
            figure_words(contrast.crossed),
            figure_words(contrast.robust),
            figure_words(contrast.gap, sign=True),
            p_cell(one.p) if stage == MEAN else "",
        ]
        for one in compared.yardsticks
        for stage, contrast in one.stages.items()
    ]
    headers = ["arch", "robust", "stage", "two standard", "standard and robust", "two robust"]
    block = Block("Means over pairs, of the same stage", [*headers, "gap", "p"], rows, 3)
    lines = list(_yardstick_rows(compared))
    csv = csv_of(list(lines[0]), [list(line.values()) for line in lines])
    return Sheet(f"{NAME}_yardstick", block, csv)


def _yardstick_rows(compared: Compared) -> Iterator[dict[str, Any]]:
    for one in compared.yardsticks:
        for stage, contrast in one.stages.items():
            line: dict[str, Any] = {
                "arch": one.arch,
                "training": one.training,
                "standard_runs": one.standard,
                "robust_runs": one.robust,
                "one_beginning_pairs": one.beginnings,
                "one_beginning_left_out": int(one.left_out),
                "stage": stage,
            }
            for name in ("standard", "crossed", "robust", "gap"):
                figure: Interval = getattr(contrast, name)
                line |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
            yield {**line, "p": one.p if stage == MEAN else math.nan}
